"""The request budget: what all processes of this machine may ask of the API, together.

The rule. A request may start when fewer than N requests are in flight or count. One counts for W seconds, from the
latest moment at which the server may have counted it, which is taken to be

* M seconds before its end, where M is the fastest answer of the last W seconds (at most W / 2),
* but R seconds (`reach_seconds`) after its start at least,
* and its end at most; and its end always, for an hour after any 429.

Why not always its end. The server counts a request somewhere between its start and its end, L seconds later. Who knows
no more than that can have N per W + L at most: 95.2 % of the budget at L = 3 s. With a reach of half a second it is N
per W + 0.5, 99.2 %, however long the server thinks about its answers. Answers within the reach change nothing.

Why no server that allows N requests per W seconds counts more. The file puts all starts in one order. Take any W
seconds [x, x+W) in which more than N requests are counted, and of those the one that started last, at s; it is counted
d seconds later, so s + d < x + W. The others, N or more, had started by then. Let one of them have started at t, ended
after l and been counted after c seconds, so t + c >= x.

* In flight at s: the rule saw it.
* Counting from its end: t + l >= t + c >= x > s + d - W >= s - W, so it ended less than W before s; the rule saw it.
* Counting from t + r, with r = max(R, l - M): t + r >= x - c + r > s - W + r - (c - d), which is no less than s - W as
  long as c - d <= r. Then the rule saw it too.

So the rule saw N or more at s, and the request was not allowed to start. There is no such window, wherever it begins.
The first two cases hold whatever happens, and answers within R know no other. The third has a condition, c - d <= r:
the earlier request is not counted more than r later after its start than the later one. One of these is enough for it:

* The moment at which the server counts varies by R or less. So it is for one that counts on arrival, when no request is
  longer than R on its way there; and for one that counts when it answers, when its latency varies no more than that.
* What came after the count of the one, l - c, and before the count of the other, d, make M or more together. So it is
  when nothing is faster than the fastest answer of the last W seconds. A request that lost seconds on its way, in a
  new connection, by packets sent again, in a queue before the server counts, or in this machine, took these seconds
  longer than M, and r has them.

Neither holds when a server that is slow for W seconds, and counts when it has overcome what makes it slow, is fast of a
sudden; until its first fast answer, which lowers M. That may cost a 429, which `close_for` obeys; as the condition was
doubtful then, every request of the token counts from its end for an hour, in all processes, those that ended before
included. The proof without a condition holds then.

What is assumed, and what it costs. If M were the fastest answer that there can be, the second condition would hold of
itself, and R could be nothing. M is the fastest of W seconds, and so too large by what even the luckiest of these
answers lost: hardly anything among the N that use the budget up, and the safety share forgives 0.06 s when W is 60. R
is for a time in which all of them lose more than that. Assumed is then that a request is counted R later than another
at most, or as much later as its answer is later than the fastest. With R = 1 s that costs 1.6 % of the budget; with the
safety share 98.2 % are left, and no place may ever be taken late. With R = 0.5 s it costs 0.8 %, and trusts the server
with more: one that answers nobody at its best for W seconds, and counts a request half a second sooner than another
without saying so in its answers, may count N + 1.

What the windows of a server make of it:

* sliding log: looks at such a window at each count;
* fixed windows, and windows that begin with a request: each is one such window;
* token bucket of N, refilled with N per W: it never refuses when no L seconds see more than N + N x L / W of them.
  L seconds lie in floor(L/W)+1 such windows, so they see N x (floor(L/W)+1) at most, which is no more. A burst of N
  empties a full bucket, and the next N come one window later, when it is full again.

It does not hold for a server that smooths (a queue of fewer than N, such as nginx' `limit_req` with a small burst),
that counts requests of other machines with the same token, or for a request that is still on its way when its lease
has ended; so give a request a timeout, and keep the lease until it has passed. `close_for` is for the first two.
"""

import sqlite3
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf, isfinite
from pathlib import Path
from re import ASCII, fullmatch
from types import TracebackType
from typing import Self

