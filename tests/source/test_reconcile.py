"""What is read again, and in which order, where a whole sync would take too long to show it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from dashly.agenda import Agenda
from dashly.reconcile import Reconciler
from dashly.slices import Slice, SourceState
from dashly.values import MICRO
from dashly_state.budget import RateLimit
from dashly_state.clock import VirtualClock
from dashly_state.coverage import Coverage
from dashly_state.progress import Progress

DAY = 86_400.0
SINGLE = ("parts", "single")


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
    state = SourceState({"reconcile": {"at": clock.now(), "left": 0.0, "used": 0}}, lambda name: lists[name])
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


class ThreeHeld(NothingHeld):
    """A destination that knows a conversation with one part, and two users, all checked long ago, in this order."""

    def longest_unchecked(self, _streams: Iterable[str], _before: int) -> Iterator[Progress]:
        long_ago = Coverage(9, read_whole_at=1)
        of = (SINGLE, ("events", "first"), ("events", "second"))
        return iter([Progress(stream, parent, coverage=long_ago, held=1, known=True) for stream, parent in of])


def three_held(
    clock: VirtualClock, allowance: dict[str, Any] | None = None, **read_whole_at: float
) -> tuple[Agenda, Reconciler]:
    """What chooses among them, the lists having been read whole at these unix seconds."""
    lists: dict[str, dict[str, Any]] = {"users": {}, "conversations": {}}
    allowance = allowance or {"left": 100.0, "at": clock.now(), "used": 1}
    state = SourceState({"reconcile": allowance}, lambda name: lists[name])
    outcome = Slice(missing={"events": 0, "parts": 0})
    agenda = Agenda(frozenset({*lists, "events", "parts"}), state, ThreeHeld(), outcome, None, ())
    for name, at in read_whole_at.items():
        agenda.set_coverage(name, Coverage(9, read_whole_at=int(at * MICRO)))
    return agenda, Reconciler(agenda, state.reconcile, ThreeHeld(), clock, RateLimit(60, 60), 1.0, None)


def test_only_the_sweep_of_its_list_may_show_a_single_part() -> None:
    """The conversations were just read by a look at their head, so that no sweep will come: it is asked for."""
    clock = VirtualClock(10 * DAY)

    agenda, reconciler = three_held(clock, users=0.0, conversations=clock.now())

    assert "single" == next_parent(agenda, reconciler)


def test_what_the_sweep_did_not_show_comes_first_when_it_is_over() -> None:
    """With an allowance that never suffices for all, it would not be reached behind the others."""
    clock = VirtualClock(10 * DAY)
    agenda, reconciler = three_held(clock, users=0.0, conversations=0.0)

    before = next_parent(agenda, reconciler)
    agenda.set_coverage("conversations", Coverage(9, read_whole_at=int(clock.now() * MICRO)))
    after = [next_parent(agenda, reconciler) for _ in range(2)]

    assert ("first", ["single", "second"]) == (before, after)


def test_who_moved_by_one_child_comes_first_with_the_share_of_a_minute() -> None:
    """Those of one page before those of two, without those that were read since; the allowance pays for none."""
    clock = VirtualClock(10 * DAY)
    allowance = {"left": 100.0, "at": clock.now(), "used": 1}
    agenda, reconciler = three_held(clock, allowance, users=clock.now(), conversations=clock.now())
    held, long_ago = [51, *[50] * 69], Coverage(9, read_whole_at=1)
    moved = [Progress("parts", str(id_), coverage=long_ago, held=count, known=True) for id_, count in enumerate(held)]
    for progress in moved:
        reconciler.look_at(progress)
    for progress in moved[3:8]:
        agenda.note(progress, replace(progress, coverage=Coverage(9, read_whole_at=2)))

    looked_at = []
    while (task := reconciler.next_task()) is not None and task.resource == "parts" and task.parent != SINGLE:
        reconciler.began(task)
        agenda.began(task)
        looked_at.append(int(task.parent[1]) if task.parent else None)

    assert [1, 2, *range(8, 61)] == looked_at  # the first 60 less 5
    assert task is not None
    assert SINGLE == task.parent
    assert 100.0 == allowance["left"]


def next_parent(agenda: Agenda, reconciler: Reconciler) -> str | None:
    """Whose children are asked for next; the request is then under way."""
    task = reconciler.next_task()
    assert task is not None
    agenda.began(task)
    return None if task.parent is None else task.parent[1]
