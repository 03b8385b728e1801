"""An order of rows by time, newest first, that stays right while times change."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator

from .ids import LOW_BITS, LOW_MASK

NOT_RANKED = -1


class Ranking:
    """Row indexes ordered by (time, index); times are microseconds, 0 sorts last of all.

    Holds one packed integer a row: 200,000 rows are about 10 MB, and a move is two bisections and two memmoves.
    """

    def __init__(self, times: array[int]) -> None:
        self._times = array("q", times)
        self._keys = sorted(time << LOW_BITS | index for index, time in enumerate(times) if time != NOT_RANKED)

    def __len__(self) -> int:
        return len(self._keys)

    def place(self, index: int, time_us: int) -> None:
        """Put row `index` where `time_us` belongs, wherever it was before."""
        self.remove(index)
        key = time_us << LOW_BITS | index
        self._keys.insert(bisect_left(self._keys, key), key)
        self._times[index] = time_us

    def remove(self, index: int) -> None:
        """Take row `index` out of the order, if it is in it."""
        while len(self._times) <= index:
            self._times.append(NOT_RANKED)
        if self._times[index] != NOT_RANKED:
            del self._keys[bisect_left(self._keys, self._times[index] << LOW_BITS | index)]
            self._times[index] = NOT_RANKED

    def below(self, time_us: int | None, index: int = 0) -> Iterator[tuple[int, int]]:
        """(time, index) of the rows that come after the given position, newest first; from the top for None."""
        end = len(self._keys) if time_us is None else bisect_left(self._keys, time_us << LOW_BITS | index)
        for position in range(end - 1, -1, -1):
            key = self._keys[position]
            yield key >> LOW_BITS, key & LOW_MASK

    def at(self, offset: int, limit: int) -> list[int]:
        """Row indexes number `offset` to `offset + limit`, newest first."""
        end = len(self._keys) - offset
        return [key & LOW_MASK for key in reversed(self._keys[max(0, end - limit) : max(0, end)])]


def tie(times: array[int], size: int, edge: int = 50, every: int = 10) -> None:
    """Give `size` rows one time at the first, the eleventh, ... page edge, half of them on either side.

    Rows only move up in time, and rows without one (0) are left alone.
    """
    if size < 2:
        return
    order = sorted(range(len(times)), key=lambda index: (-times[index], -index))
    for middle in range(edge, len(order), edge * every):
        group = [i for i in order[max(0, middle - size // 2) : middle + (size + 1) // 2] if times[i] > 0]
        for index in group:
            times[index] = times[group[0]]