from .clock import Clock, SystemClock
from .errors import BudgetError
from .ledger import Recorded, RequestLedger, Survey, ledger_key
from .process import Processes, SystemProcesses
from .waits import OTHER_REQUESTS, RATE_LIMITED, Waits

SAFETY_SHARE = 0.002
"""The window is made this much longer. The kernel slews a clock by 500 ppm at most (adjtimex(2)), the server's and
ours make 0.1 %; the other half is for servers that round to milliseconds. It costs 0.2 % of the budget."""

REACH_SECONDS = 0.5
"""By how much the time until the server counts may vary without a trace in the time until it answers. A new connection
takes four ways there and back (name, TCP, TLS, request) and an old one takes one: half a second between them over 160
ms. A first packet that is lost is sent again after 1 s (RFC 6298, section 2.1), and leaves its trace. Costs 0.8 % of 60
requests in 60 s; 1.1 s would cost the last of the 2 %."""

STRICT_SECONDS = 3600.0
"""How long after a 429 every request counts from its end. The cost is 3 % of the budget at a latency of 3 s."""

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
        window_seconds: How long one counts, from its end or from the end of its reach.
        started: Requests that count now, the ones in flight included.
        in_flight: Requests that wait for their response.
        closed_for_seconds: How long nothing may start, after a 429; 0 when open.
        strict_for_seconds: How long every request counts from its end, after a 429; 0 when the reach is believed.
    """

    limit: int
    window_seconds: float
    started: int
    in_flight: int
    closed_for_seconds: float
    strict_for_seconds: float = 0.0

    @property
    def free(self) -> int:
        """Return how many requests may start at once now."""
        return 0 if self.closed_for_seconds else max(self.limit - self.started, 0)


class Lease:
    """The right to have one request in flight; release it when its response is there, or when it has failed.

    Releasing cannot fail and may be done twice. A lease that cannot be written off in the file counts as in flight
    until its process is gone or `MAX_FLIGHT_SECONDS` have passed, which is the safe side; the next `acquire` says why.
    """

    def __init__(self, ledger: RequestLedger, request_id: int, started: float) -> None:
        self._ledger = ledger
        self._request_id = request_id
        self._started = started
        self._released = False

    def release(self) -> None:
        """Say that the request has ended. It counts for one window from now, or from the end of its reach."""
        if self._released:
            return
        self._released = True
        with suppress(BudgetError):
            self._ledger.end(self._request_id, self._started)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


@dataclass(frozen=True)
class _Refusal:
    """Why not now: so many seconds until it is worth asking, and so many more out of politeness.

    `cause` is None where only the pace of this process' own requests has it wait.
    """

    seconds: float
    polite_seconds: float
    recheck: bool
    cause: str | None


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
        reach_seconds: By how much the time until the server counts a request may vary, if nothing holds it up;
            `math.inf` believes in no such time, and lets every request count from its end.
        strict_seconds: How long after a 429 nobody believes in it.
        max_flight_seconds: How long a request may take before its lease is given up. Larger than every timeout.
        processes: Who lives.
        waits: Told what is waited for.

    Attributes:
        waited_seconds: How long callers of `acquire` have waited here, all threads added up.
        waits: What is being waited for, here and by whoever else was given the same object.

    Raises:
        BudgetError: From every method but `Lease.release`, when the file cannot be used.
        ValueError: From the constructor, for a reach of nothing.
    """

    def __init__(
        self,
        path: Path,
        token: str,
        limit: RateLimit,
        clock: Clock | None = None,
        *,
        safety_share: float = SAFETY_SHARE,
        reach_seconds: float = REACH_SECONDS,
        strict_seconds: float = STRICT_SECONDS,
        max_flight_seconds: float = MAX_FLIGHT_SECONDS,
        processes: Processes | None = None,
        waits: Waits | None = None,
    ) -> None:
        if not reach_seconds > 0:
            raise ValueError(f"reach_seconds is more than 0, not {reach_seconds}")
        self.limit = limit
        self.waited_seconds = 0.0
        self._window = limit.seconds * (1 + safety_share)
        self._reach = reach_seconds
        self._strict_seconds = strict_seconds
        self._clock = clock or SystemClock()
        self.waits = waits or Waits(self._clock)
        self._waited_lock = threading.Lock()
        self._ledger = RequestLedger(
            path, ledger_key(token), self._window, max_flight_seconds, self._clock, processes or SystemProcesses()
        )

    @property
    def discarded(self) -> str | None:
        """Return why the file was thrown away, and nothing started for a window; None when it was good."""
        return self._ledger.discarded

    def acquire(self, stop: threading.Event | None = None, leave: int = 0) -> Lease | None:
        """Return the right to start one request, as soon as there is one; None when `stop` was set.

        Sleeps to the instant at which the next one frees. Of several processes that wait for the same instant, the
        one with the smallest share of the window wakes first.

        Args:
            stop: Ends the wait.
            leave: How many places are left free for others, who so have the budget first: they find these, and then
                each that frees. After a window of waiting none is left, so that one request a window gets through,
                however much the others want.
        """
        patience_ends = self._clock.monotonic() + self._window
        with self.waits.during() as waiting:
            while stop is None or not stop.is_set():
                patience = patience_ends - self._clock.monotonic() if leave else inf
                outcome = self._ask(leave if patience > 0 else 0)
                if isinstance(outcome, Lease):
                    return outcome
                waiting.because(outcome.cause)
                self._wait(outcome, stop, patience if patience > 0 else inf)
        return None

    def try_acquire(self, leave: int = 0) -> Lease | float:
        """Return the right to start one request, or after how many seconds it is worth asking again.

        One is free later when a request in flight takes long, and earlier when the fastest answer is forgotten.

        Args:
            leave: How many places are left free for others.
        """
        outcome = self._ask(leave)
        return outcome.seconds if isinstance(outcome, _Refusal) else outcome

    def close_for(self, seconds: float) -> None:
        """Let no process start a request for `seconds`, after a 429. A longer closing stays as it is.

        From now to `strict_seconds` after that, the requests of this token count from their end in all processes.
        """
        self._ledger.close_for(seconds, self._strict_seconds)

    def usage(self) -> BudgetUsage:
        """Return how much of the budget is used now, by all processes."""
        return self._ledger.transact(self._usage)

    def close(self) -> None:
        """Close the file."""
        self._ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _wait(self, refusal: _Refusal, stop: threading.Event | None, longest: float) -> None:
        seconds = min(refusal.seconds + refusal.polite_seconds, max(longest, SHORTEST_WAIT_SECONDS))
        began = self._clock.monotonic()
        self._clock.wait(min(seconds, RECHECK_SECONDS) if refusal.recheck else seconds, stop)
        with self._waited_lock:
            self.waited_seconds += self._clock.monotonic() - began

    def _ask(self, leave: int) -> Lease | _Refusal:
        return self._ledger.transact(lambda connection, now: self._admit(connection, now, leave))

    def _usage(self, connection: sqlite3.Connection, now: float) -> BudgetUsage:
        survey = self._ledger.survey(connection, now)
        in_flight = sum(request.ended is None for request in survey.requests)
        used = len(self._ages(survey, now))
        return BudgetUsage(
            self.limit.requests, self._window, used, in_flight, survey.closed_seconds, survey.strict_seconds
        )

    def _admit(self, connection: sqlite3.Connection, now: float, leave: int) -> Lease | _Refusal:
        places = max(self.limit.requests - leave, 1)
        survey = self._ledger.survey(connection, now)
        ages = self._ages(survey, now)
        seconds = max(survey.closed_seconds, seconds_until_free(places, self._window, ages))
        if leave:
            seconds = max(seconds, seconds_until_even(self.limit.requests, self._window, ages, leave))
        if seconds > 0:
            mine = sum(request.mine for request in survey.requests)
            others_in_flight = any(request.ended is None and not request.mine for request in survey.requests)
            polite = polite_seconds(mine, len(survey.requests))
            cause = RATE_LIMITED if survey.closed_seconds else OTHER_REQUESTS if mine < places else None
            return _Refusal(max(seconds, SHORTEST_WAIT_SECONDS), polite, others_in_flight, cause)
        return Lease(self._ledger, self._ledger.start(connection, now), now)

    def _ages(self, survey: Survey, now: float) -> list[float]:
        """Return for how long each request that counts has counted, oldest first."""
        reach = inf if survey.strict_seconds else self._reach
        fastest = min(fastest_answer(survey.requests), self._window / 2)
        ages = (now - counts_from(request, now, reach, fastest) for request in survey.requests)
        return sorted((age for age in ages if age < self._window), reverse=True)


