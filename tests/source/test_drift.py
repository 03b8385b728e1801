"""What the API sends otherwise than before is kept, and said once."""

from __future__ import annotations

from typing import Any

import pytest

from dashly.drift import ENOUGH_RECORDS, FREEZE, Drift
from dashly.errors import SchemaChanged

USERS = [{"id": number, "props": {}, "presence": "idle"} for number in range(ENOUGH_RECORDS)]
NEW = [("users", "mood", "is new")]


def after(*runs: tuple[list[dict[str, Any]], list[tuple[str, str, str]]], contract: str = "evolve") -> list[str]:
    """The notices of the last of some runs, each of one slice, one page of users and what no column took."""
    state: dict[str, Any] = {}
    for records, untaken in runs:
        drift = Drift(contract)
        drift.begin(state)
        drift.see("users", records, untaken)
        drift.remember(state, is_whole=True)
    return drift.notices()


def test_a_new_field_is_said_once() -> None:
    assert [] == after((USERS, NEW))
    assert ["the API sends what no column takes, kept in `extra`: users.mood"] == after((USERS, []), (USERS, NEW))
    assert [] == after((USERS, []), (USERS, NEW), (USERS, NEW))


def test_a_later_slice_of_the_run_repeats_and_forgets_nothing() -> None:
    state: dict[str, Any] = {"untaken": [], "always": {"users": ["id", "presence", "props"]}, "is_whole": True}
    drift = Drift()
    for _ in range(2):
        drift.begin(state)
        drift.see("users", USERS, NEW)
        drift.remember(state, is_whole=True)

    assert ["the API sends what no column takes, kept in `extra`: users.mood"] == drift.notices()
    assert ["users.mood"] == state["untaken"]


def test_a_field_that_every_record_had_and_none_has_is_said_once() -> None:
    without = [{"id": 1, "props": {}}] * ENOUGH_RECORDS

    assert ["the API no longer sends, null from now on: users.presence"] == after((USERS, []), (without, []))
    assert [] == after((USERS, []), (without, []), (without, []))


def test_a_field_that_was_never_in_every_record_may_stay_away() -> None:
    some = [{"id": 1, "removed": 1}, *USERS]

    assert [] == after((some, []), (USERS, []))


def test_a_few_records_prove_nothing() -> None:
    assert [] == after((USERS, []), ([{"id": 1, "props": {}}] * (ENOUGH_RECORDS - 1), []))


def test_a_frozen_contract_refuses_what_is_new_and_nothing_else() -> None:
    assert [] == after((USERS, []), (USERS, []), contract=FREEZE)
    assert [] == after((USERS, NEW), (USERS, NEW), contract=FREEZE)
    with pytest.raises(SchemaChanged, match=r"users\.mood is new.*--schema-contract evolve"):
        after((USERS, []), (USERS, NEW), contract=FREEZE)


def test_what_was_refused_is_still_new_to_the_next_run() -> None:
    state: dict[str, Any] = {"untaken": [], "always": {"users": ["id"]}, "is_whole": True}
    drift = Drift(FREEZE)
    drift.begin(state)
    with pytest.raises(SchemaChanged):
        drift.see("users", USERS, NEW)
    drift.remember(state, is_whole=True)

    assert {"untaken": [], "always": {"users": ["id"]}, "is_whole": True} == state


def test_nothing_is_new_before_the_first_load_is_whole() -> None:
    state: dict[str, Any] = {"untaken": [], "always": {"users": ["id"]}}
    drift = Drift(FREEZE)
    drift.begin(state)
    drift.see("users", USERS, NEW)

    assert [] == drift.notices()
