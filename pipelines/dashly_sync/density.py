"""How long a list is of which only a few pages are known: its density over time, integrated. Pure.

A page says how many records a stretch of time holds. Between two pages the density is taken to change evenly, or, when
the older one is many times as old, as a power of the age: the head of a list is dense by bulk changes of the last
minutes. Behind the last page it falls to nothing where the list is known to have ended. Positions are microseconds
since 1970.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

YEAR = 365 * 86_400_000_000
HOUR = 3_600_000_000
EVEN_AGES = 4
"""Between two pages of which one is at most so many times as old as the other, the density changes evenly."""


class Certainty(enum.StrEnum):
    """How well a number is known; the larger one of two is the one of their sum."""

    EXACT = "exact"
    ESTIMATED = "estimated"
    AT_LEAST = "at least"
    """Only a lower bound is known."""

    def and_then(self, other: Certainty) -> Certainty:
        """Returns how well the sum of two numbers is known.

        Example:
            >>> Certainty.EXACT.and_then(Certainty.ESTIMATED).value
            'estimated'
        """
        order = list(Certainty)
        return max(self, other, key=order.index)


@dataclass(frozen=True, slots=True)
class Stretch:
    """The time that one page covers, newest first.

    Attributes:
        start: Where it was looked from; everything down to `low` is on the page.
        low: Position of its oldest record.
        records: How many there are.
        ends: Whether the list ends with it.
    """

    start: int
    low: int
    records: int
    ends: bool = False

    @property
    def density(self) -> float:
        """Records per microsecond."""
        return self.records / max(1, self.start - self.low)


@dataclass(frozen=True, slots=True)
class Extent:
    """How long a list is.

    Attributes:
        records: In all.
        certainty: How well that is known.
        weights: For how many records each stretch speaks: its own, and half of what lies between it and its neighbours.
    """

    records: float
    certainty: Certainty
    weights: tuple[float, ...]


def extent(stretches: Sequence[Stretch], empty_at: int | None = None) -> Extent:
    """Returns how long the list is.

    Args:
        stretches: At least one, from newest to oldest. Ages count from the start of the first.
        empty_at: A position below which there is nothing, when one is known.

    Example:
        >>> extent([Stretch(1000, 950, 50)], empty_at=850).records
        100.0
        >>> extent([Stretch(1000, 900, 50), Stretch(700, 600, 50, ends=True)]).records
        200.0
        >>> extent([Stretch(1000, 950, 50)]).certainty.value
        'at least'
    """
    top, last = stretches[0].start, stretches[-1]
    weights = [float(one.records) for one in stretches]
    for number, (newer, older) in enumerate(pairwise(stretches)):
        between = _between(newer.density, top - newer.low, older.density, top - older.start)
        weights[number] += between / 2
        weights[number + 1] += between / 2
    if last.ends:
        return Extent(sum(weights), Certainty.EXACT if len(weights) == 1 else Certainty.ESTIMATED, tuple(weights))
    if empty_at is not None:
        weights[-1] += max(0, last.low - empty_at) * last.density / 2
    is_guess = empty_at is None and len(weights) == 1
    return Extent(sum(weights), Certainty.AT_LEAST if is_guess else Certainty.ESTIMATED, tuple(weights))


def _between(newer: float, newer_age: int, older: float, older_age: int) -> float:
    """Returns the records between two ages, of which the densities are known.

    Example:
        >>> _between(4.0, 100, 2.0, 200), round(_between(1.0, 100, 0.1, 1000))
        (300.0, 230)
    """
    if older_age <= newer_age:
        return 0.0
    if older_age <= EVEN_AGES * newer_age:
        return (older_age - newer_age) * (newer + older) / 2
    first = max(1, newer_age)
    power = 1 - math.log(newer / older) / math.log(older_age / first)
    if abs(power) < 1e-9:
        return newer * first * math.log(older_age / first)
    return newer * first * math.expm1(power * math.log(older_age / first)) / power


def next_place(stretches: Sequence[Stretch], empty_at: int | None) -> int | None:
    """Returns the position from which one more page tells most about how long the list is; None when none does.

    Goes back a year and then three times as far each time, until there is nothing; then halves what lies between, in
    ages that double.

    Example:
        >>> head = Stretch(50 * YEAR, 50 * YEAR - HOUR, 50)
        >>> (50 * YEAR - next_place([head], None)) // YEAR
        1
        >>> (50 * YEAR - next_place([head, Stretch(49 * YEAR, 48 * YEAR, 50)], None)) // YEAR
        9
    """
    top, last = stretches[0].start, stretches[-1]
    reached = max(top - last.low, HOUR)
    if last.ends:
        return None
    if empty_at is not None:
        age = math.isqrt(reached * (top - empty_at))
        return top - age if age > reached * 1.5 else None
    age = YEAR
    while age <= reached * 1.5:
        age *= 3
    return top - age if top > age else None
