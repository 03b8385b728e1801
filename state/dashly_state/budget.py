"""The request budget: what all processes of this machine may ask of the API, together.

The rule. A request may start when fewer than N requests are either in flight or ended less than W seconds ago.

Why no server that allows N requests per W seconds can see more. The file puts all starts in one order. Take any W
seconds [x, x+W) in which more than N requests arrive, and of those the one that started last, at s. The others
had started by then, and each was in flight or had ended after it arrived, so not before x. Since s <= its own arrival
< x+W, all of them, N or more, were in flight or had ended less than W seconds before s, and the request was not
allowed to start. So there is no such window, wherever it begins, and however long requests take on their way:

* sliding log: looks at such a window at each arrival;
* fixed windows, and windows that begin with a request: each is one such window;
* token bucket of N, refilled with N per W: it never refuses when no L seconds see more than N + N x L / W arrivals.
  L seconds lie in floor(L/W)+1 such windows, so they see N x (floor(L/W)+1) at most, which is no more. A burst of N
  empties a full bucket, and the next N come one window later, when it is full again.

It does not hold for a server that smooths (a queue of fewer than N, such as nginx' `limit_req` with a small burst),
that counts requests of other machines with the same token, or for a request that is still on its way when its lease
has ended; so give a request a timeout, and keep the lease until it has passed. `close_for` is for the first two.
"""

import sqlite3
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from re import ASCII, fullmatch
from types import TracebackType
from typing import Self

from .clock import Clock, SystemClock
from .errors import BudgetError
from .ledger import RequestLedger, Survey, ledger_key
from .process import Processes, SystemProcesses

SAFETY_SHARE = 0.002
"""The window is made this much longer. The kernel slews a clock by 500 ppm at most (adjtimex(2)), the server's and
ours make 0.1 %; the other half is for servers that round to milliseconds. It costs 0.2 % of the budget."""

MAX_FLIGHT_SECONDS = 120.0
"""After this long a lease is given up although its process lives. Twice dlt's request timeout of 60 s."""

FAIRNESS_SECONDS = 0.005
"""A process that used all of the window wakes this much later than one that used nothing of it."""

RECHECK_SECONDS = 1.0
"""How often a waiting process looks whether others that have requests in flight still live."""

SHORTEST_WAIT_SECONDS = 0.001
"""Against spinning: unix time in a float has steps of 0.0000002 s, so a wait could come out a step too short."""


