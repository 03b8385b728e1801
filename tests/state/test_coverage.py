"""The promise: whatever interrupts a walk and whatever moves in the list, in the end every record was read.

The server here is a Python list, newest first, and knows nothing of `Coverage`. What moves in it while it is read, and
where a run is cut off, is what hypothesis can think of.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dashly_state.coverage import IDS_ARE_UNIQUE, Coverage, Walk

PAGE_RECORDS = 3
LOOK_BACK = 5
PASSED = st.sampled_from([0, 0, 0, 1, 3])
"""How much time passes between two changes: often none."""


def shape(walk: Walk | None) -> tuple[int | None, str | None, int | None, int | None] | None:
    """Where a walk began, goes on, ends, and stands."""
    return None if walk is None else (walk.top, walk.after, walk.floor, walk.low)


def stored(coverage: Coverage) -> Coverage:
    """What the next run has of it: through the JSON of dlt's state."""
    return Coverage.from_state(json.loads(json.dumps(coverage.to_state())))


# ---- the server


@dataclass(frozen=True)
class Record:
    name: int
    place: tuple[int, int]
    """Its place in the list's order: the time with all its digits, and what tells ties apart."""
    version: int = 0


@dataclass
class ListServer:
    """A list that pages by `after`, newest first; the token is the place of a page's last record."""

    records: dict[int, Record] = field(default_factory=dict)

    def page(self, after: str | None) -> tuple[list[Record], str | None]:
        place = None if after is None else tuple(map(int, after.split("/")))
        left = sorted((one for one in self.records.values() if place is None or one.place < place), key=_place)[::-1]
        records = left[:PAGE_RECORDS]
        more = len(left) > PAGE_RECORDS
        return records, f"{records[-1].place[0]}/{records[-1].place[1]}" if more else None


def _place(record: Record) -> tuple[int, int]:
    return record.place


@dataclass
class Reader:
    """What a run does with a list: opens a head walk, and reads pages of open walks until none is left."""

    server: ListServer
    look_back: int
    shown: int
    """How much of a time the list shows: positions are whole multiples of it, places are not."""
    coverage: Coverage = field(default_factory=Coverage)
    seen: dict[int, Record] = field(default_factory=dict)
    times_read: Counter[tuple[int, int]] = field(default_factory=Counter)
    seen_at: dict[int, int] = field(default_factory=dict)
    pages: int = 0
    """Pages read so far; to these readers it is the time."""
    walks: int = 0

    def begin(self) -> None:
        before = len(self.coverage.walks)
        self.coverage = self.coverage.begin(self.look_back)
        self.walks += len(self.coverage.walks) - before

    def read_page(self, which: int = 0) -> None:
        walk = self.coverage.walks[which % len(self.coverage.walks)]
        records, token = self.server.page(walk.after)
        self.pages += 1
        for record in records:
            self.seen[record.name] = max(record, self.seen.get(record.name, record), key=_version)
            self.times_read[record.name, record.version] += 1
            self.seen_at[record.name] = self.pages
        positions = [self.position(record) for record in records]
        self.coverage, _ = self.coverage.advance(walk, positions, token, self.pages)

    def position(self, record: Record) -> int:
        return record.place[0] // self.shown * self.shown

    def finish(self, *, sweep: bool = False) -> None:
        """Reads until nothing is known to be missing; with `sweep`, until the open sweep is done too."""
        for _ in range(1_000):
            if self.coverage.complete and not (sweep and self.coverage.walks):
                return
            self.read_page()
        pytest.fail("the walks do not end")

    def run(self) -> None:
        self.begin()
        self.finish()


def _version(record: Record) -> int:
    return record.version


