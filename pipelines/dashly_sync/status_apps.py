"""What `status` says without `--app` where several apps are configured: a line for each."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from dashly_sync.exits import Exit, exit_for
from dashly_sync.settings import Settings
from dashly_sync.status import read_status
from dashly_sync.status_text import is_stale, status_json
from dashly_sync.verdict import judge


@dataclass(frozen=True, slots=True)
class AppStatus:
    """How it is with one app.

    Attributes:
        app: Its name.
        exit: Not 0 when it is too old, or nothing could be found out.
        line: The verdict, or why there is none.
        level: Of the verdict, `unknown` without one.
        found: The same for programs.
    """

    app: str
    exit: Exit
    line: str
    level: str
    found: dict[str, Any]


def status_of_apps(
    apps: Sequence[str], settings_of_app: Callable[[str], Settings], max_age: float | None
) -> list[AppStatus]:
    """Returns how it is with each app; a warehouse that cannot be opened hides no other one."""
    return [_status_of(app, settings_of_app, max_age) for app in apps]


def print_apps(statuses: Sequence[AppStatus], stdout: TextIO, *, as_json: bool) -> None:
    """Writes a line for each and a sentence for all; as JSON, one array."""
    if as_json:
        print(json.dumps([{"app": one.app, **one.found} for one in statuses], ensure_ascii=False), file=stdout)
        return
    for one in statuses:
        print(f"{one.app}: {one.line}", file=stdout)
    levels = Counter(one.level for one in statuses)
    print(f"{len(statuses)} apps: {', '.join(f'{count} {level}' for level, count in levels.items())}.", file=stdout)


def _status_of(app: str, settings_of_app: Callable[[str], Settings], max_age: float | None) -> AppStatus:
    try:
        status = read_status(settings_of_app(app))
    except Exception as error:
        code = exit_for(error)
        if code is None:
            raise
        return AppStatus(app, code, str(error), "unknown", {"level": "unknown", "sentence": str(error)})
    verdict, stale = judge(status), is_stale(status, max_age)
    line = f"{'TOO OLD; ' if stale else ''}{verdict.line()}"
    code = Exit.STALE if stale else Exit.DONE
    return AppStatus(app, code, line, verdict.level.value, status_json(status, max_age))
