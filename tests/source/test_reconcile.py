"""What is read again, and in which order, where a whole sync would take too long to show it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from dashly.agenda import Agenda
from dashly.reconcile import Reconciler
from dashly.slices import Slice, SourceState
from dashly.values import MICRO
from dashly_state.budget import RateLimit
from dashly_state.clock import VirtualClock
from dashly_state.coverage import Coverage
from dashly_state.progress import Progress

DAY = 86_400.0


class NothingHeld:
    """A destination that knows of no parent."""

    def known(self, _stream: str, _parent_ids: Iterable[str]) -> Mapping[str, Progress]:
        return {}

    def pending(self, _streams: Iterable[str], _since: int | None = None) -> Iterator[Progress]:
        return iter(())

    def backlog(self, _streams: Iterable[str], _since: int | None = None) -> Mapping[str, int]:
        return {}

    def longest_unchecked(self, _streams: Iterable[str], _before: int) -> Iterator[Progress]:
        return iter(())


def test_a_list_whose_sweep_takes_more_than_a_day_leaves_the_other_its_turn() -> None:
    """It is due again the moment it ends, and so is the one that waited longer."""
    clock, lists = VirtualClock(), {"users": {}, "conversations": {}}
    state = SourceState({}, lambda name: lists[name])
    agenda = Agenda(frozenset(lists), state, NothingHeld(), Slice(), None, ())
    for name in lists:
        agenda.set_coverage(name, Coverage(9, read_whole_at=int(clock.now() * MICRO)))
    seen = []
    for _ in range(8):
        clock.advance(1.5 * DAY)
        task = Reconciler(agenda, state.reconcile, NothingHeld(), clock, RateLimit(60, 60), 1.0, None).next_task()
        assert task is not None
        seen.append(task.resource)
        token = None if task.walk.begun else "the second page"
        coverage, _ = agenda.coverage[task.resource].advance(task.walk, [9], token, int(clock.now() * MICRO))
        agenda.set_coverage(task.resource, coverage)

    assert ["users", "users", "conversations", "conversations"] * 2 == seen
