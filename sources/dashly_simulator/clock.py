"""The time of the simulated world: a clock that moves when told, or the one on the wall."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

MICROSECONDS = 1_000_000
_UNIX_START = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds_of(moment: datetime) -> int:
    """Unix microseconds of an aware datetime, exactly.

    >>> microseconds_of(datetime(1970, 1, 1, 0, 0, 1, 5, tzinfo=UTC))
    1000005
    """
    return (moment - _UNIX_START) // timedelta(microseconds=1)


def datetime_of(microseconds: int) -> datetime:
    """The UTC datetime of unix microseconds, exactly.

    >>> datetime_of(1000005).isoformat()
    '1970-01-01T00:00:01.000005+00:00'
    """
    return _UNIX_START + timedelta(microseconds=microseconds)


class Clock(Protocol):
    """What the world asks of a clock."""

    def now(self) -> float:
        """Unix seconds."""

    def now_us(self) -> int:
        """Unix microseconds."""

    def now_at(self) -> datetime:
        """The same moment as an aware UTC datetime."""

    def advance(self, seconds: float) -> None:
        """Move on by `seconds`."""

    def catch_up(self, now: float) -> None:
        """Move on to `now` if that is later; never back."""


class VirtualClock:
    """A clock that stands still until it is moved."""

    def __init__(self, start: datetime) -> None:
        self._now_us = microseconds_of(start)

    def now(self) -> float:
        """Unix seconds."""
        return self._now_us / MICROSECONDS

    def now_us(self) -> int:
        """Unix microseconds."""
        return self._now_us

    def now_at(self) -> datetime:
        """The same moment as an aware UTC datetime."""
        return datetime_of(self._now_us)

    def advance(self, seconds: float) -> None:
        """Move on by `seconds`."""
        if seconds < 0:
            raise ValueError(f"a clock does not go back: advance({seconds})")
        self._now_us += round(seconds * MICROSECONDS)

    def catch_up(self, now: float) -> None:
        """Move on to `now` if that is later; never back."""
        self._now_us = max(self._now_us, round(now * MICROSECONDS))


class WallClock:
    """The machine's own clock, which nobody can move."""

    def now(self) -> float:
        """Unix seconds."""
        return time.time()

    def now_us(self) -> int:
        """Unix microseconds."""
        return time.time_ns() // 1000

    def now_at(self) -> datetime:
        """The same moment as an aware UTC datetime."""
        return datetime_of(self.now_us())

    def advance(self, seconds: float) -> None:
        """Nothing: deeds that move a virtual clock take no time on the wall."""

    def catch_up(self, now: float) -> None:
        """Nothing: the wall clock is always right."""
