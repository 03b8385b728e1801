"""What is worth telling whoever is on call, and when it was told already: the rules, without sending anything."""

from __future__ import annotations

import itertools
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from dashly_sync.durations import duration_text

DAY = 86_400.0
MOST_KINDS = 20
"""Of failures, of which it is remembered that they were told."""

TWICE = 2.0
FEWEST_MORE = 60
"""Requests: a minute of the budget. From 4 to 9 is more than twice too, and nothing to tell."""
FEWEST_COMPARABLE = 5
COMPARED_SECONDS = 14 * DAY
SAME_TIME_SECONDS = 5400.0
"""A morning is compared with mornings: an hour and a half before or after the same time of day."""

Runs = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Failing:
    """Failures without a good run in between.

    Attributes:
        since: When the first of them ended, unix seconds.
        last_at: When the last one did.
        times: How many there were.
        error: What the last one said.
        told: When each kind of them was told, see `Ended.kind`.
    """

    since: float
    last_at: float
    times: int
    error: str
    told: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Told:
    """What this machine remembers of the runs into one dataset.

    Attributes:
        success_at: When the last good run ended, unix seconds.
        failing: None after a good run that was told of.
        stuck_at: When it was told that something stands still; None when it was told that it moves again, too.
        doubled_at: When it was told that runs cost twice as much.
    """

    success_at: float | None = None
    failing: Failing | None = None
    stuck_at: float | None = None
    doubled_at: float | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended.

    Attributes:
        at: When, unix seconds.
        error: What it failed with; None when it did not.
        kind: What failures have in common that are told as one.
        stuck: What stands still; empty when nothing does, None when nobody could look.
        doubled: By how much it cost more than runs like it; empty when it did not, None when nobody could look.
    """

    at: float
    error: str | None = None
    kind: str = ""
    stuck: str | None = None
    doubled: str | None = None


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing to tell.

    Attributes:
        event: `failed`, `recovered`, `stuck`, `moving` or `requests_doubled`.
        sentence: For people.
        fields: More for programs.
    """

    event: str
    sentence: str
    fields: Mapping[str, Any] = field(default_factory=dict)


def note(told: Told, ended: Ended) -> Told:
    """Returns the memory with this end in it; nothing of it has been told yet."""
    if ended.error is None:
        return replace(told, success_at=ended.at)
    before = told.failing
    if before is None or (told.success_at is not None and told.success_at > before.last_at):
        before = Failing(ended.at, ended.at, 0, "")
    return replace(told, failing=replace(before, last_at=ended.at, times=before.times + 1, error=ended.error))


def due(told: Told, ended: Ended) -> list[Alert]:
    """Returns what is to be told now.

    A failure when it begins, when it becomes another one, and once a day while it goes on. What stands still, and runs
    that cost twice as much: once a day. That it is well again: once, if it was told that it was not.

    Args:
        told: With this end noted.
        ended: How the run ended.
    """
    found = (_failed(told, ended), _recovered(told, ended), _stuck(told, ended), _doubled(told, ended))
    return [alert for alert in found if alert is not None]


def delivered(told: Told, ended: Ended, events: Sequence[str]) -> Told:
    """Returns the memory after these events were told; what could not be is due again at the end of the next run."""
    failing, stuck_at = told.failing, told.stuck_at
    if "failed" in events and failing is not None:
        kinds = {**failing.told, ended.kind: ended.at}
        failing = replace(failing, told=dict(sorted(kinds.items(), key=lambda kind: kind[1])[-MOST_KINDS:]))
    if ended.error is None and failing is not None and ("recovered" in events or not failing.told):
        failing = None
    if "stuck" in events:
        stuck_at = ended.at
    if "moving" in events:
        stuck_at = None
    doubled_at = ended.at if "requests_doubled" in events else told.doubled_at
    return replace(told, failing=failing, stuck_at=stuck_at, doubled_at=doubled_at)


