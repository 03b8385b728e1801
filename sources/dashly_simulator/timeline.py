"""When the generated past happened: rows are created in the order of their index, ever more of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from .clock import microseconds_of
from .dice import unit

LEGACY_FROM_MS = microseconds_of(datetime(2016, 1, 1, tzinfo=UTC)) // 1000
LEGACY_UNTIL_MS = microseconds_of(datetime(2017, 11, 1, tzinfo=UTC)) // 1000
MODERN_AGE_MS = 3 * 365 * 86_400_000
"""The account's younger part is three years old; a choice, long enough for years of partitions."""
QUIET_MS = 86_400_000
"""Nothing is created on the last day before the start, so that everything has time to go on."""
GROWTH = 0.6


@dataclass(frozen=True)
class Timeline:
    """The creation times of `count` rows, the first `legacy_count` of them before December 2017."""

    seed: int
    kind: int
    count: int
    legacy_count: int
    end_ms: int

    def created_ms(self, index: int) -> int:
        """Unix milliseconds; grows with `index`."""
        position = index + unit(self.seed, self.kind, index)
        if index < self.legacy_count:
            return LEGACY_FROM_MS + int((LEGACY_UNTIL_MS - LEGACY_FROM_MS) * position / self.legacy_count)
        share = (position - self.legacy_count) / (self.count - self.legacy_count)
        return self.end_ms - MODERN_AGE_MS + int((MODERN_AGE_MS - QUIET_MS) * share**GROWTH)


def spread_ms(first_ms: int, last_ms: int, count: int, ordinal: int, jitter: float) -> int:
    """When the `ordinal`-th of `count` things happened; strictly growing, the first and last exactly on the ends.

    >>> [spread_ms(1000, 2000, 5, k, 0.5) for k in range(5)]
    [1000, 1375, 1625, 1875, 2000]
    """
    if ordinal == count - 1:
        return last_ms
    slot = (last_ms - first_ms) // (count - 1)
    return first_ms + slot * ordinal + (int(slot * jitter) if ordinal else 0)
