"""What is known to be missing: how many requests that is, when it is done, and whether it shrinks at all. Pure."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dashly_state.budget import RateLimit
from dashly_sync.durations import duration_text

DAY = 86_400.0
LIMITED = ("time limit", "request limit", "running", "signal")
"""How a run ends that had more to read than it could."""
FEWEST_RUNS = 3
"""From which on a trend is one."""

Runs = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class BacklogOutlook:
    """What becomes of the backlog.

    Attributes:
        requests: That it takes, as far as lists are known.
        finishes_at: When nothing is missing any more; None where that is not in sight.
        because: What that rests on.
        is_earliest: Whether it may well take longer.
    """

    requests: int
    finishes_at: datetime | None
    because: str
    is_earliest: bool = False

    @property
    def done(self) -> str:
        """When it is done, in words."""
        if self.finishes_at is None:
            return "no end in sight"
        return f"done {'not before' if self.is_earliest else 'about'} {self.finishes_at:%Y-%m-%d %H:%M} UTC"

    def sentence(self) -> str:
        """Returns it for people."""
        return f"about {self.requests:,} requests, {self.done} ({self.because})"

    def to_json(self) -> dict[str, Any]:
        """Returns what `--json` prints."""
        at = None if self.finishes_at is None else self.finishes_at.isoformat().replace("+00:00", "Z")
        return {"requests": self.requests, "finishes_at": at, "is_earliest": self.is_earliest, "because": self.because}


def look_ahead(
    runs: Runs, requests: float, unread: Sequence[str], limit: RateLimit, stands: float | None, now: datetime
) -> BacklogOutlook:
    """Returns what becomes of a backlog.

    As fast as it shrank over the last day; where that cannot be told, as fast as the last run asked, taken over the
    time between two runs; where nothing can be told, as fast as the API allows.

    Args:
        runs: Newest first.
        requests: For what is known to be missing.
        unread: Lists that are not read to their end, so that more is missing than is known.
        limit: What the API allows.
        stands: For how long it has not shrunk, see `stands_since`.
        now: When this is asked.
    """
    whole = math.ceil(requests)
    if stands is not None:
        return BacklogOutlook(whole, None, f"it has not shrunk for {duration_text(stands)}")
    if runs and runs[0]["outcome"] == "finished":
        return BacklogOutlook(whole, None, "the last run finished and left it out")
    if not unread and (shrinks := _shrinks(runs, now)) is not None:
        left, per_second, count = shrinks
        seconds = left / per_second
        return BacklogOutlook(whole, now + timedelta(seconds=seconds), f"as it shrank over the last {count} runs")
    per_second, because = _pace(runs, limit)
    more = f"; more is found in the {' and '.join(unread)} that are not listed yet" if unread else ""
    return BacklogOutlook(whole, now + timedelta(seconds=requests / per_second), f"{because}{more}", is_earliest=True)


def stands_since(runs: Runs, whole_since: datetime | None, now: datetime) -> float | None:
    """Returns for how many seconds the backlog has not shrunk although runs came; None while it does, or may.

    Held against each other: its lowest point in the last day and in the day before, so that a busy day with a quiet
    night is none; where runs come less often than every eight hours, three runs and the three before. While a list is
    not read to its end nothing is said, as the backlog grows by what is found there.

    Args:
        runs: Newest first.
        whole_since: Since when every list has been read whole; None when one is not.
        now: When this is asked.
    """
    ended = [run for run in runs if run["outcome"] != "failed"]
    span = max(DAY, FEWEST_RUNS * usual_gap(ended))
    recent, before = (_between(ended, now, span * part) for part in (1, 2))
    before = before[len(recent) :]
    if whole_since is None or min(len(recent), len(before)) < FEWEST_RUNS:
        return None
    if whole_since > before[-1]["started_at"] or any(run["outcome"] not in LIMITED for run in recent):
        return None
    stands = 0 < min(map(_left, before)) <= min(map(_left, recent))
    return (now - before[-1]["started_at"]).total_seconds() if stands else None


def usual_gap(runs: Runs) -> float:
    """Returns how many seconds lie between the beginnings of two runs as a rule; a day where only one has been."""
    gaps = [(later["started_at"] - run["started_at"]).total_seconds() for later, run in itertools.pairwise(runs)]
    return statistics.median(gaps) if gaps else DAY


def _between(runs: Runs, now: datetime, seconds: float) -> Runs:
    return [run for run in runs if (now - run["started_at"]).total_seconds() < seconds]


def _shrinks(runs: Runs, now: datetime) -> tuple[int, float, int] | None:
    """Returns what is left, how many of it go in a second, and by how many runs; None when it does not shrink."""
    ended = list(itertools.takewhile(lambda run: run["outcome"] in LIMITED, _between(runs, now, DAY)))
    if len(ended) < FEWEST_RUNS:
        return None
    shrunk = _left(ended[-1]) - _left(ended[0])
    seconds = (_end(ended[0]) - _end(ended[-1])).total_seconds()
    return (_left(ended[0]), shrunk / seconds, len(ended)) if shrunk > 0 and seconds > 0 else None


def _pace(runs: Runs, limit: RateLimit) -> tuple[float, str]:
    """Returns requests a second, and whose pace that is."""
    allowed = limit.requests / limit.seconds
    if len(runs) < FEWEST_RUNS or runs[0]["outcome"] not in ("time limit", "request limit") or not runs[0]["requests"]:
        return allowed, f"at {limit} without a pause"
    gap = usual_gap(runs)
    return min(allowed, runs[0]["requests"] / gap), f"at {runs[0]['requests']:,} requests every {duration_text(gap)}"


def _left(run: Mapping[str, Any]) -> int:
    return int(run["backlog"] or 0)


def _end(run: Mapping[str, Any]) -> datetime:
    end: datetime = run["finished_at"] or run.get("loaded_at") or run["started_at"]
    return end
