"""Whether a schedule can ever finish: what a run may ask for against the work that arrives meanwhile. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from dashly_state.budget import RateLimit
from dashly_sync.durations import duration_text


@dataclass(frozen=True, slots=True)
class Pace:
    """A run every so often, of at most so long."""

    every_seconds: float
    max_seconds: float

    def requests(self, limit: RateLimit) -> int:
        """Returns how many requests one run has time for.

        Example:
            >>> Pace(900, 840).requests(RateLimit(60, 60))
            840
        """
        return int(min(self.max_seconds, self.every_seconds) * limit.requests / limit.seconds)


@dataclass(frozen=True, slots=True)
class Fit:
    """How a load goes with a pace.

    Attributes:
        pace: The schedule.
        requests: What one run has time for.
        arriving: Requests of new work between two runs.
        runs: How many it takes until nothing is missing; None for never.
    """

    pace: Pace
    requests: int
    arriving: int
    runs: int | None

    def sentence(self) -> str:
        """Returns what becomes of the schedule."""
        each = f"A run every {duration_text(self.pace.every_seconds)} has time for {self.requests:,} requests"
        new = f"about {self.arriving:,} of new work arrive meanwhile"
        if self.runs is None:
            return f"{each}, and {new}: it never finishes. {self._mend()}."
        if self.runs == 1:
            return f"{each}, and {new}: each run finishes."
        whole = duration_text(self.runs * self.pace.every_seconds)
        return f"{each}, and {new}: about {self.runs:,} runs, {whole}, until nothing is missing."

    def to_json(self) -> dict[str, Any]:
        """Returns what `--json` prints."""
        return {
            "every_seconds": self.pace.every_seconds,
            "max_seconds": self.pace.max_seconds,
            "requests_per_run": self.requests,
            "arriving_per_run": self.arriving,
            "runs": self.runs,
            "finishes": self.runs is not None,
            "sentence": self.sentence(),
        }

    def _mend(self) -> str:
        if self.pace.max_seconds < self.pace.every_seconds:
            longer = duration_text(self.pace.every_seconds)
            return f"Give it more time (--max-time up to {longer}), or read less (--only users,conversations)"
        return "Read less (--only users,conversations), or ask Dashly for a higher rate limit and set --rate-limit"


def fit(pace: Pace, requests: int, arriving: float, limit: RateLimit) -> Fit:
    """Returns how a load goes with a pace.

    Args:
        pace: The schedule.
        requests: That a run which begins now would need, without end.
        arriving: Requests of new work between two runs, the look at the heads included.
        limit: The rate limit.

    Example:
        >>> fit(Pace(900, 840), 10_000, 40.0, RateLimit(60, 60)).runs
        13
        >>> fit(Pace(900, 60), 10_000, 70.0, RateLimit(60, 60)).runs is None
        True
    """
    has = pace.requests(limit)
    beyond = max(0.0, requests - has)
    spare = has - arriving
    runs = 1 + math.ceil(beyond / spare) if spare > 0 else None
    return Fit(pace, has, math.ceil(arriving), runs)
