"""What has been read of a list that pages from newest to oldest, and what is left: a set of open walks.

Every list of the API that pages by token runs newest to oldest, so what is left to read is a few gaps. A walk is one
of them: it began at `top`, goes on with the page token `after`, and ends at the first position below `floor`. An
interrupted walk stays open; one that meets its floor, or the end of the list, closes.

Positions are whole numbers that fall along the list: microseconds since 1970 for lists in order of time, the id for
lists in order of id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

IDS_ARE_UNIQUE = -1
"""Look-back for lists in order of id: the newest known id itself ends the walk, nothing is read twice."""


@dataclass(frozen=True, slots=True)
class Walk:
    """One gap that is being read, from newest to oldest."""

    top: int | None = None
    """Newest position on its first page; None until that page is read."""
    after: str | None = None
    """Page token to go on with, exactly as the API sent it; None: begin at the head of the list."""
    floor: int | None = None
    """The walk ends at the first position below this one; None: at the end of the list."""
    low: int | None = None
    """Oldest position read so far."""

    @property
    def begun(self) -> bool:
        """Whether its first page has been read."""
        return self.top is not None

    def to_state(self) -> dict[str, Any]:
        """Returns it as JSON values."""
        return {"top": self.top, "after": self.after, "floor": self.floor, "low": self.low}


@dataclass(frozen=True, slots=True)
class Coverage:
    """The open walks of one list, newest first, and the newest position that any walk has seen."""

    newest: int | None = None
    walks: tuple[Walk, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether nothing is known to be missing."""
        return not self.walks

    def begin(self, look_back: int = 0) -> Coverage:
        """Returns the coverage with a head walk open, down to `look_back` below the newest known position.

        Args:
            look_back: 0 reads the positions equal to the newest again, as times can tie; `IDS_ARE_UNIQUE` does not.

        Example:
            >>> Coverage(newest=900).begin().walks
            (Walk(top=None, after=None, floor=900, low=None),)
        """
        if self.walks and not self.walks[0].begun:
            return self
        floor = None if self.newest is None else self.newest - look_back
        return replace(self, walks=(Walk(floor=floor), *self.walks))

    def advance(self, walk: Walk, positions: Sequence[int], next_token: str | None) -> tuple[Coverage, Walk | None]:
        """Returns the coverage after one more page of `walk`, and the walk as it goes on; None when it closed.

        `top` is taken from the first page: a record that changes while the walk goes on jumps to the head of the list,
        where the next head walk finds it.

        Args:
            walk: One of `walks`.
            positions: Of the page's records, in any order; may be empty.
            next_token: None when the API says that this was the last page.

        Example:
            >>> coverage = Coverage().begin()
            >>> coverage, walk = coverage.advance(coverage.walks[0], [9, 8, 7], "7")
            >>> coverage.newest, walk
            (9, Walk(top=9, after='7', floor=None, low=7))
            >>> coverage.advance(walk, [6, 5], None)
            (Coverage(newest=9, walks=()), None)
        """
        top = walk.top if walk.top is not None else max(positions, default=None)
        lows = [*positions, *([] if walk.low is None else [walk.low])]
        low = min(lows, default=None)
        met_floor = low is not None and walk.floor is not None and low < walk.floor
        going_on = None if next_token is None or met_floor else Walk(top, next_token, walk.floor, low)
        newest = max((seen for seen in (self.newest, top) if seen is not None), default=None)
        return Coverage(newest, self._with(walk, going_on)), going_on

    def take_head(self, position: int) -> Coverage:
        """Returns the coverage with one more position known, the only one above `newest`. Costs no page."""
        return replace(self, newest=position)

    def to_state(self) -> dict[str, Any]:
        """Returns it as JSON values, for dlt's resource state."""
        return {"newest": self.newest, "walks": [walk.to_state() for walk in self.walks]}

    @classmethod
    def from_state(cls, state: Mapping[str, Any] | None) -> Coverage:
        """Returns the coverage that `to_state` wrote; an empty one for None or an empty mapping."""
        if not state:
            return cls()
        return cls(state.get("newest"), tuple(Walk(**walk) for walk in state.get("walks", ())))

    def _with(self, walk: Walk, going_on: Walk | None) -> tuple[Walk, ...]:
        swapped = (going_on if known == walk else known for known in self.walks)
        return tuple(known for known in swapped if known is not None)
