"""What `status` prints: the verdict first, then what it rests on, for people or as JSON."""

from __future__ import annotations

import json
from typing import Any, TextIO

from dashly_sync.durations import duration_text
from dashly_sync.status import SHOWN_ERRORS, Status, runs_result, tables_result
from dashly_sync.verdict import judge
from dashly_warehouse.query import write_result


def is_stale(status: Status, max_age: float | None) -> bool:
    """Returns whether the last success is older than that many seconds, or there is none."""
    if max_age is None:
        return False
    return status.fresh_at is None or (status.read_at - status.fresh_at).total_seconds() > max_age


def print_status(status: Status, max_age: float | None, stdout: TextIO) -> None:
    """Writes it for people: ten seconds are enough for the first line."""
    print(judge(status).line(), file=stdout)
    if is_stale(status, max_age):
        print(_stale_sentence(status, max_age or 0.0), file=stdout)
    if status.tables:
        write_result(tables_result(status), "table", stdout)
        write_result(runs_result(status), "table", stdout)
    for line in _lines(status):
        print(line, file=stdout)


def status_json(status: Status, max_age: float | None) -> dict[str, Any]:
    """Returns it for programs."""
    verdict = judge(status)
    found: dict[str, Any] = {"level": verdict.level.value, "sentence": verdict.sentence, **status.to_json()}
    if max_age is not None:
        found["max_age"] = {"seconds": max_age, "exceeded": is_stale(status, max_age)}
    return found


def print_json(status: Status, max_age: float | None, stdout: TextIO) -> None:
    """Writes it for programs."""
    print(json.dumps(status_json(status, max_age), ensure_ascii=False), file=stdout)


def _lines(status: Status) -> list[str]:
    lines = [status.backlog_sentence()] if status.outlook is not None else []
    if status.budget is not None:
        a_day = f"; {status.day_requests:,} requests in the last 24 h"
        lines.append(f"Request budget: {status.budget.started} of {status.budget.limit} used{a_day}.")
    if status.recheck is not None:
        lines.append(status.recheck.sentence(status.read_at))
    if status.errors:
        shown = [f"  {one.line(status.read_at)}" for one in status.errors[:SHOWN_ERRORS]]
        more = len(status.errors) - len(shown)
        lines += ["Errors of the last week:", *shown, *([f"  and {more} others: --json shows them"] if more else [])]
    if status.runs:
        lines.append(status.sentence())
    return lines


def _stale_sentence(status: Status, max_age: float) -> str:
    allowed = f"--max-age allows {duration_text(max_age)}"
    if status.fresh_at is None:
        return f"TOO OLD: no run has succeeded yet; {allowed}."
    age = duration_text((status.read_at - status.fresh_at).total_seconds())
    return f"TOO OLD: the last success is {age} ago; {allowed}."
