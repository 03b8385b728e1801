"""The promise: every field of every record arrives in a column or, under its own name, in `extra`; nothing raises."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashly import endpoints, records
from dashly.endpoints import told_by_conversation, told_by_user
from dashly.records import Rows, merge_rows, stamp
from dashly.tables import TABLES
from dashly_state.progress import Told

NOW = datetime(2026, 11, 23, 6, 0, 0, 123456, UTC)
MAX = {"id": 24601, "name": "Max", "avatar": "https://files.dashly.app/x.jpg", "type": "admin"}
BOT = {"id": "9", "name": "Robo", "avatar": None, "type": "bot"}
DEFAULT = {"name": "Team", "avatar": "", "type": "default_admin"}


def rows_of(kind: str, record: dict[str, Any]) -> Rows:
    """What the resource makes of one record, as loaded."""
    if kind in endpoints.LISTS:
        return stamp(endpoints.LISTS[kind].rows([record]), NOW)
    if kind in endpoints.CHILDREN:
        return stamp(endpoints.CHILDREN[kind].rows([record], "77"), NOW)
    return stamp(endpoints.SNAPSHOTS[kind].rows([record], NOW), NOW)


def only(rows: Rows, table: str) -> dict[str, Any]:
    (row,) = rows[table]
    return row


def chosen(row: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


# ---- users

ANN = {
    "id": 1448121617782670208,
    "app": 3,
    "user_id": "27384",
    "presence": "offline",
    "removed": None,
    "props": {"$name": "Ann", "$email": "ann@example.com", "$phone": 491701, "$last_seen": "2026-05-17T13:01:32"},
    "props_custom": {"План": "Про", "Plan Name": 1, "plan-name": True, "plan_name": ["a"], "none": None},
}


def test_a_user_has_what_is_asked_for_most_in_columns() -> None:
    row = only(rows_of("users", ANN), "users")

    assert ("1448121617782670208", "27384", "Ann", "ann@example.com", "491701", "offline", None) == chosen(
        row, "id", "external_id", "name", "email", "phone", "presence", "removed_at"
    )
    assert datetime(2026, 5, 17, 13, 1, 32, tzinfo=UTC) == row["last_seen_at"]
    assert {"app": 3} == json.loads(row["extra"])
    assert (NOW, None) == chosen(row, "_synced_at", "_deleted_at")


def test_system_and_custom_properties_are_one_map_under_their_own_names() -> None:
    assert {**ANN["props"], **ANN["props_custom"]} == json.loads(only(rows_of("users", ANN), "users")["props"])


def test_property_names_that_look_alike_stay_apart() -> None:
    """As columns dlt would make one of all of them; here each is a row."""
    props = {"План": 1, "Тариф": 2, "Plan Name": 3, "plan-name": 4, "plan_name": 5, "$plan": 6, "PLAN NAME": 7, "": 8}
    found = rows_of("users", {"id": 1, "props_custom": props})["user_props"]

    assert {name: str(value) for name, value in props.items()} == {row["name"]: row["value"] for row in found}


def test_a_property_is_text_with_the_name_of_its_kind() -> None:
    found = {row["name"]: chosen(row, "value", "value_type") for row in rows_of("users", ANN)["user_props"]}

    assert ("Про", "string") == found["План"]
    assert ("1", "number") == found["Plan Name"]
    assert ("true", "boolean") == found["plan-name"]
    assert ('["a"]', "list") == found["plan_name"]
    assert (None, "null") == found["none"]


def test_names_that_differ_only_in_poison_are_one_row() -> None:
    """They are equal in the warehouse, and a key is there once."""
    found = rows_of("users", {"id": 1, "props": {"a": 1, "a\x00": 2}})["user_props"]

    assert [("a", "2")] == [chosen(row, "name", "value") for row in found]


@pytest.mark.parametrize("removed", [1779022892, "2026-05-17T13:01:32", 1779022892.0])
def test_a_removed_user_says_when_in_either_format(removed: Any) -> None:
    row = only(rows_of("users", {"id": 1, "removed": removed}), "users")

    assert datetime(2026, 5, 17, 13, 1, 32, tzinfo=UTC) == row["removed_at"]


def test_the_details_of_a_user_are_kept_whole() -> None:
    notes = [{"id": 954, "author": MAX, "body": "VIP", "created": 1442675162}, {"author": DEFAULT}, "odd"]
    detail = {"id": 5, "user_id": "a", "notes": notes, "props_custom": {"План": "Про"}, "map_url": "m"}
    rows = rows_of("user_details", {**detail, "timezone_offset": -180, "email_status": None})
    row = only(rows, "user_details")

    assert ("5", -180.0, None, None) == chosen(row, "user_id", "timezone_offset", "email_status", "tags")
    assert notes == json.loads(row["notes"])
    assert {"map_url": "m"} == json.loads(row["extra"])
    assert ["24601"] == [admin["id"] for admin in rows["admins"]]
    assert ("План", "Про", "user_details") == chosen(only(rows, "user_props"), "name", "value", "origin")


def test_details_without_an_id_belong_to_the_user_who_was_asked_for() -> None:
    assert "77" == only(rows_of("user_details", {"tags": []}), "user_details")["user_id"]


@pytest.mark.parametrize("offset", ["-180", True, None, 10**400, float("inf"), float("nan"), []])
def test_an_offset_that_is_no_number_is_none(offset: Any) -> None:
    assert only(rows_of("user_details", {"timezone_offset": offset}), "user_details")["timezone_offset"] is None


# ---- events

EVENT_TYPE = {"id": 5857, "name": "MyEvent", "score": 0, "visible": True, "active": False, "color": "red"}
EVENT = {"id": 335704586, "created": 1467192929, "user": 22735768, "type": EVENT_TYPE, "props": {"App": "Eva99"}}


def test_an_event_names_its_user_and_its_type() -> None:
    rows = rows_of("events", EVENT)
    row, kind = only(rows, "events"), only(rows, "event_types")

    assert ("335704586", "22735768", "5857", "MyEvent") == chosen(row, "id", "user_id", "type_id", "name")
    assert (datetime(2016, 6, 29, 9, 35, 29, tzinfo=UTC), '{"App":"Eva99"}', None) == chosen(
        row, "created_at", "props", "extra"
    )
    assert ("5857", "MyEvent", 0, True, False) == chosen(kind, "id", "name", "score", "visible", "active")
    assert {"color": "red"} == json.loads(kind["extra"])


@pytest.mark.parametrize(("kind", "expected"), [(12, "12"), ("12", "12"), (None, None), ({"name": "x"}, None)])
def test_a_type_without_an_id_of_its_own_makes_no_row(kind: Any, expected: str | None) -> None:
    rows = rows_of("events", {"id": 1, "type": kind})

    assert expected == only(rows, "events")["type_id"]
    assert "event_types" not in rows


def test_an_event_that_does_not_say_whose_it_is_belongs_to_the_user_who_was_asked_for() -> None:
    assert "77" == only(rows_of("events", {"id": 1}), "events")["user_id"]


# ---- conversations

TALK = {
    "id": "1160406004324630614",
    "created": 1778990000,
    "user": {"id": 1448121617782670208, "props": {"$name": "Ann"}},
    "read": True,
    "replied": 0,
    "clicked": "false",
    "unsubscribed": None,
    "closed": "no",
    "message": 55,
    "type": "telegram_chat",
    "reply_type": "text",
    "part_last": {"id": 1160406004324639999, "type": "note"},
    "parts_count": 13,
    "assignee": BOT,
    "unread_parts_count": 2,
    "last_admin": MAX,
    "last_update": 1779000200.900966,
    "tags": ["sales", "Ёж", "sales", None],
    "channel": {"id": 5, "name": "Support"},
    "reply_last": {"id": 3},
}


def test_a_conversation_points_at_everything_it_names() -> None:
    rows = rows_of("conversations", TALK)
    row = only(rows, "conversations")

    assert ("1160406004324630614", "1448121617782670208", "9", "24601", "5", "55", "1160406004324639999") == chosen(
        row, "id", "user_id", "assignee_id", "last_admin_id", "channel_id", "message_id", "part_last_id"
    )
    assert (True, False, False, None, True) == chosen(row, "read", "replied", "clicked", "unsubscribed", "closed")
    assert (13, 2, "telegram_chat", "text") == chosen(row, "parts_count", "unread_parts_count", "type", "reply_type")
    assert "2026-05-17T06:43:20.900966+00:00" == row["updated_at"].isoformat()
    assert {"reply_last": {"id": 3}} == json.loads(row["extra"])
    assert ["9", "24601"] == [admin["id"] for admin in rows["admins"]]


def test_each_tag_of_a_conversation_is_one_row() -> None:
    tags = rows_of("conversations", TALK)["conversation_tags"]

    assert ["sales", "Ёж"] == [row["tag"] for row in tags]
    assert {"1160406004324630614"} == {row["conversation_id"] for row in tags}


def test_a_conversation_of_nobody_has_no_assignee() -> None:
    rows = rows_of("conversations", {"id": 1, "assignee": None, "last_admin": DEFAULT})

    assert (None, None) == chosen(only(rows, "conversations"), "assignee_id", "last_admin_id")
    assert ["conversations"] == list(rows)


# ---- parts


@pytest.mark.parametrize(
    ("sender", "kind", "author_id"),
    [
        (16588048, "user", "16588048"),
        ("1448121617782670208", "user", "1448121617782670208"),
        (MAX, "admin", "24601"),
        (BOT, "bot", "9"),
        (DEFAULT, "default_admin", None),
        ({"id": 3}, "admin", "3"),
        ({"id": 3, "type": "ai_agent"}, "ai_agent", "3"),
        (None, None, None),
        ("", None, None),
    ],
)
def test_the_author_of_a_part_is_a_user_or_one_of_the_team(sender: Any, kind: str | None, author_id: str) -> None:
    """`from` is a user's id, as a number or text, or an admin object; a `default_admin` has no id."""
    assert (kind, author_id) == chosen(
        only(rows_of("parts", {"id": 1, "from": sender}), "parts"), "author_type", "author_id"
    )


