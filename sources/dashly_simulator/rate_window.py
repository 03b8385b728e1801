"""The limit of requests per window, counted in each of the ways that a server might."""

from __future__ import annotations

from collections import deque
from math import ceil
from typing import Protocol

from .settings import SimulatorSettings


class RateWindow(Protocol):
    """Says of a request arriving now whether it is within the limit."""

    def admit(self, now: float) -> bool:
        """Whether the request is answered; counts it if so."""

    def wait_seconds(self, now: float) -> int:
        """Whole seconds until a request would be admitted, at least 1."""


class FixedWindow:
    """At most `limit` requests in each window that begins at a multiple of `seconds`."""

    def __init__(self, limit: int, seconds: float, rejected_count: bool) -> None:
        self._limit, self._seconds, self._rejected_count = limit, seconds, rejected_count
        self._window, self._used = -1, 0

    def admit(self, now: float) -> bool:
        """Whether the request is answered; counts it if so."""
        window = int(now // self._seconds)
        if window != self._window:
            self._window, self._used = window, 0
        admitted = self._used < self._limit
        self._used += admitted or self._rejected_count
        return admitted

    def wait_seconds(self, now: float) -> int:
        """Whole seconds until the next window begins."""
        return max(1, ceil((now // self._seconds + 1) * self._seconds - now))


class SlidingWindow:
    """At most `limit` requests in any `seconds`."""

    def __init__(self, limit: int, seconds: float, rejected_count: bool) -> None:
        self._limit, self._seconds, self._rejected_count = limit, seconds, rejected_count
        self._times: deque[float] = deque(maxlen=limit)

    def admit(self, now: float) -> bool:
        """Whether the request is answered; counts it if so."""
        while self._times and self._times[0] <= now - self._seconds:
            self._times.popleft()
        admitted = len(self._times) < self._limit
        if admitted or self._rejected_count:
            self._times.append(now)
        return admitted

    def wait_seconds(self, now: float) -> int:
        """Whole seconds until the oldest request leaves the window."""
        return max(1, ceil(self._times[0] + self._seconds - now)) if self._times else 1


class TokenBucket:
    """A bucket of `limit` that refills evenly in `seconds`; a rejected call that counts starts the refill anew."""

    def __init__(self, limit: int, seconds: float, rejected_count: bool) -> None:
        self._limit, self._per_second, self._rejected_count = limit, limit / seconds, rejected_count
        self._level, self._filled_at = float(limit), 0.0

    def admit(self, now: float) -> bool:
        """Whether the request is answered; takes one out if so."""
        self._level = min(self._limit, self._level + (now - self._filled_at) * self._per_second)
        self._filled_at = now
        if self._level >= 1 - 1e-9:
            self._level -= 1
            return True
        if self._rejected_count:
            self._level = 0.0
        return False

    def wait_seconds(self, now: float) -> int:
        """Whole seconds until one is in it again."""
        missing = 1 - self._level - (now - self._filled_at) * self._per_second
        return max(1, ceil(missing / self._per_second))


def make_window(settings: SimulatorSettings) -> RateWindow | None:
    """The window that the settings describe; None without a limit."""
    if settings.rate is None:
        return None
    kinds: dict[str, type[FixedWindow | SlidingWindow | TokenBucket]] = {
        "fixed": FixedWindow,
        "sliding": SlidingWindow,
        "bucket": TokenBucket,
    }
    return kinds[settings.rate_window](*settings.rate, settings.rejected_calls_count)
