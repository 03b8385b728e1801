"""Pages: where one begins, where it ends, and the token that leads to the next.

A list is an iterator of (position, row) from newest to oldest. Positions are ids for parts and events
(integer tokens) and (microseconds, index) for conversations and users (tokens that look like a time).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

from .answers import Result, invalid
from .arguments import Arguments, parse_identifier
from .settings import SimulatorSettings

R = TypeVar("R")
Spot = tuple[int, int]
DEFAULT_COUNT = 20
LARGEST_COUNT = 50
TIE_DIGITS = 7
_TIME_TOKEN = re.compile(r"(\d{1,12})(?:\.(\d{1,6})(\d{7})?\d*)?")


@dataclass(frozen=True)
class Page:
    """One page of rows, and whether there is a next one."""

    rows: list[Any] = field(default_factory=list)
    ends_at: Any = None
    next_at: Any = None


def cut_page(rows: Iterator[tuple[Any, R]], count: int, settings: SimulatorSettings) -> Page:
    """The first `count` rows; `ends_at` is the last one's position if a next page is to be asked for."""
    taken = list(islice(rows, count))
    following = next(rows, None)
    goes_on = following is not None or (settings.exact_page_ends and len(taken) == count)
    return Page(
        [row for _, row in taken],
        taken[-1][0] if taken and goes_on else None,
        following[0] if following is not None else None,
    )


def read_count(arguments: Arguments, name: str = "count") -> int:
    """How many rows a page holds: 1 to 50, 20 unless told."""
    return arguments.integer(name, DEFAULT_COUNT, 1, LARGEST_COUNT)


def parse_time_token(text: str) -> Spot:
    """The position that a time token stands for: everything below it is still to come.

    Digits beyond microseconds are the index of the last row of the page, which parts rows of equal time.

    >>> parse_time_token("1447339319.900966")
    (1447339319900966, 0)
    >>> parse_time_token("1447339319.9009660000042")
    (1447339319900966, 42)
    """
    match = _TIME_TOKEN.fullmatch(text)
    if match is None:
        raise invalid("after", "Must be a page token.")
    seconds, fraction, index = match.groups()
    return int(seconds) * 1_000_000 + int((fraction or "").ljust(6, "0")), int(index or 0)


def time_token(page: Page, tie_break: str) -> str | None:
    """The token of a page that ends at a (microseconds, index); None when nothing follows.

    >>> time_token(Page([], (1447339319900966, 42), (1447339319900966, 7)), "id")
    '1447339319.9009660000042'
    >>> time_token(Page([], (1447339319900966, 42), (1447339319900965, 7)), "id")
    '1447339319.900966'
    """
    if page.ends_at is None:
        return None
    time_us, index = page.ends_at
    text = f"{time_us // 1_000_000}.{time_us % 1_000_000:06d}"
    is_tied = page.next_at is not None and page.next_at[0] == time_us
    return f"{text}{index:0{TIE_DIGITS}d}" if is_tied and tie_break == "id" else text


class Pager:
    """Reads paging arguments and writes page tokens, in the v1 or the v2 dialect."""

    def __init__(self, settings: SimulatorSettings, arguments: Arguments, version: str) -> None:
        self._settings = settings
        self._arguments = arguments
        self._is_v1 = version == "v1"

    @property
    def count(self) -> int:
        """The page size asked for."""
        return read_count(self._arguments, "count" if self._is_v1 else "paginate_count")

    def spot(self, index_of: Callable[[int], int]) -> Spot | None:
        """Where a list ordered by time goes on; None for the top. `index_of` finds the row of a v2 position's id."""
        if not self._is_v1:
            position = self._position(2)
            return None if position is None else (round(position[0] * 1e6), index_of(int(position[1])))
        text = self._arguments.text("after")
        return parse_time_token(text) if text else None

    def identifier(self) -> int | None:
        """Where a list ordered by id goes on: only ids below come next; None for the top."""
        if not self._is_v1:
            position = self._position(1)
            return None if position is None else int(position[0])
        text = self._arguments.text("after")
        return parse_identifier("after", text) if text else None

    def by_time(self, page: Page, render: Callable[[Any], Any], id_of: Callable[[Any], int]) -> Result:
        """The answer for a page of a list ordered by time."""
        token = time_token(page, self._settings.tie_break)
        if not self._is_v1 and token is not None:
            token = f"[{page.ends_at[0] / 1e6!r}, {id_of(page.rows[-1])}]"
        return self._result(page, render, token)

    def by_id(self, page: Page, render: Callable[[Any], Any]) -> Result:
        """The answer for a page of a list ordered by id."""
        token = None if page.ends_at is None else str(page.ends_at)
        return self._result(page, render, token if self._is_v1 or token is None else f"[{token}]")

    def _result(self, page: Page, render: Callable[[Any], Any], token: str | None) -> Result:
        name: str | None = "next_after" if self._is_v1 else "next_before_position"
        if token is None and self._settings.last_page_token == "absent":  # noqa: S105 - a page token, not a secret
            name = None
        return Result([render(row) for row in page.rows], token_name=name, token=token)

    def _position(self, length: int) -> list[float] | None:
        text = self._arguments.text("paginate_position")
        if not text:
            return None
        position = self._arguments.data("paginate_position", list)
        if len(position) != length or not all(isinstance(number, int | float) for number in position):
            raise invalid("paginate_position", f"Must be a JSON list of {length} numbers, got {json.dumps(position)}.")
        return list(position)