@dataclass(frozen=True)
class RateLimit:
    """So many requests in so many seconds.

    Examples:
        >>> RateLimit.parse("60/60")
        RateLimit(requests=60, seconds=60.0)
        >>> str(RateLimit(5, 0.5))
        '5/0.5'
    """

    requests: int
    seconds: float

    def __post_init__(self) -> None:
        if self.requests < 1 or not isfinite(self.seconds) or self.seconds <= 0:
            raise ValueError(f"a rate limit is at least one request in more than zero seconds, not {self}")

    def __str__(self) -> str:
        seconds = float(self.seconds)
        return f"{self.requests}/{int(seconds) if seconds.is_integer() else seconds}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the limit that `text` means: requests / seconds.

        Raises:
            ValueError: With a sentence that shows the form and what was seen.
        """
        match = fullmatch(r"\s*(\d{1,9})\s*/\s*(\d{1,9}(?:\.\d{1,9})?)\s*", text, ASCII)
        if match is None:
            raise ValueError(f"a rate limit is written requests/seconds, such as 60/60, not {text!r}")
        return cls(int(match[1]), float(match[2]))


@dataclass(frozen=True)
class BudgetUsage:
    """How much of the budget is used now, by all processes.

    Attributes:
        limit: Requests that may count at once.
        window_seconds: How long one counts after its end.
        started: Requests that count now, the ones in flight included.
        in_flight: Requests that wait for their response.
        closed_for_seconds: How long nothing may start, after a 429; 0 when open.
    """

    limit: int
    window_seconds: float
    started: int
    in_flight: int
    closed_for_seconds: float

    @property
    def free(self) -> int:
        """Return how many requests may start at once now."""
        return 0 if self.closed_for_seconds else max(self.limit - self.started, 0)


class Lease:
    """The right to have one request in flight; release it when its response is there, or when it has failed.

    Releasing cannot fail and may be done twice. A lease that cannot be written off in the file counts as in flight
    until its process is gone or `MAX_FLIGHT_SECONDS` have passed, which is the safe side; the next `acquire` says why.
    """

    def __init__(self, ledger: RequestLedger, request_id: int) -> None:
        self._ledger = ledger
        self._request_id = request_id
        self._released = False

    def release(self) -> None:
        """Say that the request has ended. It counts for one window from now."""
        if self._released:
            return
        self._released = True
        with suppress(BudgetError):
            self._ledger.end(self._request_id)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


@dataclass(frozen=True)
class _Refusal:
    """Why not now: so many seconds until it is worth asking, and so many more out of politeness."""

    seconds: float
    polite_seconds: float
    recheck: bool


class RequestBudget:
    """The budget of one token, shared by every process on this machine that names the same file.

    One object serves any number of threads. A forked process needs its own. Two machines do not share a budget.

    Costs 0.2 ms and no request for a lease taken and released.

    Args:
        path: The file, made with mode 0600 when missing. It holds a hash of the token. With its log it stays under
            2 MB.
        token: The API token.
        limit: What the API allows.
        clock: Where time comes from.
        safety_share: By how much of itself the window is made longer.
        max_flight_seconds: How long a request may take before its lease is given up. Larger than every timeout.
        processes: Who lives.

    Attributes:
        waited_seconds: How long callers of `acquire` have waited here, all threads added up.

    Raises:
        BudgetError: From every method but `Lease.release`, when the file cannot be used.
    """

    def __init__(
        self,
        path: Path,
        token: str,
        limit: RateLimit,
        clock: Clock | None = None,
        *,
        safety_share: float = SAFETY_SHARE,
        max_flight_seconds: float = MAX_FLIGHT_SECONDS,
        processes: Processes | None = None,
    ) -> None:
        self.limit = limit
        self.waited_seconds = 0.0
        self._window = limit.seconds * (1 + safety_share)
        self._clock = clock or SystemClock()
        self._waited_lock = threading.Lock()
        self._ledger = RequestLedger(
            path, ledger_key(token), self._window, max_flight_seconds, self._clock, processes or SystemProcesses()
        )

    @property
    def discarded(self) -> str | None:
        """Return why the file was thrown away, and nothing started for a window; None when it was good."""
        return self._ledger.discarded

    def acquire(self, stop: threading.Event | None = None) -> Lease | None:
        """Return the right to start one request, as soon as there is one; None when `stop` was set.

        Sleeps to the instant at which the next one frees. Of several processes that wait for the same instant, the
        one with the smallest share of the window wakes first.
        """
        while stop is None or not stop.is_set():
            outcome = self._ask()
            if isinstance(outcome, Lease):
                return outcome
            self._wait(outcome, stop)
        return None

    def try_acquire(self) -> Lease | float:
        """Return the right to start one request, or after how many seconds it is worth asking again.

        Never is one free before these seconds have passed; it can be later, when a request in flight takes long.
        """
        outcome = self._ask()
        return outcome.seconds if isinstance(outcome, _Refusal) else outcome

    def close_for(self, seconds: float) -> None:
        """Let no process start a request for `seconds`, after a 429. A longer closing stays as it is."""
        self._ledger.close_for(seconds)

    def usage(self) -> BudgetUsage:
        """Return how much of the budget is used now, by all processes."""
        survey = self._ledger.transact(self._ledger.survey)
        return BudgetUsage(self.limit.requests, self._window, survey.used, survey.in_flight, survey.closed_seconds)

    def close(self) -> None:
        """Close the file."""
        self._ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _wait(self, refusal: _Refusal, stop: threading.Event | None) -> None:
        seconds = refusal.seconds + refusal.polite_seconds
        began = self._clock.monotonic()
        self._clock.wait(min(seconds, RECHECK_SECONDS) if refusal.recheck else seconds, stop)
        with self._waited_lock:
            self.waited_seconds += self._clock.monotonic() - began

    def _ask(self) -> Lease | _Refusal:
        return self._ledger.transact(self._admit)

    def _admit(self, connection: sqlite3.Connection, now: float) -> Lease | _Refusal:
        survey = self._ledger.survey(connection, now)
        seconds = max(survey.closed_seconds, self._seconds_until_free(survey, now))
        if seconds > 0:
            return _Refusal(max(seconds, SHORTEST_WAIT_SECONDS), polite_seconds(survey), survey.others_in_flight)
        return Lease(self._ledger, self._ledger.start(connection, now))

    def _seconds_until_free(self, survey: Survey, now: float) -> float:
        ages = [now - end for end in survey.ended]
        return seconds_until_free(self.limit.requests, self._window, survey.in_flight, ages)


def seconds_until_free(limit: int, window_seconds: float, in_flight: int, ages: Sequence[float]) -> float:
    """Return the earliest time from now at which a request may start; 0 when it may at once.

    Args:
        limit: How many may count.
        window_seconds: How long an ended request counts.
        in_flight: How many have not ended.
        ages: Seconds since the others ended, each less than the window, oldest first.

    Returns:
        Exact when enough of `ages` run out. Otherwise the window: a request in flight ends now at the earliest.

    Examples:
        >>> seconds_until_free(2, 60.0, in_flight=1, ages=[])
        0.0
        >>> seconds_until_free(2, 60.0, in_flight=1, ages=[45.0])
        15.0
        >>> seconds_until_free(2, 60.0, in_flight=2, ages=[])
        60.0
        >>> seconds_until_free(1, 60.0, in_flight=0, ages=[50.0, 20.0])
        40.0
    """
    excess = in_flight + len(ages) - limit + 1
    if excess <= 0:
        return 0.0
    return window_seconds - ages[excess - 1] if excess <= len(ages) else window_seconds


def polite_seconds(survey: Survey) -> float:
    """Return how much longer than to the instant a process waits: the more of the window is its own, the longer.

    Nothing when nobody else used any of it.

    Examples:
        >>> polite_seconds(Survey(in_flight=0, ended=[7.0] * 4, closed_seconds=0.0, mine=3, others_in_flight=False))
        0.00375
    """
    if survey.used in (0, survey.mine):
        return 0.0
    return FAIRNESS_SECONDS * survey.mine / survey.used
