"""What is known of one parent's children: which are held, which are missing, and what its next list row means.

One row per parent and child stream, kept in the warehouse's table `sync_progress`, where it travels in the same load
package as the rows it speaks of. Resuming is a query, not a blob that grows with the account.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from dashly_state.coverage import IDS_ARE_UNIQUE, Coverage, Walk


class Need(enum.Enum):
    """What a parent's list row asks for."""

    NOTHING = "nothing"
    """Every child is held or already known to be missing."""
    LAST_ONLY = "last only"
    """The row itself carries the only child that is new: no request."""
    READ = "read"
    """The children's list has to be read, down to a known id."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a parent's list row says of its children."""

    at: int
    """The parent's own clock (`last_update`, `$last_seen`), microseconds since 1970; 0 when it has none."""
    count: int | None = None
    """`parts_count`: a hint, it may count what the API does not list and miss what it does."""
    last_id: int | None = None
    """Id of the newest child, `part_last.id`."""
    last_is_whole: bool = False
    """The row carries that child whole, so that it need not be asked for."""
    last_is_only: bool = False
    """The newest child says of itself that it is the first, so there is no other."""


@dataclass(frozen=True, slots=True)
class Progress:
    """One parent's children in one stream."""

    stream: str
    parent_id: str
    told: Told = field(default_factory=lambda: Told(at=0))
    coverage: Coverage = field(default_factory=Coverage)
    missing_before: int = 0
    """What is missing is at most this recent, microseconds since 1970: decides what is read first."""
    held: int = 0
    """Children that were read, each counted once."""
    gone_at: int | None = None
    """When the API said that it does not know the parent, microseconds since 1970."""
    known: bool = False
    """False for a parent that no run has met before."""

    @property
    def pending(self) -> bool:
        """Whether children are known to be missing."""
        return not self.coverage.complete

    @property
    def checked_at(self) -> int | None:
        """When the children were last read whole, microseconds since 1970; what was not seen since is gone."""
        return self.coverage.read_whole_at

    @property
    def newest_id(self) -> int | None:
        """Id of the newest child held."""
        return self.coverage.newest

    def hear(self, told: Told, now: int) -> tuple[Progress, Need]:
        """Returns the progress after one more list row of the parent, and what that row asks for.

        Costs no request. With no `last_id` to go by, the parent's clock decides.
        """
        if self.gone_at is not None:
            return Progress(self.stream, self.parent_id, told, known=True).begin(), Need.READ
        need = self._need(told)
        heard = replace(self, told=told, known=True)
        if need is Need.READ:
            return heard.begin(), need
        if need is Need.LAST_ONLY and told.last_id is not None:
            coverage = self.coverage.take_head(told.last_id)
            if told.last_is_only:
                # Nothing was read so far, so a gap that is open has no other child to look for.
                walks = tuple(walk for walk in coverage.walks if walk.is_sweep or self.newest_id is not None)
                coverage = replace(coverage, walks=walks, read_whole_at=now)
            return replace(heard, coverage=coverage, held=self.held + 1), need
        return heard, need

    def see_only(self, told: Told, now: int) -> Progress | None:
        """Returns the progress when a list row shows again, whole, the only child there is; None when it does not.

        That is as good as reading the children's list, and costs no request.
        """
        shows_all = told.last_is_whole and told.last_is_only and told.last_id == self.newest_id
        if not shows_all or self.pending or self.gone_at is not None:
            return None
        return replace(self, told=told, coverage=replace(self.coverage, read_whole_at=now), held=1)

    def read(self, walk: Walk, ids: Sequence[int], next_token: str | None, next_at: int | None, now: int) -> Progress:
        """Returns the progress after one page of the children's list.

        Args:
            walk: The one of `coverage.walks` that the page belongs to.
            ids: Of the page's children.
            next_token: None at the end of the list.
            next_at: How recent the next page may be, microseconds since 1970; None when nothing says so.
            now: Microseconds since 1970.
        """
        coverage, _ = self.coverage.advance(walk, ids, next_token, now)
        new = sum(1 for child in set(ids) if walk.floor is None or child >= walk.floor)
        held = self.held if walk.is_sweep else self.held + new
        if next_token is None:
            held = walk.seen + len(ids)  # from the newest to the oldest: these are all there are
        return replace(
            self,
            coverage=coverage,
            held=held,
            missing_before=self.told.at if next_at is None else min(self.told.at, next_at),
        )

    def begin_sweep(self) -> Progress:
        """Returns the progress with a walk open over all children, also the known ones."""
        return replace(self, coverage=self.coverage.begin_sweep())

    def begin(self) -> Progress:
        """Returns the progress with a walk open for children above the newest one held."""
        return replace(self, coverage=self.coverage.begin(IDS_ARE_UNIQUE), missing_before=self.told.at)

    def give_up(self, now: int) -> Progress:
        """Returns the progress of a parent that the API no longer knows: nothing is left to read."""
        return replace(self, coverage=Coverage(self.coverage.newest, (), self.checked_at), gone_at=now)

    def _need(self, told: Told) -> Need:
        if told.last_id is None:
            moved = not self.known or told.at > self.told.at or told.count != self.told.count
            return Need.READ if moved else Need.NOTHING
        if told.last_id == self.newest_id or self._says_the_same(told, told.last_id):
            return Need.NOTHING
        is_new = self.newest_id is None or told.last_id > self.newest_id
        new_alone = is_new and (told.last_is_only or self._exactly_one_new(told))
        return Need.LAST_ONLY if new_alone and told.last_is_whole else Need.READ

    def _says_the_same(self, told: Told, last_id: int) -> bool:
        """Whether a row that names an older child than the newest one held, because that was removed, is unchanged."""
        before = (self.told.at, self.told.count, self.told.last_id)
        return self.newest_id is not None and last_id < self.newest_id and before == (told.at, told.count, last_id)

    def _exactly_one_new(self, told: Told) -> bool:
        """Whether `told.last_id`, which is above those held, is the only one.

        The count may count more than the list shows (hidden children only make the difference larger, so a difference
        of one still leaves room for one child alone), but where more was read than was counted it cannot be relied on.
        """
        if told.count is None or self.told.count is None or self.newest_id is None:
            return False
        in_step = self.told.last_id == self.newest_id and self.held <= self.told.count
        return in_step and told.count == self.told.count + 1


class ProgressLookup(Protocol):
    """Asks the destination what is known. A request costs nothing of the API's budget."""

    def known(self, stream: str, parent_ids: Iterable[str]) -> Mapping[str, Progress]:
        """Returns the progress of those of `parent_ids` that have been met before."""
        ...

    def pending(self, streams: Iterable[str], since: int | None = None) -> Iterator[Progress]:
        """Yields every parent with children known to be missing, the one that misses the newest first.

        Args:
            streams: Which children.
            since: Leaves out those that miss nothing as recent as this, microseconds since 1970.
        """
        ...

    def backlog(self, streams: Iterable[str], since: int | None = None) -> Mapping[str, int]:
        """Returns how many parents `pending` would yield, by stream."""
        ...

    def longest_unchecked(self, streams: Iterable[str], before: int) -> Iterator[Progress]:
        """Yields parents with nothing known to be missing, the one whose children were read whole longest ago first.

        Args:
            streams: Which children.
            before: Leaves out those that were read whole at this time or later, microseconds since 1970.
        """
        ...
