"""Reading again what is known, with what is left of the budget: edits, removals and silent changes show in no list.

The allowance is a share of the API's budget since the last run, so that two runs in a row stay cheap. It goes to the
parents whose children were read whole longest ago, and at its own pace to a sweep of each list.

First come parents that moved and whose row brought the new child along, as an older one may have been edited on the
occasion: each slice has the share of a minute for them, whatever the allowance.
"""

from __future__ import annotations

import itertools
from bisect import insort
from collections.abc import Iterator
from functools import partial

from dashly.agenda import Agenda
from dashly.paging import PAGE_RECORDS
from dashly.slices import State
from dashly.tasks import RECONCILE, Parent, Task
from dashly.values import MICRO
from dashly_state.budget import RateLimit
from dashly_state.clock import Clock
from dashly_state.coverage import Coverage
from dashly_state.progress import Progress, ProgressLookup

DEFAULT_SHARE = 0.1
LIST_SWEEP_EVERY_SECONDS = 86_400.0
ONE_LIST_SWEEP_IN = 4
"""One in so many requests goes to a sweep of a list while one is due."""
RECHECK_AFTER_SECONDS = 3_600.0
"""Children that were read whole more recently are not read again."""
SHOWN_BY = {"parts": "conversations"}
"""Children of which a row of their list shows the only one whole."""
LOOKS_GRANT_SECONDS = 60.0
"""Each slice may spend the share of so much time on parents that moved by one child."""
LONGEST_GRANT_SECONDS = 86_400.0
"""The allowance grows no further: a run after a month's pause would otherwise go on for three days."""


def most_looks(share: float, limit: RateLimit) -> int:
    """Returns the requests of a slice that may go to parents that moved by the one child that their row brought.

    Example:
        >>> most_looks(0.1, RateLimit(60, 60)), most_looks(0.1, RateLimit(1, 1)), most_looks(0.0, RateLimit(60, 60))
        (6, 6, 0)
    """
    return round(share * limit.requests / limit.seconds * LOOKS_GRANT_SECONDS)


