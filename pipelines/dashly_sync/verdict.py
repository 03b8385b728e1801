"""Whether the sync is well, in one sentence: from what the warehouse says of its runs."""

from __future__ import annotations

import enum
import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dashly_sync.durations import duration_text
from dashly_sync.run_log import RUNNING
from dashly_sync.status import Status
from dashly_sync.status_detail import Detail

LATE_AFTER_GAPS = 3.0
"""A run may be left out, as the one before took longer; three gaps without one mean that nobody starts them."""
FEWEST_RUNS = 4
"""From which on their rhythm says when the next one is late."""

Runs = Sequence[Mapping[str, Any]]


class Level(enum.Enum):
    """How it is."""

    WELL = "well"
    BEHIND = "behind"
    FAILING = "failing"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How it is, and why."""

    level: Level
    sentence: str


def judge(status: Status, detail: Detail) -> Verdict:
    """Returns the verdict."""
    now, runs = status.read_at, detail.runs
    if not runs:
        return Verdict(Level.EMPTY, "Nothing has been synced yet: start with `dashly-sync run`.")
    failed = sum(1 for _ in itertools.takewhile(lambda run: run["outcome"] == "failed", runs))
    if failed:
        before = f", as did {failed - 1:,} before it" if failed > 1 else ""
        return Verdict(Level.FAILING, f"The last run failed {_ago(runs[0], now)}{before}: {runs[0]['error']}")
    late, missing = lateness(runs, now), _missing(status, detail)
    if late is not None:
        return Verdict(Level.BEHIND, f"{_began(runs[0], now)}; they used to come every {duration_text(late)}.")
    if runs[0]["outcome"] == RUNNING:
        return Verdict(Level.BEHIND, f"{_began(runs[0], now)}, and goes on or was cut off{missing}.")
    if missing:
        return Verdict(Level.BEHIND, f"The last run ended {_ago(runs[0], now)}{missing}.")
    return Verdict(Level.WELL, f"The last run ended {_ago(runs[0], now)}, and nothing is known to be missing.")


def lateness(runs: Runs, now: datetime) -> float | None:
    """Returns how often runs usually begin, in seconds, when the next one is late; None when it is not.

    Args:
        runs: Newest first.
        now: When this is asked.
    """
    if len(runs) < FEWEST_RUNS:
        return None
    starts = [run["started_at"] for run in runs]
    usual = statistics.median((later - earlier).total_seconds() for later, earlier in itertools.pairwise(starts))
    longest = max((_took(run) for run in runs), default=0.0)
    return usual if (now - starts[0]).total_seconds() > LATE_AFTER_GAPS * max(usual, longest, 60.0) else None


def _missing(status: Status, detail: Detail) -> str:
    lists, unread = sum(status.backlog.values()), [span.name for span in detail.lists if span.gaps]
    parts = [f"the children of {lists:,} {'parent' if lists == 1 else 'parents'}"] if lists else []
    parts += [f"a part of the list of {name}" for name in unread]
    return f"; still to be read: {', '.join(parts)}" if parts else ""


def _took(run: Mapping[str, Any]) -> float:
    return (run["finished_at"] - run["started_at"]).total_seconds() if run["finished_at"] else 0.0


def _began(run: Mapping[str, Any], now: datetime) -> str:
    return f"The last run began {duration_text((now - run['started_at']).total_seconds())} ago"


def _ago(run: Mapping[str, Any], now: datetime) -> str:
    return f"{duration_text((now - (run['finished_at'] or run['started_at'])).total_seconds())} ago"
