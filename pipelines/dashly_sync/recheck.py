"""How soon everything that is known is read again: the bound that `status` states, from how runs come and spend."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dashly.held import microseconds_of
from dashly.paging import PAGE_RECORDS
from dashly.reconcile import (
    LIST_SWEEP_EVERY_SECONDS,
    LONGEST_GRANT_SECONDS,
    ONE_LIST_SWEEP_IN,
    RECHECK_AFTER_SECONDS,
)
from dashly.values import MICRO, from_microseconds
from dashly_state.budget import RateLimit
from dashly_sync.durations import duration_text
from dashly_sync.history import History, read_history
from dashly_sync.memory import SOURCE
from dashly_sync.warehouse_pipeline import PIPELINE_NAME
from dashly_warehouse.connections import Connection
from dashly_warehouse.pipeline_state import read_pipeline_states

DAY = 86_400.0
LOOK_BACK_SECONDS = 7 * DAY
"""A week shows nights and week-ends."""
FEWEST_GAPS = 2
_RUNS = (
    "select started_at, finished_at, outcome from sync_runs where finished_at is not null and outcome <> 'failed' "
    "order by started_at desc limit 700"
)
"""A week of runs every 15 minutes."""
_OLDEST = "select min(checked_at) from sync_progress where missing_before is null and gone_at is null"


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How runs come.

    Attributes:
        longest_gap: Seconds from the beginning of a run to that of the next, at most.
        counted: Share of the time for which the allowance grows: of a longer pause than a day, the first day.
    """

    longest_gap: float
    counted: float

    @classmethod
    def of(cls, starts: Sequence[float], now: float) -> Rhythm:
        """Returns the rhythm of runs that began at these unix seconds, newest first; one a day where only one has been.

        Example:
            >>> Rhythm.of([3600.0, 2700.0, 1800.0], 3700.0), Rhythm.of([0.0], 4 * 86400.0)
            (Rhythm(longest_gap=900.0, counted=1.0), Rhythm(longest_gap=345600.0, counted=0.25))
        """
        gaps = [later - earlier for later, earlier in itertools.pairwise(starts)]
        recent = [gap for gap, start in zip(gaps, starts, strict=False) if starts[0] - start <= LOOK_BACK_SECONDS]
        gaps = max(recent, gaps[:FEWEST_GAPS], key=len) or [DAY]
        waiting = now - starts[0]
        if waiting > max(gaps):
            gaps = [*gaps, waiting] if len(starts) > 1 else [waiting]
        grown = sum(min(gap, LONGEST_GRANT_SECONDS) for gap in gaps)
        return cls(max(gaps), grown / sum(gaps) if sum(gaps) else 1.0)


@dataclass(frozen=True, slots=True)
class Recheck:
    """How soon everything is read again.

    Attributes:
        bound_seconds: Whatever changes now without showing in a list has been found so much later; None where there is
            no bound, and then `because` says why.
        oldest_checked_at: When what was read whole longest ago was read: children of a parent, or a list.
        pages: Requests to read everything again.
        requests_per_day: That go to reading again.
        because: What the bound rests on, or why there is none.
    """

    bound_seconds: float | None
    oldest_checked_at: datetime | None
    pages: int
    requests_per_day: float
    because: str

    def sentence(self, now: datetime) -> str:
        """Returns it for people."""
        oldest = ""
        if self.oldest_checked_at is not None:
            age = max(0.0, (now - self.oldest_checked_at).total_seconds())
            oldest = f"; the oldest check is {duration_text(age)} old"
        if self.bound_seconds is None:
            return f"Re-checks: {self.because}{oldest}."
        within = bound_text(self.bound_seconds)
        return f"Everything is re-checked within {within} at this rate ({self.because}){oldest}."

    def to_json(self) -> dict[str, Any]:
        """Returns what `--json` prints."""
        oldest = None if self.oldest_checked_at is None else self.oldest_checked_at.astimezone(UTC).isoformat()
        return {
            "bound_seconds": None if self.bound_seconds is None else math.ceil(self.bound_seconds),
            "bound_days": None if self.bound_seconds is None else _up(self.bound_seconds / DAY, 100),
            "oldest_checked_at": None if oldest is None else oldest.replace("+00:00", "Z"),
            "pages": self.pages,
            "requests_per_day": round(self.requests_per_day, 1),
            "because": self.because,
        }


