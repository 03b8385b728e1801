"""The one seeded randomness: every generated value is a function of the seed and of where it stands."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")
_MASK = (1 << 64) - 1
_RANGE = float(1 << 64)


def mix(*numbers: int) -> int:
    """A 64-bit hash of small integers, equal on every machine and Python (splitmix64's finaliser, chained)."""
    state = 0x9E3779B97F4A7C15
    for number in numbers:
        state = ((state ^ number) * 0xBF58476D1CE4E5B9 + 0x632BE59BD9B4E019) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state


def unit(*numbers: int) -> float:
    """A number from 0 to below 1, a function of `numbers`."""
    return (mix(*numbers) >> 11) / (_RANGE / 2048)


def dice(*numbers: int) -> Random:
    """A random generator whose whole future is a function of `numbers`; about 4 microseconds."""
    return Random(mix(*numbers))


def pick(rng: Random, choices: Sequence[T]) -> T:
    """One of `choices`; unlike Random.choice it is pinned to one draw of random()."""
    return choices[int(rng.random() * len(choices))]