class MovingList(RuleBasedStateMachine):
    """A list that lives while it is read by runs that are cut off anywhere."""

    look_back, shown, ties = 0, 1, 1

    def __init__(self) -> None:
        super().__init__()
        self.server = ListServer()
        self.reader = Reader(self.server, self.look_back, self.shown)
        self.names = itertools.count()
        self.numbers = itertools.count()
        self.now = 1_000

    def place(self, passed: int) -> tuple[int, int]:
        """The head of the list, after so much time: within `ties` records may share one."""
        self.now += passed if self.ties > 1 else passed + 1
        return (self.now, next(self.numbers))

    def add(self, passed: int) -> None:
        record = Record(next(self.names), self.place(passed))
        self.server.records[record.name] = record

    @initialize(passed=st.lists(PASSED, max_size=25))
    def begins_with(self, passed: list[int]) -> None:
        for one in passed:
            self.add(one)

    @rule(passed=st.lists(PASSED, min_size=1, max_size=8))
    def new_records(self, passed: list[int]) -> None:
        for one in passed:
            self.add(one)

    @precondition(lambda self: self.server.records)
    @rule(which=st.integers(0, 1_000), passed=PASSED)
    def a_record_changes_and_jumps_to_the_head(self, which: int, passed: int) -> None:
        name = sorted(self.server.records)[which % len(self.server.records)]
        record = self.server.records[name]
        self.server.records[name] = replace(record, place=self.place(passed), version=record.version + 1)

    @precondition(lambda self: self.server.records)
    @rule(which=st.integers(0, 1_000))
    def a_record_is_deleted(self, which: int) -> None:
        del self.server.records[sorted(self.server.records)[which % len(self.server.records)]]

    @rule()
    def a_run_begins(self) -> None:
        self.reader.begin()

    @invariant()
    def there_is_one_sweep_at_most_behind_all_gaps(self) -> None:
        assert all(not walk.is_sweep for walk in self.reader.coverage.walks[:-1])

    @precondition(lambda self: self.reader.coverage.walks)
    @rule(which=st.integers(0, 5), pages=st.integers(1, 3))
    def pages_are_read(self, which: int, pages: int) -> None:
        for _ in range(pages):
            if self.reader.coverage.walks:
                self.reader.read_page(which)

    @rule()
    def a_sweep_begins(self) -> None:
        self.reader.coverage = self.reader.coverage.begin_sweep()

    @rule()
    def the_run_is_cut_off(self) -> None:
        self.reader.coverage = stored(self.reader.coverage)

    @rule()
    def the_run_comes_to_its_end(self) -> None:
        """After which everything is known that was there when it began."""
        there = dict(self.server.records)
        self.reader.run()

        assert self.reader.coverage.complete
        for name, record in there.items():
            assert record == self.reader.seen[name]

    @invariant()
    def at_most_one_walk_has_not_begun_and_it_is_the_first(self) -> None:
        assert all(walk.begun for walk in self.reader.coverage.gaps[1:])

    @invariant()
    def what_is_known_survives_being_stored(self) -> None:
        assert self.reader.coverage == stored(self.reader.coverage)

    def teardown(self) -> None:
        self.the_run_comes_to_its_end()
        self.reader.finish(sweep=True)
        self.pages_were_not_read_in_vain()

    def pages_were_not_read_in_vain(self) -> None:
        """A run more, when nothing moved, is at the head and nowhere else."""
        before = self.reader.pages
        self.reader.run()
        positions = sorted(map(self.reader.position, self.server.records.values()))[::-1]
        floor = self.reader.coverage.newest or 0
        again = sum(position >= floor - self.look_back for position in positions)

        assert self.reader.pages - before <= again // PAGE_RECORDS + 1


class ListById(MovingList):
    """Parts and events: the id is the place; a record may change where it is, but none jumps."""

    look_back = IDS_ARE_UNIQUE

    @rule()
    def a_record_changes_and_jumps_to_the_head(self) -> None:
        """No id changes."""

    @rule()
    def a_sweep_begins(self) -> None:
        """It reads again on purpose, which is not what is counted here."""

    def pages_were_not_read_in_vain(self) -> None:
        """No page is read again: what was read twice lay beside the end of a walk, on the page that met it."""
        twice = sum(times - 1 for times in self.reader.times_read.values())
        records = sum(self.reader.times_read.values())
        before = self.reader.pages

        assert twice <= self.reader.walks * PAGE_RECORDS
        assert self.reader.pages <= records // PAGE_RECORDS + 2 * self.reader.walks
        self.reader.run()
        assert self.reader.pages == before + 1


class ListByTime(MovingList):
    """A list whose positions are exact and unique."""


class ListByTimeWithTies(MovingList):
    """Many records share a time, across the edges of pages and of runs: the newest time is read again."""

    ties = 2


