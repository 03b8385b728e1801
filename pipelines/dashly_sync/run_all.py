"""`run --all`: a process of its own for each app, so that none can fail another, and its memory is given back."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import click

from dashly_sync.durations import duration_text
from dashly_sync.exits import Exit
from dashly_sync.talk import is_object, message_of

JOBS = 4
"""Runs at once, each in 220 MB or less."""
_LONGEST_LINE_BYTES = 16 * 1024 * 1024
_NOT_HANDED_ON = frozenset({"app", "all_apps", "jobs", "as_json"})


@dataclass(frozen=True, slots=True)
class AppRun:
    """How the run of one app ended.

    Attributes:
        app: Its name.
        exit: The exit code; above 128 when a signal ended it.
        said: The last line of what it had to say: its closing sentence, or the error.
        record: Its record; None when it never began.
    """

    app: str
    exit: int
    said: str
    record: Mapping[str, Any] | None = None

    def line(self) -> str:
        """Returns what is printed of it."""
        said = self.said.removeprefix("dashly-sync: ")
        return f"{self.app}: {said}" if self.exit == Exit.DONE else f"{self.app}: exit {self.exit}: {said}"

    def to_json(self) -> dict[str, Any]:
        """Returns what `--json` prints of it."""
        return {"app": self.app, "exit": self.exit, "said": self.said, "run": self.record}


class AppRuns:
    """Carries out the runs of several apps, some at once.

    Args:
        command: What runs one app; `--app NAME` goes behind it. Its stdout is a record as JSON.
        jobs: How many at once.
        tell: Takes each line that an app's run says on stderr, with the app's name before it.
    """

    def __init__(self, command: Sequence[str], jobs: int, tell: Callable[[str], None]) -> None:
        self._command, self._tell = command, tell
        self._places = asyncio.Semaphore(jobs)
        self._running: set[Process] = set()
        self._signal: int | None = None

    async def carry_out(self, apps: Sequence[str]) -> list[AppRun]:
        """Returns how each ended, in the order of `apps`. A signal goes to those at work; the others do not begin."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._hand_on, number)
        return await asyncio.gather(*(self._run(app) for app in apps))

    def _hand_on(self, number: int) -> None:
        self._signal = number
        for process in self._running:
            with suppress(ProcessLookupError):
                process.send_signal(number)

    async def _run(self, app: str) -> AppRun:
        async with self._places:
            if self._signal is not None:
                return AppRun(app, 128 + self._signal, "not begun, as a signal came before its turn")
            try:
                return await self._run_process(app)
            except (OSError, ValueError) as error:  # no process could be had, or what it printed is no record
                return AppRun(app, Exit.FAILED, str(error))

    async def _run_process(self, app: str) -> AppRun:
        process = await asyncio.create_subprocess_exec(
            *self._command,
            "--app",
            app,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            limit=_LONGEST_LINE_BYTES,
            start_new_session=True,  # Ctrl-C would reach it twice, which ends a run before it has committed
        )
        self._running.add(process)
        if self._signal is not None:
            process.send_signal(self._signal)
        printed, said = await asyncio.gather(_all_of(process.stdout), self._last_line(app, process.stderr))
        code = await process.wait()
        self._running.discard(process)
        if code < 0:  # it did not come to a word of its own about that
            code, said = 128 - code, f"ended at once by {signal.Signals(-code).name}"
        return AppRun(app, code, said, json.loads(printed) if printed.strip() else None)

    async def _last_line(self, app: str, stream: asyncio.StreamReader | None) -> str:
        """Tells the lines as they come, but for the last, which is the result."""
        held: deque[str] = deque()
        while stream is not None and (line := await stream.readline()):
            held.append(line.decode(errors="replace").rstrip())
            if len(held) > 1:
                self._tell(_named(app, held.popleft()))
        if held and is_object(held[0]):  # a collector misses nothing, and has the app's name in it
            self._tell(held[0])
        return message_of(held[0]) if held else ""


def _named(app: str, line: str) -> str:
    return line if is_object(line) else f"{app}: {line}"


async def _all_of(stream: asyncio.StreamReader | None) -> bytes:
    return await stream.read() if stream is not None else b""


def run_apps(apps: Sequence[str], arguments: Sequence[str], jobs: int, tell: Callable[[str], None]) -> list[AppRun]:
    """Runs `dashly-sync run` for each app; returns how each ended.

    Args:
        apps: Their names.
        arguments: What else stands behind `run`.
        jobs: How many at once.
        tell: Takes each line of their progress.
    """

    async def carry_out() -> list[AppRun]:
        command = (sys.executable, "-m", "dashly_sync", "run", *arguments, "--json")
        return await AppRuns(command, jobs, tell).carry_out(apps)

    return asyncio.run(carry_out())


def handed_on(context: click.Context) -> list[str]:
    """Returns the flags of this `run` that each app's own gets, too."""
    given = click.core.ParameterSource.COMMANDLINE
    arguments: list[str] = []
    for parameter in context.command.params:
        name = parameter.name or ""
        if name not in _NOT_HANDED_ON and context.get_parameter_source(name) is given:
            arguments += _written(parameter, context.params[name])
    return arguments


def _written(parameter: click.Parameter, value: Any) -> list[str]:
    """Returns a flag as it is typed; a duration as seconds."""
    flag = parameter.opts[-1]
    if isinstance(parameter, click.Option) and parameter.is_flag:
        return [flag]
    if isinstance(parameter, click.Option) and parameter.count:
        return [flag] * int(value)
    values = value if isinstance(value, tuple) else (value,)
    return [f"{flag}={one:.0f}s" if isinstance(one, float) else f"{flag}={one}" for one in values]


def closing_sentence(runs: Sequence[AppRun], took_seconds: float) -> str:
    """Returns one sentence: how many are well, which are not, requests, rows, time.

    Example:
        >>> done = {"requests": 4, "records": {"users": 20}}
        >>> closing_sentence([AppRun("a", 0, "", done), AppRun("b", 3, "")], 7)
        '1 of 2 apps is well, not b (exit 3): 4 requests, 20 rows, 7.0 s.'
    """
    records = [run.record for run in runs if run.record is not None]
    requests = sum(int(record["requests"]) for record in records)
    rows = sum(sum(record["records"].values()) for record in records)
    failed = [f"{run.app} (exit {run.exit})" for run in runs if run.exit != Exit.DONE]
    well = len(runs) - len(failed)
    which = f", not {', '.join(failed)}" if failed else ""
    return (
        f"{well} of {len(runs)} apps {'is' if well == 1 else 'are'} well{which}: "
        f"{requests:,} requests, {rows:,} rows, {duration_text(took_seconds)}."
    )