PART = {
    "id": 7936756,
    "created": 1450420300,
    "first": True,
    "conversation": {"id": 7179725},
    "body": "Hi <b>\x00</b>",
    "type": "assigned",
    "sent_via": "web_user",
    "from": MAX,
    "assignee": BOT,
    "edited": 1450420301.5,
    "removed": None,
    "tag": "sales",
    "part_group": 8,
    "attachments": [
        {"id": 2134, "type": "file", "filename": "a.png", "mime_type": "image/png", "size": 3242, "url": "https://x", "created": 1450420299.12, "w": 1},  # noqa: E501
        {"filename": "no id"},
        "odd",
    ],
}  # fmt: skip


def test_a_part_keeps_what_it_says() -> None:
    rows = rows_of("parts", PART)
    row = only(rows, "parts")

    assert ("7936756", "7179725", "Hi <b></b>", "assigned", "web_user", True, "sales", "9") == chosen(
        row, "id", "conversation_id", "body", "type", "sent_via", "is_first", "tag", "assignee_id"
    )
    assert ("2015-12-18T06:31:41.500000+00:00", None) == (row["edited_at"].isoformat(), row["removed_at"])
    assert {"part_group": 8} == json.loads(row["extra"])
    assert ["24601", "9"] == [admin["id"] for admin in rows["admins"]]