class ListByTimeInWholeSeconds(MovingList):
    """The list shows less of a time than it sorts by, as `last_update` does."""

    ties, shown = 2, 4


class ListWithALookBack(MovingList):
    """As the lists are really read."""

    ties, shown, look_back = 2, 4, LOOK_BACK


KINDS = [ListById, ListByTime, ListByTimeWithTies, ListByTimeInWholeSeconds, ListWithALookBack]


@pytest.mark.parametrize("kind", KINDS)
def test_every_record_is_read_at_its_newest_whatever_happens(kind: type[MovingList]) -> None:
    """Under any interleaving of pages, runs cut off, new, changed and deleted records."""
    run_state_machine_as_test(
        kind,
        settings=settings(
            max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 30), st.lists(st.integers(1, 12), max_size=6), st.lists(st.integers(0, 4), max_size=20))
def test_a_first_read_of_ids_costs_its_pages_and_each_return_one_more(
    first: int, arrivals: list[int], cuts: list[int]
) -> None:
    """Cut off after any number of pages: no page is paid twice, only the page that meets what is known is shared."""
    server = ListServer({number: Record(number, (number, 0)) for number in range(first)})
    reader = Reader(server, IDS_ARE_UNIQUE, 1)
    for arrived, pages in itertools.zip_longest([0, *arrivals], cuts[: len(arrivals) + 1], fillvalue=0):
        for _ in range(arrived):
            server.records[len(server.records)] = Record(len(server.records), (len(server.records), 0))
        reader.begin()
        for _ in range(pages):
            if not reader.coverage.complete:
                reader.read_page()
        reader.coverage = stored(reader.coverage)
    reader.finish()

    assert set(server.records) == set(reader.seen)
    assert reader.pages <= len(server.records) // PAGE_RECORDS + 2 * reader.walks


def test_a_walk_down_a_list_of_ids_reads_each_record_once() -> None:
    server = ListServer({number: Record(number, (number, 0)) for number in range(30)})
    reader = Reader(server, IDS_ARE_UNIQUE, 1)
    reader.run()

    assert 10 == reader.pages
    assert {1} == set(reader.times_read.values())


def test_a_change_that_shows_late_is_found_within_the_look_back() -> None:
    """The user list comes from an index that lags: a record appears below the newest that was seen already."""
    server = ListServer({number: Record(number, (number * 10, 0)) for number in range(10)})
    reader = Reader(server, look_back=25, shown=1)
    reader.run()
    server.records[77] = Record(77, (66, 0))
    server.records[78] = Record(78, (64, 0))
    reader.run()

    assert 77 in reader.seen
    assert reader.coverage.newest == 90
    assert 78 in reader.seen, "on the page that met the floor"


# ---- sweeps, which read again what is known


def swept(server: ListServer) -> Reader:
    """A reader that knows the list and has begun a sweep of it, one page far."""
    reader = Reader(server, 0, 1)
    reader.run()
    reader.coverage = stored(reader.coverage.begin_sweep())
    reader.read_page()
    return reader


def test_a_sweep_finds_what_changed_without_a_word_and_what_is_gone() -> None:
    """An edit in place and a removal move nothing in the list: only reading again shows them."""
    server = ListServer({number: Record(number, (number, 0)) for number in range(20)})
    reader = swept(server)
    server.records[3] = replace(server.records[3], version=1)
    del server.records[5]
    reader.finish(sweep=True)
    whole_at = reader.coverage.read_whole_at

    assert 1 == reader.seen[3].version
    assert whole_at is not None
    assert {5} == {name for name, at in reader.seen_at.items() if at < whole_at}


def test_a_sweep_is_no_gap_and_opens_only_once() -> None:
    coverage = Coverage(newest=9).begin_sweep()

    assert coverage is coverage.begin_sweep()
    assert coverage.complete
    assert coverage.sweep == coverage.begin().walks[-1]


def test_a_sweep_makes_nothing_known_before_its_end() -> None:
    """It comes last: what is new on its first pages, and below them, is the next head walk's."""
    coverage = Coverage(newest=9).begin_sweep()
    coverage, sweep = coverage.advance(coverage.walks[0], [14, 13, 12], "12", 5)
    assert sweep is not None

    assert [9] == [walk.floor for walk in coverage.begin().gaps]
    assert 14 == coverage.advance(sweep, [11, 9], None, 6)[0].newest