def kind_of(error: str) -> str:
    """Returns what two messages of the same failure have in common.

    Example:
        >>> kind_of("users, page 31: no answer in 6 attempts") == kind_of("users, page 4: no answer in 6 attempts")
        True
    """
    return re.sub(r"\d+", "#", error)[:300]


def doubling(runs: Runs) -> str:
    """Returns how much more the last run cost than those like it; empty when it did not cost twice as much.

    Reading again what is known does not count: it comes in bursts and has an allowance of its own. Runs are alike when
    they finished, began at the same time of day and came after as long a pause.

    Args:
        runs: Newest first.
    """
    if len(runs) < 2 or runs[0]["outcome"] not in ("finished", "time limit", "request limit"):
        return ""
    last, usual = _news(runs[0]), [_news(run) for run in _comparable(runs)]
    if len(usual) < FEWEST_COMPARABLE:
        return ""
    median = statistics.median(usual)
    if last < max(TWICE * median, median + FEWEST_MORE):
        return ""
    return f"the last run sent {last:,} requests for what is new, {len(usual)} runs like it sent {median:,.0f}"


def moment_text(seconds: float) -> str:
    """Returns unix seconds as ISO 8601 in UTC.

    Example:
        >>> moment_text(0.0)
        '1970-01-01T00:00:00Z'
    """
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _failed(told: Told, ended: Ended) -> Alert | None:
    if ended.error is None or told.failing is None:
        return None
    at = told.failing.told.get(ended.kind)
    if at is not None and ended.at - at < DAY:
        return None
    before = "" if told.failing.times == 1 else f", the {told.failing.times}. time in a row"
    return Alert("failed", f"The run failed{before}: {ended.error}", _of(told.failing))


def _recovered(told: Told, ended: Ended) -> Alert | None:
    if ended.error is not None or told.failing is None or not told.failing.told:
        return None
    took, times = duration_text(ended.at - told.failing.since), told.failing.times
    runs = "a run" if times == 1 else f"{times} runs"
    return Alert("recovered", f"Well again after {took}, in which {runs} failed.", _of(told.failing))


def _stuck(told: Told, ended: Ended) -> Alert | None:
    if ended.error is not None or ended.stuck is None:
        return None
    if not ended.stuck:
        return None if told.stuck_at is None else Alert("moving", "What stood still moves again.")
    return Alert("stuck", ended.stuck) if _a_day_ago(told.stuck_at, ended.at) else None


def _doubled(told: Told, ended: Ended) -> Alert | None:
    if not ended.doubled or not _a_day_ago(told.doubled_at, ended.at):
        return None
    return Alert("requests_doubled", f"Runs cost more than twice as much: {ended.doubled}.")


def _a_day_ago(at: float | None, now: float) -> bool:
    return at is None or now - at >= DAY


def _of(failing: Failing) -> dict[str, Any]:
    return {"error": failing.error, "failing_since": moment_text(failing.since), "failed_runs": failing.times}


def _comparable(runs: Runs) -> list[Mapping[str, Any]]:
    """Returns the finished runs before the last one that are like it."""
    last, pause = runs[0]["started_at"], _pause(runs[0], runs[1])
    found = []
    for run, before in itertools.pairwise(runs[1:]):
        away = (last - run["started_at"]).total_seconds()
        time_of_day = min(away % DAY, DAY - away % DAY)
        alike = pause / TWICE <= _pause(run, before) <= pause * TWICE
        if run["outcome"] == "finished" and alike and away <= COMPARED_SECONDS and time_of_day <= SAME_TIME_SECONDS:
            found.append(run)
    return found


def _pause(run: Mapping[str, Any], before: Mapping[str, Any]) -> float:
    return float((run["started_at"] - before["started_at"]).total_seconds())


def _news(run: Mapping[str, Any]) -> int:
    return max(0, int(run["requests"] or 0) - int(run["reread"] or 0))