def test_an_attachment_points_at_its_part_and_conversation() -> None:
    row = only(rows_of("parts", PART), "part_attachments")

    assert ("2134", "7936756", "7179725", "a.png", "image/png", 3242, "https://x", "file") == chosen(
        row, "id", "part_id", "conversation_id", "filename", "mime_type", "size", "url", "type"
    )
    assert ("2015-12-18T06:31:39.120000+00:00", '{"w":1}') == (row["created_at"].isoformat(), row["extra"])


def test_a_part_that_says_little_has_a_place_all_the_same() -> None:
    row = only(rows_of("parts", {"id": 1}), "parts")

    assert ("77", False, None, None) == chosen(row, "conversation_id", "is_first", "author_type", "extra")


# ---- snapshots


def test_a_channel_names_its_operators() -> None:
    rows = rows_of("channels", {"id": 5, "name": "Support", "type": "manual", "operators": [MAX, MAX, DEFAULT]})
    row = only(rows, "channels")

    assert ("5", "Support", "manual", None) == chosen(row, "id", "name", "type", "avatar")
    assert ["24601", "24601", None] == json.loads(row["operator_ids"])
    assert "24601" == only(rows, "admins")["id"]


def test_a_user_on_the_site_is_a_sample_at_its_time() -> None:
    row = only(
        rows_of("active_users", {"id": 5, "presence": "online", "presence_details": {"$sessions": 3}}), "active_users"
    )

    assert ("5", NOW, "online", '{"$sessions":3}') == chosen(
        row, "user_id", "sampled_at", "presence", "presence_details"
    )


# ---- many records


