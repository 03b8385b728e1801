"""How many requests are worth having under way at once: the least that uses the whole budget."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil, inf
from statistics import median

from dashly_state.budget import RateLimit
from dashly_state.clock import Clock

MOST_IN_FLIGHT = 8
"""Enough for answers of 6 s at 60/60. Each costs a connection, and a kill may cost as many requests."""
SHORTEST_PACE_SECONDS = 0.25
"""A limit that allows more than four requests a second is none that is worth a second connection."""
CATCHING_UP = 1.25
"""So much faster than the pace requests may leave when answers are slow. At the pace itself, places that freed while a
slice waited for its last answers and loaded would stay free for good; so a run uses 98.9 % of its budget when answers
take 3 s. Faster would be bursts, which come again a window later, and then each answer that is late keeps a place
waiting: 97.5 to 98.6 % instead of 98.9 % where answers of 3 s vary by 0.45 s."""
LOOKS_PER_PACE = 10
"""How often somebody who waits for answers asks whether another request may begin."""
RECENT_ANSWERS = 9
"""The median of so many is what an answer takes: one that is late moves nothing, five that are slow do."""


def pace_seconds(limit: RateLimit) -> float:
    """Returns how long one place in the budget lasts.

    Examples:
        >>> pace_seconds(RateLimit(60, 60))
        1.0
    """
    return max(limit.seconds / limit.requests, SHORTEST_PACE_SECONDS)


def enough_in_flight(answer_seconds: float, pace: float) -> int:
    """Returns how many requests at once use the whole budget when each takes so long.

    Examples:
        >>> [enough_in_flight(seconds, pace=1.0) for seconds in (0.05, 0.99, 1.0, 3.0, 60.0)]
        [1, 1, 2, 4, 8]
    """
    return 1 if answer_seconds < pace else min(ceil(CATCHING_UP * answer_seconds / pace), MOST_IN_FLIGHT)


class Flights:
    """The requests of one client that are on their way, and how long answers take. Thread-safe.

    Args:
        limit: What the API allows; says how long a place in the budget lasts.
        clock: Where time comes from.
    """

    def __init__(self, limit: RateLimit, clock: Clock) -> None:
        self.pace_seconds = pace_seconds(limit)
        self.look_seconds = self.pace_seconds / LOOKS_PER_PACE
        self._clock = clock
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._departed: dict[int, float] = {}
        self._last_departure = -inf
        self._answer_seconds = deque[float](maxlen=RECENT_ANSWERS)
        self._asleep = 0

    @property
    def away(self) -> int:
        """How many are on their way: sent, and not answered. So many are lost with the process."""
        return len(self._departed)

    def depart(self) -> int:
        """Notes that a request leaves, and returns its number for `land`."""
        with self._lock:
            number = next(self._numbers)
            self._departed[number] = self._last_departure = self._clock.monotonic()
            return number

    def land(self, number: int) -> None:
        """Notes that the answer is there, or that there is none."""
        with self._lock:
            self._answer_seconds.append(self._clock.monotonic() - self._departed.pop(number))

    @contextmanager
    def asleep(self) -> Iterator[None]:
        """Notes that a request failed and waits until it is sent again, while the block runs."""
        with self._lock:
            self._asleep += 1
        try:
            yield
        finally:
            with self._lock:
                self._asleep -= 1

    def may_begin(self, under_way: int) -> bool:
        """Returns whether one more request is worth it.

        Not while one waits for the budget, which takes the next place in the instant in which it is free, nor while an
        answer is there that nobody has looked at. One that is held up does not count, so that the others go on: it
        failed and waits to be sent again, or its answer takes longer than answers take.

        Args:
            under_way: Requests that were begun and whose answers have not been looked at.
        """
        with self._lock:
            now = self._clock.monotonic()
            usual = median(self._answer_seconds) if self._answer_seconds else 0.0
            patience = max(self.pace_seconds, CATCHING_UP * usual)
            expected = sum(now - departed < patience for departed in self._departed.values())
            waiting = under_way - len(self._departed) - self._asleep
            rested = now - self._last_departure >= self.pace_seconds / CATCHING_UP
        if waiting > 0 or under_way >= MOST_IN_FLIGHT:
            return False
        return expected == 0 or (rested and expected < enough_in_flight(usual, self.pace_seconds))