def test_a_walk_that_ends_at_its_floor_says_nothing_of_what_is_gone() -> None:
    coverage = Coverage(newest=9, read_whole_at=1).begin()
    coverage, going_on = coverage.advance(coverage.walks[0], [10, 8], "8", 5)

    assert (None, 1) == (going_on, coverage.read_whole_at)


def test_a_head_walk_that_came_to_the_end_of_the_list_has_read_it_whole() -> None:
    """So what fits on a page is never read again for its own sake."""
    coverage = Coverage(newest=9, read_whole_at=1).begin()
    coverage, _ = coverage.advance(coverage.walks[0], [10, 8], None, 5)

    assert (5, 5) == (coverage.read_whole_at, coverage.read_twice_at)


def test_what_jumps_to_the_head_during_a_sweep_is_seen_by_the_next_head_walk_only() -> None:
    """So 'not seen since the sweep began' means 'gone' no sooner than after a head walk that began after its end."""
    server = ListServer({number: Record(number, (number, 0)) for number in range(20)})
    reader = swept(server)
    server.records[3] = replace(server.records[3], place=(99, 0), version=1)
    reader.finish(sweep=True)
    whole_at = reader.coverage.read_whole_at or 0

    assert {3} == {name for name, at in reader.seen_at.items() if at < whole_at}

    reader.run()

    assert set() == {name for name, at in reader.seen_at.items() if at < whole_at}


# ---- ties, where the page token is a bare time


HALF_PAGE = 3


@dataclass
class TimeServer:
    """A list of times, newest first; what ties with the last record of a page is not on the next one."""

    times: list[int]

    def page(self, walk: Walk) -> tuple[list[int], str | None]:
        """Returns the places of the page's records, and the token of what follows."""
        asked = HALF_PAGE if walk.is_shifted and not walk.begun else 2 * HALF_PAGE
        left = [place for place, time in enumerate(self.times) if walk.after is None or time < int(walk.after)]
        return left[:asked], str(self.times[left[asked - 1]]) if len(left) > asked else None

    def read(self, coverage: Coverage, now: int) -> tuple[Coverage, set[int]]:
        """Returns the coverage when its last walk has come to its end, and the places of the records it was shown."""
        walk, seen = coverage.walks[-1], set()
        while True:
            places, token = self.page(walk)
            seen.update(places)
            coverage, going_on = coverage.advance(walk, [self.times[place] for place in places], token, now)
            if going_on is None:
                return stored(coverage), seen
            walk = going_on


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, HALF_PAGE))
def test_what_ties_across_the_end_of_a_page_is_found_by_the_next_sweep(above: int, below: int, tied: int) -> None:
    """Wherever it lies, up to half a page of it; and no sweep alone says that what it was not shown is gone."""
    times = [*range(1_000, 1_000 - above, -1), *[500] * tied, *range(400, 400 - below, -1)]
    server = TimeServer(times)
    coverage, first = server.read(Coverage().begin(), 10)
    shown = [first]
    for now in (20, 30, 40):
        coverage, seen = server.read(coverage.begin_sweep(shifted=coverage.shift_next), now)
        shown.append(seen)

        assert set(range(len(times))) == shown[-1] | shown[-2]
        one_page = len(times) <= 2 * HALF_PAGE
        assert (now, now if one_page else now - 10) == (coverage.read_whole_at, coverage.read_twice_at)


def test_two_walks_whose_pages_end_at_the_same_records_prove_nothing_together() -> None:
    server = TimeServer([9, 8, 7, 6, 5, 5, 5, 5, 3])
    coverage, _ = server.read(Coverage().begin(), 10)
    coverage, _ = server.read(coverage.begin_sweep(), 20)

    assert (20, None) == (coverage.read_whole_at, coverage.read_twice_at)
    assert coverage.shift_next


# ---- single steps


def test_a_first_walk_goes_to_the_end_of_the_list() -> None:
    coverage = Coverage().begin(LOOK_BACK)

    assert [(None, None, None, None)] == [shape(walk) for walk in coverage.walks]
    assert not coverage.walks[0].begun