def test_admins_and_event_types_are_there_once_a_page_with_what_was_said_last() -> None:
    newer = {**MAX, "name": "Maximilian"}
    parts = [{"id": number, "from": who} for number, who in ((1, MAX), (2, BOT), (3, newer))]
    events = records.event_rows([{"id": number, "type": EVENT_TYPE} for number in (4, 5)], "1")
    pages = [records.part_rows(parts[:1], "1"), records.part_rows(parts[1:], "1"), events]
    merged = merge_rows(pages)

    assert [("24601", "Maximilian"), ("9", "Robo")] == [
        chosen(row, "id", "name") for row in records.part_rows(parts, "1")["admins"]
    ]
    assert [("24601", "Maximilian"), ("9", "Robo")] == [chosen(row, "id", "name") for row in merged["admins"]]
    assert 1 == len(merged["event_types"])
    assert ["1", "2", "3"] == [row["id"] for row in merged["parts"]]
    assert ["4", "5"] == [row["id"] for row in merged["events"]]


@pytest.mark.parametrize("kind", ["users", "conversations", "events", "parts", "channels", "active_users"])
@pytest.mark.parametrize("nothing", [None, "", True, "\x00", {}])
def test_a_record_without_an_id_is_no_record(kind: str, nothing: Any) -> None:
    """And neither is what hangs on it: a row without its key could be found by nobody."""
    assert {} == rows_of(kind, {"id": nothing, "props": {"a": 1}, "tags": ["x"]})


def test_what_nobody_made_is_no_table() -> None:
    assert {} == merge_rows([])
    assert {} == stamp({"parts": []}, NOW)


# ---- what a list row says of its children


def test_a_conversation_tells_of_its_newest_part() -> None:
    whole = {"id": "7", "created": 1, "type": "note", "body": "", "from": 3}

    assert Told(1_779_000_200_900_966, 13, 1160406004324639999) == told_by_conversation(TALK)
    assert told_by_conversation({"part_last": whole}).last_is_whole
    assert not told_by_conversation({"part_last": whole}).last_is_only
    assert told_by_conversation({"part_last": {**whole, "first": True}}).last_is_only
    assert not told_by_conversation({"part_last": {**whole, "first": "false"}}).last_is_only


@pytest.mark.parametrize("field", ["id", "created", "type", "body", "from"])
def test_a_newest_part_that_lacks_what_a_part_always_has_is_not_taken_for_it(field: str) -> None:
    brief = {"id": 7, "created": 1, "type": "note", "body": "", "from": 3}
    del brief[field]

    assert not told_by_conversation({"part_last": brief}).last_is_whole


def test_a_user_tells_only_when_they_were_seen() -> None:
    assert Told(1_779_022_892_000_000) == told_by_user(ANN)
    assert Told(0) == told_by_user({}) == told_by_user({"props": {"$last_seen": "never"}}) == told_by_user({"props": 7})


# ---- anything

FIELDS = [
    *("id", "user_id", "presence", "removed", "props", "props_custom", "props_events", "notes", "author", "tags"),
    *("timezone_offset", "user", "type", "created", "last_update", "message", "assignee", "last_admin", "channel"),
    *("parts_count", "part_last", "conversation", "from", "first", "edited", "attachments", "size", "operators"),
    *("$last_seen", "$name", "name", "score"),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=()), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=3), inner),
    max_leaves=6,
)
RECORDS = st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=3), JSON, max_size=8)


@pytest.mark.parametrize("kind", [*endpoints.LISTS, *endpoints.CHILDREN, *endpoints.SNAPSHOTS])
@settings(max_examples=40, deadline=None)
@given(record=RECORDS)
def test_any_record_makes_rows_that_fit_their_tables(kind: str, record: dict[str, Any]) -> None:
    """Nothing raises, no row has a column that its table lacks, no key is null, no JSON is broken."""
    for table, rows in rows_of(kind, record).items():
        columns = TABLES[table].columns()
        for row in rows:
            assert set() == row.keys() - columns.keys()
            assert all(row[name] is not None for name in TABLES[table].key)
            assert all(_fits(row[name], columns[name]["data_type"]) for name in row)


@settings(max_examples=60, deadline=None)
@given(RECORDS)
def test_any_list_row_tells_something(record: dict[str, Any]) -> None:
    told_by_user(record)
    told_by_conversation(record)


def _fits(value: Any, kind: str) -> bool:
    if kind == "json" and value is not None:
        json.loads(value)
        value.encode()
    if kind == "bigint" and value is not None and not -(2**63) <= value < 2**63:
        return False
    kinds = {"text": str, "json": str, "bool": bool, "bigint": int, "double": float, "timestamp": datetime}
    return value is None or isinstance(value, kinds[kind])
