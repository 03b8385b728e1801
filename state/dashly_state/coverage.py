"""What has been read of a list that pages from newest to oldest, and what is left: a set of open walks.

Every list of the API that pages by token runs newest to oldest, so what is left to read is a few gaps. A walk is one
of them: it began at `top`, goes on with the page token `after`, and ends at the first position below `floor`. An
interrupted walk stays open; one that meets its floor, or the end of the list, closes.

A sweep is a walk over the whole list for what no head reveals: edits, removals, silent changes. It is read with what is
left of the budget, and nothing counts as missing because of it. What is held and was not seen since it began, is gone:
so it is with ids. Where times are the page tokens, records that tie with the last one of a page may be left out by the
server. So every other sweep is shifted, that is, its pages end elsewhere, and only what two walks missed is gone.

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
    began_at: int | None = None
    """When its first page was read, microseconds since 1970."""
    seen: int = 0
    """Records on its pages so far."""
    is_sweep: bool = False
    """Reads again what is known."""
    is_shifted: bool = False
    """Its pages end half a page away from where those of other walks do."""

    @property
    def begun(self) -> bool:
        """Whether its first page has been read."""
        return self.began_at is not None or self.after is not None

    @property
    def met_floor(self) -> bool:
        """Whether it has read below its floor."""
        return self.low is not None and self.floor is not None and self.low < self.floor

    def advance(self, positions: Sequence[int], next_token: str | None, now: int) -> Walk:
        """Returns the walk after one more page."""
        lows = [*positions, *([] if self.low is None else [self.low])]
        return Walk(
            top=self.top if self.top is not None else max(positions, default=None),
            after=next_token,
            floor=self.floor,
            low=min(lows, default=None),
            began_at=now if self.began_at is None else self.began_at,
            seen=self.seen + len(positions),
            is_sweep=self.is_sweep,
            is_shifted=self.is_shifted,
        )

    def to_state(self) -> dict[str, Any]:
        """Returns it as JSON values, without those that are empty."""
        values = ((name, getattr(self, name)) for name in self.__slots__)
        return {name: value for name, value in values if value is not None and value is not False}


@dataclass(frozen=True, slots=True)
class Coverage:
    """The open walks of one list, newest first, and the newest position that any walk has seen."""

    newest: int | None = None
    walks: tuple[Walk, ...] = ()
    """Open walks: the gaps, newest first, and at most one sweep behind them."""
    read_whole_at: int | None = None
    """When the last walk from head to end began; what was not seen since is gone, unless a page's end hid it.
    Microseconds since 1970."""
    read_twice_at: int | None = None
    """When the earlier began of the last two walks from head to end whose pages ended at different records; a single
    page counts for both. What was not seen since is gone. Microseconds since 1970."""
    shift_next: bool = False
    """The last walk from head to end had pages that the next sweep has to end elsewhere."""

    @property
    def gaps(self) -> tuple[Walk, ...]:
        """The open walks over what is known to be missing, newest first."""
        return tuple(walk for walk in self.walks if not walk.is_sweep)

    @property
    def sweep(self) -> Walk | None:
        """The open sweep."""
        return next((walk for walk in self.walks if walk.is_sweep), None)

    @property
    def complete(self) -> bool:
        """Whether nothing is known to be missing."""
        return not self.gaps

    def begin(self, look_back: int = 0, settled: int | None = None) -> Coverage:
        """Returns the coverage with a head walk open, down to `look_back` below the newest known position.

        Args:
            look_back: 0 reads the positions equal to the newest again, as times can tie; `IDS_ARE_UNIQUE` does not.
            settled: What comes late came late enough to have been seen before this: no need to look further back. Once
                it lies above the newest position, what ties with that is not read again either.

        Example:
            >>> Coverage(newest=900).begin().gaps[0].floor
            900
            >>> [Coverage(newest=900).begin(50, settled).gaps[0].floor for settled in (800, 870, 1000)]
            [850, 870, 901]
        """
        if self.gaps and not self.gaps[0].begun:
            return self
        return replace(self, walks=(Walk(floor=self.head_floor(look_back, settled)), *self.walks))

    def head_floor(self, look_back: int, settled: int | None = None) -> int | None:
        """Returns the floor of the head walk that `begin` opens; None when nothing is known."""
        if self.newest is None:
            return None
        below = self.newest - look_back
        return below if settled is None else max(below, min(self.newest + 1, settled))

    def begin_sweep(self, *, shifted: bool = False) -> Coverage:
        """Returns the coverage with a sweep open; the open one when there is one."""
        return self if self.sweep else replace(self, walks=(*self.walks, Walk(is_sweep=True, is_shifted=shifted)))

    def advance(
        self, walk: Walk, positions: Sequence[int], next_token: str | None, now: int = 0
    ) -> tuple[Coverage, Walk | None]:
        """Returns the coverage after one more page of `walk`, and the walk as it goes on; None when it closed.

        `top` is taken from the first page: a record that changes while the walk goes on jumps to the head of the list,
        where the next head walk finds it.

        Args:
            walk: One of `walks`.
            positions: Of the page's records, in any order; may be empty.
            next_token: None when the API says that this was the last page.
            now: When the page was read, microseconds since 1970.

        Example:
            >>> coverage = Coverage().begin()
            >>> coverage, walk = coverage.advance(coverage.walks[0], [9, 8, 7], "7")
            >>> coverage.newest, walk.after, walk.low
            (9, '7', 7)
            >>> coverage, walk = coverage.advance(walk, [6, 5], None)
            >>> coverage.complete, walk
            (True, None)
        """
        read = walk.advance(positions, next_token, now)
        closed = next_token is None or read.met_floor
        top = None if walk.is_sweep and not closed else read.top  # a sweep may still have new records to read
        newest = max((seen for seen in (self.newest, top) if seen is not None), default=None)
        going_on = None if closed else read
        walks = self._with(walk, going_on)
        after = Coverage(newest, walks, self.read_whole_at, self.read_twice_at, self.shift_next)
        return after if next_token is not None else after._read_whole(read, walk), going_on

    def _read_whole(self, read: Walk, before_its_end: Walk) -> Coverage:
        """Returns the coverage after a walk, of any kind, that came from the head to the end of the list."""
        if not before_its_end.begun:  # a single page, whose end hides nothing
            return replace(self, read_whole_at=read.began_at, read_twice_at=read.began_at, shift_next=False)
        ends_elsewhere = read.is_shifted == self.shift_next
        return replace(
            self,
            read_whole_at=read.began_at,
            read_twice_at=self.read_whole_at if ends_elsewhere else self.read_twice_at,
            shift_next=not read.is_shifted,
        )

    def take_head(self, position: int) -> Coverage:
        """Returns the coverage with one more position known, the only one above `newest`. Costs no page."""
        return replace(self, newest=position)

    def to_state(self) -> dict[str, Any]:
        """Returns it as JSON values, for dlt's resource state."""
        walks = [walk.to_state() for walk in self.walks]
        return {
            "newest": self.newest,
            "walks": walks,
            "read_whole_at": self.read_whole_at,
            "read_twice_at": self.read_twice_at,
            "shift_next": self.shift_next,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any] | None) -> Coverage:
        """Returns the coverage that `to_state` wrote; an empty one for None or an empty mapping."""
        if not state:
            return cls()
        walks = tuple(Walk(**walk) for walk in state.get("walks", ()))
        shift_next = bool(state.get("shift_next"))
        return cls(state.get("newest"), walks, state.get("read_whole_at"), state.get("read_twice_at"), shift_next)

    def _with(self, walk: Walk, going_on: Walk | None) -> tuple[Walk, ...]:
        swapped = (going_on if known == walk else known for known in self.walks)
        return tuple(known for known in swapped if known is not None)