class Reconciler:
    """Chooses what to read again.

    Args:
        agenda: What is known, and what is under way.
        allowance: dlt's state of it: `at`, `left`, `used`.
        lookup: Tells whose children were read whole longest ago.
        clock: What time it is.
        limit: The API's budget.
        share: Of the budget since the allowance last grew.
        full: Reads everything that was not read since this moment, microseconds since 1970, whatever the share.
    """

    def __init__(
        self,
        agenda: Agenda,
        allowance: State,
        lookup: ProgressLookup,
        clock: Clock,
        limit: RateLimit,
        share: float,
        full: int | None,
    ) -> None:
        self._agenda, self._allowance, self._clock, self._full = agenda, allowance, clock, full
        self._begun: list[Task] = []
        self._moved: list[tuple[int, int, Progress]] = []
        """Those with the fewest pages first, of equal ones those that moved last; no more than can be looked at."""
        self._order = itertools.count()
        self._looked_at: dict[Parent | None, Progress] = {}
        self._looks_left = most_looks(share, limit)
        self._grant(share * limit.requests / limit.seconds)
        before = int((clock.now() - RECHECK_AFTER_SECONDS) * MICRO) if full is None else full
        self._longest_unchecked = partial(lookup.longest_unchecked, agenda.streams, before)
        self._unchecked: Iterator[Progress] = self._longest_unchecked()
        self._left_to_sweep: set[str] = set()
        """Children of whom some were left out, as the sweep of their list may show all that a parent has."""

    def next_task(self, *, whatever_the_allowance: bool = False) -> Task | None:
        """Takes the next request of a sweep; None when there is nothing to read again, or nothing to pay it with."""
        task = self._next_moved()
        allowed = whatever_the_allowance or self._full is not None or self._allowance["left"] >= 1
        if task is not None or not allowed:
            return task
        if self._begun:
            return self._begun.pop()
        lists_first = self._allowance["used"] % ONE_LIST_SWEEP_IN == 0
        task = self._next_list() if lists_first else None
        return task or self._next_parent() or self._next_list()

    def began(self, task: Task) -> None:
        """A request of a sweep is under way: it is paid from the allowance, unless it is a look at who moved."""
        if task.parent in self._looked_at and self._looks_left > 0:
            self._looks_left -= 1
            return
        self._allowance["used"] += 1
        self._allowance["left"] = max(0.0, self._allowance["left"] - 1)

    def look_at(self, progress: Progress) -> None:
        """Queues a parent that moved by the one child that its row brought along, for its older ones."""
        insort(self._moved, (-(-progress.held // PAGE_RECORDS), next(self._order), progress))
        del self._moved[self._looks_left :]

    def left_to_look_at(self) -> list[Parent]:
        """Returns those who were to be looked at and were not read whole since, for another slice."""
        queued = (*self._looked_at.values(), *(progress for *_, progress in self._moved))
        unread = [one for one in queued if not self._is_read_since(one)]
        return list(dict.fromkeys((one.stream, one.parent_id) for one in unread))

    def go_on(self, progress: Progress) -> None:
        """Takes up a parent's sweep again when it has another page, so that it ends what it began."""
        task = self._sweep_of(progress)
        if task is None:
            return
        if task.parent in self._looked_at:
            self._moved.insert(0, (0, next(self._order), progress))
        else:
            self._begun.append(task)

    def _grant(self, per_second: float) -> None:
        """Lets the allowance grow for the time since it last grew."""
        now, allowance = self._clock.now(), self._allowance
        since = now if allowance["at"] is None else allowance["at"]
        granted = min(max(now - since, 0.0), LONGEST_GRANT_SECONDS) * per_second
        allowance["left"] = min(allowance["left"] + granted, LONGEST_GRANT_SECONDS * per_second)
        allowance["at"] = now

    def _next_list(self) -> Task | None:
        # A list whose sweep takes more than a day is due again at once, and must not keep the other from its turn.
        by_turn = sorted(self._agenda.coverage.items(), key=lambda one: (not one[1].sweep, one[1].read_whole_at or 0))
        for name, coverage in by_turn:
            if (coverage.sweep or self._is_due(coverage)) and not self._agenda.is_in_flight(name):
                begun = coverage.begin_sweep(shifted=coverage.shift_next)
                self._agenda.set_coverage(name, begun)
                return Task(name, RECONCILE, begun.walks[-1])
        return None

    def _is_due(self, coverage: Coverage) -> bool:
        """Whether a list is to be read again.

        A full reading does so twice, with pages that end elsewhere: what the end of one hides, the other shows. That is
        2 % of its cost, as every parent costs a request for its children.
        """
        if self._full is not None:
            return (coverage.read_twice_at or 0) < self._full
        return self._clock.now() - (coverage.read_whole_at or 0) / MICRO >= LIST_SWEEP_EVERY_SECONDS

    def _next_parent(self) -> Task | None:
        to_be_shown = {stream for stream, name in SHOWN_BY.items() if self._is_swept(name)}
        if self._left_to_sweep - to_be_shown:  # the sweep is over, and may not have shown them after all
            self._left_to_sweep, self._unchecked = set(), self._longest_unchecked()
        for progress in self._unchecked:
            if progress.held == 1 and progress.stream in to_be_shown:
                self._left_to_sweep.add(progress.stream)
                continue
            task = self._sweep_unless_read(progress)
            if task is not None:
                return task
        return None

    def _next_moved(self) -> Task | None:
        while self._moved and self._looks_left > 0:
            progress = self._moved.pop(0)[2]
            task = self._sweep_unless_read(progress)
            if task is not None:
                self._looked_at[task.parent] = progress
                return task
        return None

    def _sweep_unless_read(self, progress: Progress) -> Task | None:
        """Returns the next request for all children of a parent, unless they were or will be read by now."""
        known = self._agenda.progress(progress)
        is_asked = self._agenda.is_in_flight((progress.stream, progress.parent_id))
        waits = self._is_read_since(progress) or known.pending or is_asked
        return None if waits else self._sweep_of(known.begin_sweep())

    def _is_read_since(self, progress: Progress) -> bool:
        """Whether a parent's children were read whole since, or the parent is gone."""
        known = self._agenda.progress(progress)
        return known.checked_at != progress.checked_at or known.gone_at is not None

    def _is_swept(self, name: str) -> bool:
        """Whether a sweep of the list is open or due."""
        coverage = self._agenda.coverage.get(name)
        return coverage is not None and (coverage.sweep is not None or self._is_due(coverage))

    def _sweep_of(self, progress: Progress) -> Task | None:
        walk = progress.coverage.sweep
        if walk is None or self._agenda.is_skipped((progress.stream, progress.parent_id)):
            return None
        self._agenda.note(progress, progress)
        return Task(progress.stream, RECONCILE, walk, progress)