def test_a_head_walk_ends_below_what_is_known_by_the_look_back() -> None:
    assert (Walk(floor=895),) == Coverage(newest=900).begin(LOOK_BACK).walks
    assert (Walk(floor=901),) == Coverage(newest=900).begin(IDS_ARE_UNIQUE).walks


def test_what_ties_with_the_newest_known_is_not_read_again_once_all_of_it_had_come() -> None:
    """Hundreds may: a mailing makes as many conversations in a second, and each look at the head would cost pages."""
    known, tied = Coverage(newest=900), [900] * 50
    early, late = (known.begin(LOOK_BACK, settled).walks[0] for settled in (900, 901))

    assert known.begin(LOOK_BACK, 900).advance(early, tied, "900")[1] is not None
    assert known.begin(LOOK_BACK, 901).advance(late, tied, "900")[1] is None


def test_a_second_head_walk_is_not_opened_before_the_first_has_begun() -> None:
    """A run that was cut off before its first page leaves nothing behind."""
    coverage = Coverage(newest=900).begin()

    assert coverage is coverage.begin()


def test_a_head_walk_is_opened_before_an_open_one() -> None:
    coverage = Coverage().begin()
    coverage, going_on = coverage.advance(coverage.walks[0], [9, 8, 7], "7")

    assert [(None, None, 9, None), (9, "7", None, 7)] == [shape(walk) for walk in coverage.begin().walks]
    assert going_on == coverage.begin().walks[1]


@pytest.mark.parametrize(
    ("positions", "token", "goes_on"),
    [
        ([13, 12, 11], "11", True),
        ([12, 11, 10], "10", True),  # equal to the floor: there may be more of it on the next page
        ([12, 10, 9], "9", False),
        ([3], "3", False),
        ([12, 11], None, False),
        ([], None, False),
        ([], "11", True),  # a page without records is no end while the API names another one
    ],
)
def test_a_walk_closes_at_the_first_position_below_its_floor_or_at_the_end(
    positions: list[int], token: str | None, goes_on: bool
) -> None:
    coverage = Coverage(newest=10).begin()
    coverage, going_on = coverage.advance(coverage.walks[0], positions, token)

    assert goes_on == (going_on is not None) == (not coverage.complete)


def test_a_walk_remembers_how_low_it_is_when_a_page_does_not_say() -> None:
    coverage = Coverage().begin()
    coverage, walk = coverage.advance(coverage.walks[0], [9, 7], "a")
    assert walk is not None
    coverage, walk = coverage.advance(walk, [], "b")

    assert (9, "b", None, 7) == shape(walk)


def test_the_top_of_a_walk_is_of_its_first_page_in_any_order() -> None:
    coverage = Coverage().begin()
    coverage, walk = coverage.advance(coverage.walks[0], [8, 9, 7], "7")
    assert walk is not None
    coverage, walk = coverage.advance(walk, [20, 6], "6")

    assert (9, 9, 6) == (walk.top if walk else None, coverage.newest, walk.low if walk else None)


def test_what_was_newest_stays_when_the_head_was_deleted() -> None:
    coverage = Coverage(newest=10).begin()
    coverage, _ = coverage.advance(coverage.walks[0], [8, 7], None)

    assert (10, True) == (coverage.newest, coverage.complete)


def test_the_token_is_stored_exactly_as_it_came() -> None:
    coverage = Coverage().begin()
    coverage, _ = coverage.advance(coverage.walks[0], [2**63, 5], "1490617632.34799990")

    assert "1490617632.34799990" == stored(coverage).walks[0].after
    assert 2**63 == stored(coverage).newest


def test_one_position_may_become_known_without_a_page() -> None:
    coverage = Coverage().begin()
    coverage, walk = coverage.advance(coverage.walks[0], [9, 8], "8")

    assert (12, (walk,)) == (coverage.take_head(12).newest, coverage.take_head(12).walks)


@pytest.mark.parametrize("nothing", [None, {}])
def test_no_state_is_an_empty_coverage(nothing: dict[str, object] | None) -> None:
    assert Coverage() == Coverage.from_state(nothing)
    assert Coverage().complete