def fastest_answer(requests: Iterable[Recorded]) -> float:
    """Return the shortest time that a request took, 0 when none has ended.

    One that was found dead has no length, and is left out.

    Examples:
        >>> fastest_answer([Recorded(100.0, 103.1, mine=True), Recorded(101.0, 104.0, mine=True)])
        3.0
    """
    lengths = (request.ended - request.started for request in requests if request.ended is not None)
    return min((seconds for seconds in lengths if seconds > 0), default=0.0)


def counts_from(request: Recorded, now: float, reach_seconds: float, fastest_seconds: float) -> float:
    """Return from when a request counts; of one in flight, from when it would if it ended now.

    Examples:
        >>> counts_from(Recorded(100.0, 100.3, mine=True), 105.0, reach_seconds=1.0, fastest_seconds=0.1)
        100.3
        >>> counts_from(Recorded(100.0, 103.0, mine=True), 105.0, reach_seconds=1.0, fastest_seconds=2.9)
        101.0
        >>> counts_from(Recorded(100.0, 103.0, mine=True), 105.0, reach_seconds=1.0, fastest_seconds=0.1)
        102.9
        >>> counts_from(Recorded(100.0, None, mine=True), 105.0, reach_seconds=1.0, fastest_seconds=2.9)
        102.1
    """
    ended = now if request.ended is None else request.ended
    return min(ended, max(request.started + reach_seconds, ended - fastest_seconds))