def read_recheck(
    connection: Connection, history: History, share: float, limit: RateLimit, now: float
) -> Recheck | None:
    """Returns how soon everything in the warehouse is read again; None before the first run has ended.

    Args:
        connection: Open for reading.
        history: What it tells of everything that is read again, see `read_whole_history`.
        share: Of the API's budget since the last run.
        limit: The API's budget.
        now: Unix seconds.
    """
    if not {"sync_runs", "sync_progress"} <= history.memory.tables:
        return None
    runs = connection.execute(_RUNS)
    if not runs:
        return None
    waiting = what_waits(history, str(runs[0][2]))
    child_check = microseconds_of(connection.execute(_OLDEST)[0][0])
    oldest = _oldest(history, child_check)
    children, lists = sum(history.unchecked.values()), list_pages(history.live)
    if share <= 0 or waiting:
        because = "never: --reconcile-share is 0" if share <= 0 else waiting
        return Recheck(None, oldest, children + lists, 0.0, because)
    starts = [start.timestamp() for start, _, _ in runs]
    rhythm = Rhythm.of(starts, now)
    unspent = _unspent(history, child_check)
    rate = share * limit.requests / limit.seconds * rhythm.counted
    rate = min(rate, _spent_per_second(connection, starts)) if unspent else rate
    if rate <= 0:
        return Recheck(None, oldest, children + lists, 0.0, f"none by the last runs; {unspent}")
    took = (runs[0][1] - runs[0][0]).total_seconds()
    bound = bound_seconds(children, lists, rate, rhythm.longest_gap, limit, took)
    how = f", as the last runs spent; {unspent}" if unspent else ", with a run a day" if len(starts) == 1 else ""
    because = f"{rate * DAY:,.0f} requests a day for {children + lists:,} pages{how}"
    return Recheck(bound, oldest, children + lists, rate * DAY, because)


def read_whole_history(connection: Connection, now: float) -> History:
    """Returns what the warehouse tells, with everything that was ever read counted as to be read again."""
    return read_history(connection, from_microseconds(int((now + DAY) * MICRO)))


def bound_seconds(children: int, lists: int, per_second: float, gap: float, limit: RateLimit, took: float) -> float:
    """Returns after how many seconds everything has been read again, whatever moment one begins to count.

    Children: what is read longest ago comes first, so a change is found when all of them have been paid, plus the share
    of the lists on the way: a page in four at most, or each list once a day, whichever is less. Lists: one is due a day
    after the last sweep began and may wait for the other to end; two sweeps have to miss what is gone, and the next
    look at the heads confirms it. A list of a single page is read whole with each look. Either may wait for a run to
    come, and for its turn in the run.

    Args:
        children: Pages of all children.
        lists: Pages of the lists that have more than one.
        per_second: Requests for reading again, on average.
        gap: Seconds between two runs, at most.
        limit: How fast a run can spend.
        took: Seconds that a run takes.

    Example:
        >>> bound_text(bound_seconds(30_000, 600, 0.1, 900.0, RateLimit(60, 60), 100.0))  # 30,600 / (8,640 - 600)
        '3.9 days'
        >>> bound_text(bound_seconds(100, 2, 0.1, 900.0, RateLimit(60, 60), 10.0))  # the lists, once a day
        '2.1 days'
        >>> bound_text(bound_seconds(100, 0, 0.1, 900.0, RateLimit(60, 60), 10.0))
        '1 h 17 min'
    """
    most_for_lists = lists / (per_second * LIST_SWEEP_EVERY_SECONDS)
    paid = children * ONE_LIST_SWEEP_IN / (ONE_LIST_SWEEP_IN - 1) + ONE_LIST_SWEEP_IN
    if most_for_lists < 1:
        paid = min(paid, (children + lists) / (1 - most_for_lists) + 1)
    sweep = lists * ONE_LIST_SWEEP_IN / per_second
    in_turn = max(took, min(per_second * gap, paid) * limit.seconds / limit.requests)
    children_seconds = max(paid / per_second, RECHECK_AFTER_SECONDS) + gap
    twice = 2 * max(sweep, LIST_SWEEP_EVERY_SECONDS) + sweep + ONE_LIST_SWEEP_IN / per_second if lists else 0.0
    lists_seconds = twice + 2 * gap
    return max(children_seconds, lists_seconds) + in_turn


