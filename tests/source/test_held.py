"""What the destination is asked for: as little as possible, for to open a DuckDB file takes longer than a query."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from dashly.held import MetParents
from dashly.id_set import IdSet

IDS = st.lists(st.one_of(st.integers(0, 10**19 - 1).map(str), st.text(max_size=3), st.just("9" * 30)), max_size=30)


@given(IDS, IDS, IDS)
def test_an_id_set_knows_what_was_put_in(first: list[str], then: list[str], others: list[str]) -> None:
    ids = IdSet(first)
    ids.add(then)

    assert all(one in ids for one in first + then)
    written_plainly = {one for one in others if one.isascii() and (not one.isdigit() or one == str(int(one)))}
    assert {one for one in written_plainly if one in ids} == written_plainly & {
        as_written for known in first + then for as_written in (known, plain(known))
    }


def plain(one: str) -> str:
    """The number as it is usually written; one may stand for the other."""
    return str(int(one)) if one.isdecimal() and len(one) <= 19 else one


def test_an_id_set_of_many() -> None:
    many = [str(number) for number in range(10**18, 10**18 + 90_000, 2)]
    ids = IdSet(reversed(many[::2]))
    ids.add(many[1::2])

    assert all(one in ids for one in many)
    assert not any(str(int(one) + 1) in ids for one in many)


class Asked:
    """A destination that has met some parents, and counts how often it is asked for all of them."""

    def __init__(self, *met: str) -> None:
        self.met, self.times = met, 0

    def __call__(self, _stream: str) -> Iterable[str]:
        self.times += 1
        return self.met


def test_a_page_of_strangers_is_not_asked_for() -> None:
    """The first page is: most runs read only one. For the second, all ids are fetched, once in a run."""
    parents, destination = MetParents(), Asked("7", "8")

    assert ["1", "2"] == parents.among("events", ["1", "2"], destination)
    assert (["7"], []) == (
        parents.among("events", ["3", "7"], destination),
        parents.among("events", ["4", "5"], destination),
    )
    assert 1 == destination.times


def test_whom_a_run_has_asked_for_it_has_met() -> None:
    """What a slice writes down of them is in the destination when the next one asks."""
    parents, destination = MetParents(), Asked()
    for page in (["1", "2"], ["3", "4"], ["5", "6"]):
        parents.among("events", page, destination)

    assert ["1", "4", "5"] == parents.among("events", ["1", "4", "5", "9"], destination)
    assert ["9"] == parents.among("parts", ["9"], destination)