def seconds_until_free(limit: int, window_seconds: float, ages: Sequence[float]) -> float:
    """Return the earliest time from now at which a request may start; 0 when it may at once.

    Args:
        limit: How many may count.
        window_seconds: How long each counts.
        ages: For how long each has counted, less than the window, oldest first.

    Returns:
        Exact when the requests whose places it takes have ended. One in flight may take longer.

    Examples:
        >>> seconds_until_free(2, 60.0, ages=[0.0])
        0.0
        >>> seconds_until_free(2, 60.0, ages=[45.0, 0.0])
        15.0
        >>> seconds_until_free(1, 60.0, ages=[50.0, 20.0])
        40.0
    """
    excess = len(ages) - limit + 1
    return window_seconds - ages[excess - 1] if excess > 0 else 0.0


def seconds_until_even(limit: int, window_seconds: float, ages: Sequence[float], leave: int) -> float:
    """Return the earliest time from now at which a request keeps requests even, so that places free evenly, too.

    In a part of the window that has as many places as are left free for others, no more of them are taken. Whoever
    comes while these are used finds those that were left, and by then one more a place's time. Were they taken in a
    burst, they would free in one, a window later, and be taken by whoever is fastest.

    Args:
        limit: How many may count.
        window_seconds: How long each counts.
        ages: For how long each has counted, oldest first.
        leave: How many places are left free; more than 0.

    Examples:
        >>> seconds_until_even(60, 60.0, ages=[50.0, 3.0, 2.0, 1.0, 0.5, 0.2], leave=6)
        0.0
        >>> seconds_until_even(60, 60.0, ages=[50.0, 4.0, 3.0, 2.0, 1.0, 0.5, 0.2], leave=6)
        2.0
    """
    part = window_seconds * leave / limit
    return seconds_until_free(leave, part, [age for age in ages if age < part])


def polite_seconds(mine: int, used: int) -> float:
    """Return how much longer than to the instant a process waits: the more of the window is its own, the longer.

    Nothing when nobody else used any of it.

    Examples:
        >>> polite_seconds(mine=3, used=4)
        0.00375
    """
    return 0.0 if used in (0, mine) else FAIRNESS_SECONDS * mine / used
