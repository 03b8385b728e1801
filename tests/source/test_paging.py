"""The promise: in either dialect of the API the whole list is read, and no list is read for ever."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashly.envelope import Envelope
from dashly.errors import ApiChanged, DashlyError
from dashly.paging import is_offset, next_token, page_params, records_in, step_back

FULL = 50
ANY_DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["users", "id", "x"]), inner),
)
NULL: dict[str, Any] = {"next_after": None}
ABSENT: dict[str, Any] = {}


def after(meta: dict[str, Any], records: int, token: str | None, *, may_offset: bool = True) -> str | None:
    return next_token(Envelope([], {"status": 200, **meta}), records, token, "users", may_offset=may_offset)


def records(data: Any, name: str = "users") -> list[Any]:
    return list(records_in(Envelope(data, {"status": 200}), name, "users"))


# ---- what a request asks for


def test_the_first_request_speaks_both_dialects() -> None:
    """Nothing but the answer says which one the user list takes."""
    assert {"count": "50", "limit": "50", "offset": "0"} == page_params(None, may_offset=True)
    assert {"count": "50"} == page_params(None, may_offset=False)


def test_a_smaller_page_is_asked_for_in_both_dialects() -> None:
    assert {"count": "25", "limit": "25", "offset": "0"} == page_params(None, may_offset=True, asked=25)


@pytest.mark.parametrize(("count", "expected"), [(25, "offset:24"), (24, None)])
def test_whether_a_page_is_full_goes_by_what_was_asked_for(count: int, expected: str | None) -> None:
    """Taken for half empty, the first page of a shifted walk would end the list, and all behind it count as gone."""
    envelope = Envelope([], {"status": 200})

    assert expected == next_token(envelope, count, None, "users", may_offset=True, asked=25)


def test_a_page_token_goes_back_exactly_as_sent() -> None:
    assert "1490617632.34799990" == page_params("1490617632.34799990", may_offset=False)["after"]


def test_a_request_by_token_names_no_offset() -> None:
    """A server that takes both would skip records twice."""
    assert "offset" not in page_params("1490617632.3", may_offset=True)
    assert "after" not in page_params("offset:49", may_offset=True)


# ---- which dialect it is


@pytest.mark.parametrize(
    ("meta", "count", "token", "expected"),
    [
        ({"next_after": 7}, FULL, None, "7"),  # after: more to come
        ({"next_after": 7}, 0, None, "7"),  # an empty page with a token is not the end
        (NULL, FULL, None, None),  # after: a full last page
        (NULL, 3, "7", None),
        (ABSENT, FULL, "7", None),  # after: a full last page without the key, deeper in the list
        (ABSENT, 3, "7", None),
        (ABSENT, FULL, None, "offset:49"),  # offset: a full page and no word of a token
        (ABSENT, FULL, "offset:49", "offset:98"),
        (ABSENT, FULL - 1, "offset:98", None),  # offset: fewer than asked for is the end
        (ABSENT, 0, None, None),
        (NULL, FULL, "offset:49", None),
        ({"next_after": 7}, FULL, "offset:49", "7"),  # it changed its mind: follow what it says
    ],
)
def test_the_answer_says_which_dialect_it_is(meta: Any, count: int, token: str | None, expected: str | None) -> None:
    assert expected == after(meta, count, token)


@pytest.mark.parametrize("token", [None, "7"])
def test_other_lists_never_page_by_offset(token: str | None) -> None:
    assert after(ABSENT, FULL, token, may_offset=False) is None


def test_offset_pages_overlap_by_one_record() -> None:
    """If the last record of one page is not the first of the next, the list moved in between."""
    seen, token = [], None
    while token is not None or not seen:
        offset = int(page_params(token, may_offset=True)["offset"])
        seen.append(list(range(120))[offset : offset + FULL])
        token = after(ABSENT, len(seen[-1]), token)

    assert [(0, 49), (49, 98), (98, 119)] == [(page[0], page[-1]) for page in seen]


@pytest.mark.parametrize(("token", "expected"), [("offset:98", "offset:49"), ("offset:49", "offset:0")])
def test_a_step_back_leads_to_the_page_before(token: str, expected: str) -> None:
    assert expected == step_back(token)
    assert token == after(ABSENT, FULL, step_back(token))


@settings(deadline=None)
@given(st.integers(0, 10**9))
def test_a_step_back_stays_in_the_list(offset: int) -> None:
    back = step_back(f"offset:{offset}")

    assert is_offset(back)
    assert 0 <= int(page_params(back, may_offset=True)["offset"]) <= offset


@pytest.mark.parametrize("token", ["7", "1490617632.34799990"])
def test_a_token_that_leads_to_itself_is_refused(token: str) -> None:
    with pytest.raises(ApiChanged, match=f"users: the page token {token} leads to itself"):
        after({"next_after": token}, FULL, token)


# ---- where the records are


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ([{"id": 1}, {"id": 2}], [{"id": 1}, {"id": 2}]),
        ({"users": [{"id": 1}], "total": 1}, [{"id": 1}]),
        ({"users": []}, []),
        ([], []),
        ({}, []),
        (None, []),
        ({"id": 1, "props": {}}, [{"id": 1, "props": {}}]),
        ({"id": 1, "users": [{"id": 2}]}, [{"id": 2}]),
        ([{"id": 1}, None, "x"], [{"id": 1}]),
    ],
)
def test_records_are_found_in_every_shape_of_data(data: Any, expected: list[Any]) -> None:
    """A list; an object with the list under the resource's name; nothing, in three spellings; one single object."""
    assert expected == records(data)


@pytest.mark.parametrize(
    ("data", "seen"),
    [
        ({"people": []}, "`data` holds people"),
        ({"users": {"id": 1}}, "`data` holds users"),
        ({"users": None, "total": 0}, "`data` holds total, users"),
        ("nothing", "`data` holds str"),
        (7, "`data` holds int"),
        (False, "`data` holds bool"),
    ],
)
def test_any_other_shape_is_news_of_the_api_and_not_an_empty_list(data: Any, seen: str) -> None:
    """Read as empty, it would end the walk and look like success."""
    with pytest.raises(ApiChanged, match=f"users: no list of users in the answer; {seen}") as raised:
        records(data)

    assert "run `dashly-sync check`" in raised.value.mend


@settings(max_examples=50, deadline=None)
@given(ANY_DATA)
def test_arbitrary_data_gives_records_or_our_error(data: Any) -> None:
    try:
        found = records(data)
    except DashlyError:
        return

    assert all(isinstance(record, dict) for record in found)
