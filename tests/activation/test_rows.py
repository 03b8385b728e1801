"""What a row asks of Dashly, and which rows ask for nothing that can be sent."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashly_activation.rows import MappingError, RowMap, calls, operations
from dashly_activation.values import Unsendable

NOW = datetime(2026, 11, 1, tzinfo=UTC)
EVENTS = RowMap("events", "id", event="Paid")


def content(mapped: RowMap, row: dict[str, Any]) -> dict[str, Any]:
    return mapped.bind(list(row), NOW)(row).content


def test_columns_are_properties_by_their_names_and_null_is_left_alone() -> None:
    row = {"id": 12, "plan": "pro", "health": Decimal("7.00"), "$email": "a@example.com", "risk": None, "_synced_at": 1}

    request = RowMap("props", "id").bind(list(row), NOW)(row)

    assert ("id 12", "12", False) == (request.key, request.user, request.by_user_id)
    assert {
        "plan": ["update_or_create", "pro"],
        "health": ["update_or_create", 7],
        "$email": ["update_or_create", "a@example.com"],
    } == request.content


def test_a_map_names_what_is_sent_an_operation_how_and_null_may_delete() -> None:
    mapped = RowMap(
        "props", "id", keys={"a": "plan", "b": "Теги", "c": "old"}, operations={"Теги": "union"}, deletes_null=True
    )

    found = content(mapped, {"id": "1", "a": date(2026, 1, 31), "b": ["x"], "c": None, "d": 5})

    assert {"plan": ["update_or_create", "2026-01-31"], "Теги": ["union", ["x"]], "old": ["delete", None]} == found


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"id": None, "plan": "pro"}, "the id is NULL"),
        ({"id": "ann@example.com", "plan": "pro"}, "is it a user_id"),
        ({"id": 1.4481216177826702e18, "plan": "pro"}, "does not hold 64-bit ids"),
        ({"id": 1, "plan": "x" * 256}, "plan: text of 256 characters, where Dashly takes 255 at most"),
        ({"id": 1, "health": 0.5}, "health: 0.5 is no whole number"),
        ({"id": 1, "health": float("nan")}, "no number that JSON has"),
        ({"id": 1, "health": 2**53 + 1}, "larger than Dashly's numbers"),
        ({"id": 1, "tags": ["x"] * 31}, "a list of 31"),
        ({"id": 1, "tags": [1]}, "1 in a list"),
        ({"id": 1, "plan": {"a": 1}}, "no value like a dict"),
        ({"id": 1, "plan": "\ud800"}, "half a character"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_row_that_cannot_be_sent_says_why(row: dict[str, Any], reason: str) -> None:
    with pytest.raises(Unsendable, match=reason):
        content(RowMap("props", "id"), row)


def test_an_event_always_says_when_it_happened() -> None:
    row = {"id": 1, "created_at": datetime(2026, 10, 1, 12, 0, 0, 5, tzinfo=UTC), "sum": Decimal("9.90"), "note": None}

    assert {"event": "Paid", "created": "2026-10-01T12:00:00.000005+00:00", "params": {"sum": 9.9}} == content(
        EVENTS, row
    )
    ahead = content(EVENTS, {"id": 1, "created": NOW + timedelta(minutes=4)})  # as `current_timestamp` in the query is
    assert NOW.isoformat() == ahead["created"]
    with pytest.raises(MappingError, match="--created"):
        content(EVENTS, {"id": 1})
    with pytest.raises(Unsendable, match="in the future"):
        content(EVENTS, {"id": 1, "created": "2026-11-02"})


def test_what_a_sync_notes_of_a_row_makes_no_other_event_of_it() -> None:
    row = {"id": 1, "created": "2026-10-01", "_synced_at": "2026-10-02"}
    request_of = EVENTS.bind(list(row), NOW)

    assert request_of(row).key == request_of({**row, "_synced_at": "2026-10-03"}).key
    assert request_of(row).key != request_of({**row, "created": "2026-10-03"}).key


def test_a_key_of_its_own_tells_events_apart() -> None:
    mapped = RowMap("events", "id", event="Paid", row_key=["invoice"])
    request_of = mapped.bind(["id", "created", "invoice"], NOW)

    assert '["A-1"]' == request_of({"id": 1, "created": "2026-10-01", "invoice": "A-1"}).key
    with pytest.raises(Unsendable, match=r"the key \(invoice\) is NULL"):
        request_of({"id": 1, "created": "2026-10-01", "invoice": None})


def test_a_message_has_a_body_and_goes_by_dashlys_own_id() -> None:
    assert {"body": "Hi", "type": "popup_chat"} == content(RowMap("messages", "id"), {"id": 1, "body": "Hi"})
    with pytest.raises(Unsendable, match="body: it is empty"):
        content(RowMap("messages", "id"), {"id": 1, "body": None})
    with pytest.raises(MappingError, match="--id"):
        content(RowMap("messages", "id", by_user_id=True), {"id": 1, "body": "Hi"})


@pytest.mark.parametrize(
    ("mapped", "reason"),
    [
        (RowMap("props", "uid"), "no column 'uid'. They have: id, plan"),
        (RowMap("props", "id", keys={"paln": "plan"}), "no column 'paln'"),
        (RowMap("props", "id", operation="overwrite"), "There are: update_or_create"),
        (RowMap("props", "id", operations={"tags": "union"}), "no column becomes the property 'tags'"),
        (RowMap("props", "id", keys={"plan": "$last_seen"}), "Dashly's own"),
    ],
    ids=["identity", "column", "operation", "operation of no key", "read-only"],
)
def test_columns_that_do_not_fit_are_refused_before_anything_is_sent(mapped: RowMap, reason: str) -> None:
    with pytest.raises(MappingError, match=reason):
        mapped.bind(["id", "plan"], NOW)


@settings(max_examples=50, deadline=None)
@given(sizes=st.lists(st.integers(1, 30), max_size=60), most=st.integers(30, 60))
def test_calls_hold_everything_once_and_never_too_much(sizes: list[int], most: int) -> None:
    wanted = {f"p{number}": ["union", ["x"] * size] for number, size in enumerate(sizes)}

    parts = calls("props", wanted, most)

    assert wanted == {key: value for part in parts for key, value in part.items()}
    assert all(sum(len(operations(key, *value)) for key, value in part.items()) <= most for part in parts)
