"""A set of ids that takes eight bytes for each, where a set of texts would take a hundred."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable

_LONGEST_NUMBER = 19
"""Digits that surely fit 64 bits."""
_SORT_AT = 5_000
"""Ids that wait to be sorted in, half a megabyte; of a large set a fiftieth of it."""
_BLOCK = 10_000
"""Numbers that are sorted at once: as objects, which they are meanwhile, they take five times the memory."""


class IdSet:
    """Answers whether an id may be in it; of two ids that are the same number, one may stand for the other.

    Args:
        ids: As text; nearly all are numbers.

    Example:
        >>> ids = IdSet(["1448121617782670208", "no-number"])
        >>> ids.add(["12"])
        >>> [one in ids for one in ("12", "13", "no-number", "other")]
        [True, False, True, False]
    """

    def __init__(self, ids: Iterable[str] = ()) -> None:
        self._numbers = array("Q")
        self._recent: set[str] = set()
        """What is no number, and numbers that are not sorted in yet."""
        self._sort_at = _SORT_AT
        self.add(ids)

    def __contains__(self, one: str) -> bool:
        if one in self._recent:
            return True
        if not _is_number(one):
            return False
        number = int(one)
        place = bisect_left(self._numbers, number)
        return place < len(self._numbers) and self._numbers[place] == number

    def add(self, ids: Iterable[str]) -> None:
        """Takes more ids."""
        for one in ids:
            self._recent.add(one)
            if len(self._recent) >= self._sort_at:
                self._sort_in()

    def _sort_in(self) -> None:
        numbers = {one for one in self._recent if _is_number(one)}
        self._recent -= numbers
        self._numbers = _merged(self._numbers, sorted(map(int, numbers)))
        self._sort_at = len(self._recent) + max(_SORT_AT, len(self._numbers) // 50)


def _merged(numbers: array[int], more: list[int]) -> array[int]:
    """Returns both, in order, as both are.

    Example:
        >>> _merged(array("Q", [2, 4]), [1, 3, 5])
        array('Q', [1, 2, 3, 4, 5])
    """
    whole, taken = array("Q"), 0
    for start in range(0, len(numbers), _BLOCK):
        block = numbers[start : start + _BLOCK].tolist()
        end = bisect_right(more, block[-1], taken)
        whole.extend(array("Q", sorted(block + more[taken:end])))
        taken = end
    whole.extend(array("Q", more[taken:]))
    return whole


def _is_number(one: str) -> bool:
    return one.isdecimal() and len(one) <= _LONGEST_NUMBER