def list_pages(live: Mapping[str, int]) -> int:
    """Returns the requests to sweep the lists that have more than one page; pages by offset overlap by one record.

    Example:
        >>> list_pages({"users": 200, "conversations": 12})
        5
    """
    return sum(math.ceil(rows / (PAGE_RECORDS - 1)) for rows in live.values() if rows >= PAGE_RECORDS)


def what_waits(history: History, outcome: str) -> str:
    """Returns what is read before anything is read again; empty when nothing is, or when the last run left it out.

    Args:
        history: Of the warehouse.
        outcome: Of the last run.
    """
    open_lists = [name for name in history.live if not history.memory.coverage(name).complete]
    parents = sum(history.waiting(stream) for stream in history.pending)
    if outcome == "finished" or not (open_lists or parents):
        return ""
    parts = [f"the children of {parents:,} parents"] * bool(parents) + [f"the list of {name}" for name in open_lists]
    return f"none yet, what is missing comes first: {', '.join(parts)}"


def bound_text(seconds: float) -> str:
    """Returns a bound for people, rounded up.

    Example:
        >>> bound_text(271_000), bound_text(4_501)
        ('3.2 days', '1 h 16 min')
    """
    return f"{_up(seconds / DAY, 10):.1f} days" if seconds >= DAY else duration_text(math.ceil(seconds / 60) * 60)


def _oldest(history: History, child_check: int | None) -> datetime | None:
    lists = [history.memory.coverage(name).read_whole_at for name in history.live]
    return min((from_microseconds(at) for at in (child_check, *lists) if at is not None), default=None)


def _unspent(history: History, child_check: int | None) -> str:
    """Returns why the allowance is no measure: the last run had some left, and what it could have been spent on."""
    at, left = history.memory.reconcile["at"], int(history.memory.reconcile["left"])
    if at is None or child_check is None or left < 1 or child_check >= (at - RECHECK_AFTER_SECONDS) * MICRO:
        return ""
    return f"{left:,} allowed ones are unspent: runs end before (--max-time, --max-requests), or leave it out (--since)"


def _spent_per_second(connection: Connection, starts: Sequence[float]) -> float:
    """Returns what went to reading again by the last whole runs that dlt's states tell of; 0 when they tell nothing.

    Args:
        connection: Open for reading.
        starts: Of the runs, unix seconds.
    """
    states = [state.get("sources", {}).get(SOURCE, {}) for state in read_pipeline_states(connection, PIPELINE_NAME)]
    told = [(one["reconcile"]["at"], one["reconcile"]["used"]) for one in states if one.get("reconcile")]
    for start in sorted(starts):
        before = [(at, used) for at, used in told if at < start]
        if before:
            (began, used_then), (ended, used_now) = max(before), max(told)
            return float(used_now - used_then) / (ended - began) if ended > began else 0.0
    return 0.0


def _up(number: float, parts: int) -> float:
    return math.ceil(number * parts) / parts
