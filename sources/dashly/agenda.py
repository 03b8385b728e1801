"""What is known by now, and what is to be read next: the newest of what is missing.

One rule orders everything: what is newest comes first. The heads of the lists are newest of all; then a parent whose
children are missing counts as recent as the newest child it may miss, and an open walk as recent as where it stands.
So the children of what just changed come before history, and history fills in from its newest end.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Collection, Iterator

from dashly.endpoints import CHILDREN, LISTS, SNAPSHOTS, ListEndpoint
from dashly.slices import Slice, SourceState
from dashly.tasks import HEAD, Parent, Task
from dashly.values import MICRO
from dashly_state.coverage import Coverage, Walk
from dashly_state.progress import Progress, ProgressLookup


class Agenda:
    """The tasks of one slice.

    Args:
        selected: Resources whose rows are wanted.
        state: dlt's state; the lists' coverage is written there as it changes.
        lookup: What the destination knows of each parent.
        outcome: Where the backlog is counted.
        since: Nothing older is read, microseconds since 1970.
        skipped: Parents that are left for the next run.
    """

    def __init__(
        self,
        selected: frozenset[str],
        state: SourceState,
        lookup: ProgressLookup,
        outcome: Slice,
        since: int | None,
        skipped: Collection[Parent],
    ) -> None:
        self.selected = selected
        self.streams = [name for name in CHILDREN if name in selected]
        self.coverage: dict[str, Coverage] = {}
        """Of the lists that are read."""
        self._state, self._lookup, self._outcome = state, lookup, outcome
        self._since, self._skipped = since, skipped
        self._progress: dict[Parent, Progress] = {}
        self._queue: list[tuple[int, int, Task]] = []
        self._order = itertools.count()
        self._backlog: Iterator[Progress] = iter(())
        self._next_in_backlog: Progress | None = None
        self._in_flight: set[Parent | str] = set()

    def begin(self, *, heads: bool) -> None:
        """Queues everything that is known to be missing.

        Args:
            heads: Whether it is time to look at the heads of the lists.
        """
        for name, endpoint in LISTS.items():
            wanted = self.selected & {name, *endpoint.children, *endpoint.optional_children}
            if wanted:
                self._open(endpoint, wanted, heads=heads)
        for name in SNAPSHOTS:
            if name in self.selected and name not in self._state.run.get("snapshots", ()):
                self.push(Task(name, HEAD - 1, Walk()))
        self._outcome.missing = dict(self._lookup.backlog(self.streams, self._since))
        self._backlog = self._lookup.pending(self.streams, self._since)
        self._next_in_backlog = next(self._backlog, None)

    def next_missing(self) -> Task | None:
        """Takes the most recent task, of this slice or of the backlog; None when nothing is known to be missing."""
        while True:
            waiting = self._next_in_backlog
            if waiting is not None and (not self._queue or waiting.missing_before > -self._queue[0][0]):
                self._take_from_backlog(waiting)
                continue
            if not self._queue:
                return None
            task = heapq.heappop(self._queue)[2]
            if self._is_current(task):
                return task

    def push(self, task: Task) -> None:
        """Queues a task, unless it is older than what is to be read."""
        if self._since is None or task.recency >= self._since:
            heapq.heappush(self._queue, (-task.recency, next(self._order), task))

    def push_list(self, name: str, walk: Walk) -> None:
        """Queues the next page of a list's walk."""
        self.push(Task(name, HEAD if walk.low is None else walk.low, walk))

    # ---- what is known -----------------------------------------------------------------------------------------

    def set_coverage(self, name: str, coverage: Coverage) -> None:
        """Keeps what has been read of a list, here and in dlt's state."""
        self.coverage[name] = coverage
        self._state.of(name)["coverage"] = coverage.to_state()

    def note(self, before: Progress, after: Progress) -> None:
        """Keeps what is known now of a parent, and queues what its children still miss."""
        self._progress[after.stream, after.parent_id] = after
        if after.stream in self.selected:
            self._outcome.missing[after.stream] += after.pending - before.pending
        self._push_child(after)

    def progress(self, known: Progress) -> Progress:
        """Returns what is known by now of the parent that `known` speaks of."""
        return self._progress.get((known.stream, known.parent_id), known)

    def known(self, stream: str, parent_ids: list[str]) -> dict[str, Progress]:
        """Returns each parent's progress: as this slice has it, else as the destination has it, else empty."""
        strangers = [parent_id for parent_id in parent_ids if (stream, parent_id) not in self._progress]
        held = self._lookup.known(stream, strangers)
        return {
            parent_id: self._progress.get((stream, parent_id)) or held.get(parent_id) or Progress(stream, parent_id)
            for parent_id in parent_ids
        }

    # ---- what is being read ------------------------------------------------------------------------------------

    def began(self, task: Task) -> None:
        """The task's request is under way."""
        self._in_flight.add(task.parent or task.resource)

    def ended(self, task: Task) -> None:
        """The task's request was answered, or failed."""
        self._in_flight.discard(task.parent or task.resource)

    def is_in_flight(self, what: Parent | str) -> bool:
        """Whether a request for this parent's children, or this list, is under way."""
        return what in self._in_flight

    def is_skipped(self, parent: Parent) -> bool:
        """Whether the parent is left for the next run."""
        return parent in self._skipped

    def _open(self, endpoint: ListEndpoint, wanted: frozenset[str], *, heads: bool) -> None:
        """Takes up a list's walks; begins anew when rows are wanted that did not ride along before."""
        state = self._state.of(endpoint.resource)
        carried = wanted - frozenset(endpoint.children)
        coverage = Coverage.from_state(state.get("coverage"))
        if not carried <= frozenset(state.get("carried", carried)):
            coverage, heads = Coverage(), True
        if heads:
            coverage = coverage.begin(endpoint.look_back_seconds * MICRO, endpoint.settled(state.get("looked_at")))
        state["carried"] = sorted(carried)
        self.set_coverage(endpoint.resource, coverage)
        for walk in coverage.gaps:
            self.push_list(endpoint.resource, walk)

    def _take_from_backlog(self, waiting: Progress) -> None:
        self._next_in_backlog = next(self._backlog, None)
        if (waiting.stream, waiting.parent_id) not in self._progress:
            self._progress[waiting.stream, waiting.parent_id] = waiting
            self._push_child(waiting)

    def _push_child(self, progress: Progress) -> None:
        if progress.stream in self.selected and progress.pending:
            self.push(Task(progress.stream, progress.missing_before, progress.coverage.gaps[0], progress))

    def _is_current(self, task: Task) -> bool:
        """Whether the task still is what its parent or list needs: a later list row may have replaced it."""
        if task.progress is None or task.parent is None:
            return task.resource in SNAPSHOTS or task.walk in self.coverage[task.resource].walks
        known = self.progress(task.progress)
        left_out = self.is_skipped(task.parent) or self.is_in_flight(task.parent)
        return not left_out and known.pending and known.coverage.gaps[0] == task.walk
