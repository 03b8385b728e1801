"""What is being waited for, and for how long: told by whoever waits, asked by whoever shows it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from .clock import Clock, SystemClock

OTHER_REQUESTS = "for requests that other processes sent with this token"
"""Also those of a run that ended less than a window ago."""
RATE_LIMITED = "as the API answered 429: too many requests"


@dataclass(frozen=True)
class Wait:
    """One wait.

    Attributes:
        cause: Goes on after "waiting": "for …" or "as …".
        seconds: How long it has lasted.
    """

    cause: str
    seconds: float


class Waiting:
    """One wait that may begin, have another cause and end."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.cause: str | None = None
        self.since = 0.0

    def because(self, cause: str | None) -> None:
        """Says what is waited for from now on; the same cause again goes on, None is no wait worth telling."""
        if cause != self.cause:
            self.cause, self.since = cause, self._clock.monotonic()


class Waits:
    """The waits of one run. Thread-safe.

    Args:
        clock: Where time comes from.

    Examples:
        >>> from dashly_state.clock import VirtualClock
        >>> clock = VirtualClock()
        >>> waits = Waits(clock)
        >>> with waits.during("for a reader"):
        ...     clock.advance(7.0)
        ...     waits.longest()
        Wait(cause='for a reader', seconds=7.0)
        >>> waits.longest() is None
        True
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._open: list[Waiting] = []

    @contextmanager
    def during(self, cause: str | None = None) -> Iterator[Waiting]:
        """Opens a wait while the block runs; its cause may come and change later."""
        waiting = Waiting(self._clock)
        waiting.because(cause)
        with self._lock:
            self._open.append(waiting)
        try:
            yield waiting
        finally:
            with self._lock:
                self._open.remove(waiting)

    def longest(self) -> Wait | None:
        """Returns the wait that has lasted longest; None when nothing is waited for."""
        now = self._clock.monotonic()
        with self._lock:
            found = [Wait(one.cause, now - one.since) for one in self._open if one.cause is not None]
        return max(found, key=lambda wait: wait.seconds, default=None)
