"""The analytics views: answers worked out by hand, the same on both databases, and views that come, change and go."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests.conftest import Warehouse, postgres_admin, with_database
from tests.warehouse.empty_tables import HOURS, build_views, insert, make_empty_tables

from dashly_warehouse.business_hours import BusinessHours
from dashly_warehouse.views import Model, ViewReport, read_models

PAGE = Path(__file__).parents[2] / "docs" / "analytics.md"

Row = dict[str, Any]
MINUTE, HOUR = 60.0, 3600.0


def at(written: str) -> datetime:
    """A moment of March 2024 such as `04 10:30`, or a whole date and time, in UTC."""
    return datetime.fromisoformat(written if written[4:5] == "-" else f"2024-03-{written}").replace(tzinfo=UTC)


def said(written: str, kind: str, author: str | None = "", **other: Any) -> Row:
    """A part. The author of a `reply_user` is the user; others are named `a1`, `bot`, or None for a default_admin."""
    who = {"user": ("user", "u1"), "bot": ("bot", "b1"), None: ("default_admin", None), "": (None, None)}
    name = "user" if kind in ("reply_user", "chat_bot_user") else author
    author_type, author_id = who.get(name, ("admin", name))
    return {"created_at": at(written), "type": kind, "author_type": author_type, "author_id": author_id, **other}


SCENARIOS: dict[str, tuple[Row, list[Row], Row]] = {
    "answered twice": (
        {"closed": True, "assignee_id": "a2"},
        [
            said("04 10:00", "reply_user"),
            said("04 10:05", "reply_user"),
            said("04 10:20", "reply_admin", "a1"),
            said("04 10:30", "reply_user"),
            said("04 10:45", "reply_admin", "a1"),
            said("04 11:00", "closed", "a1"),
        ],
        {
            "is_open": False,
            "is_awaiting_reply": False,
            "first_reply_at": at("04 10:20"),
            "first_reply_admin_id": "a1",
            "first_response_seconds": 20 * MINUTE,
            "first_response_business_seconds": 20 * MINUTE,
            "waits": 2,
            "waiting_seconds": 35 * MINUTE,
            "waiting_business_seconds": 35 * MINUTE,
            "longest_wait_seconds": 20 * MINUTE,
            "first_close_seconds": HOUR,
            "last_closed_by_admin_id": "a1",
            "closes": 1,
            "reopenings": 0,
            "handling_admin_id": "a1",
            "handling_admin_name": "Ann",
            "assignee_name": "Bob",
            "admins": 1,
            "user_messages": 3,
            "admin_messages": 2,
            "service_entries": 1,
            "parts": 6,
            "tags": "sales, vip",
            "tags_count": 2,
        },
    ),
    "reopened": (
        {"closed": True},
        [
            said("05 10:00", "reply_user"),
            said("05 10:10", "reply_admin", "a1"),
            said("05 10:20", "closed", "a1"),
            said("05 10:20", "final_closed", "a1"),
            said("06 10:00", "opened", None),
            said("06 10:05", "reply_user"),
            said("06 10:35", "reply_admin", "a2"),
            said("06 10:36", "reply_admin", "a2"),
            said("06 11:00", "closed", "bot"),
        ],
        {
            "closes": 2,
            "reopenings": 1,
            "first_reopened_at": at("06 10:00"),
            "first_close_seconds": 20 * MINUTE,
            "first_closed_by_admin_id": "a1",
            "last_close_seconds": 25 * HOUR,
            "last_close_business_seconds": (7 + 3) * HOUR,
            "last_closed_by_admin_id": None,
            "waits": 2,
            "waiting_seconds": 40 * MINUTE,
            "longest_wait_seconds": 30 * MINUTE,
            "handling_admin_id": "a2",
            "admin_names": "Bob, Ann",
        },
    ),
    "no reply yet": (
        {"assignee_id": "a1"},
        [
            said("04 12:00", "reply_user"),
            said("04 12:01", "assigned", "bot", assignee_id="a1"),
            said("04 12:10", "note", "a2"),
            said("04 12:20", "reply_user"),
        ],
        {
            "is_open": True,
            "is_awaiting_reply": True,
            "awaiting_reply_since": at("04 12:00"),
            "first_response_seconds": None,
            "waits": 1,
            "waiting_seconds": 0.0,
            "longest_wait_seconds": None,
            "last_close_seconds": None,
            "assignments": 1,
            "first_assigned_at": at("04 12:01"),
            "handling_admin_id": "a1",
            "admins": 0,
            "notes": 1,
            "messages": 2,
        },
    ),
    "a bot before the operator": (
        {},
        [
            said("04 09:00:00", "reply_user"),
            said("04 09:00:05", "chat_bot_admin", "bot"),
            said("04 09:00:30", "chat_bot_user"),
            said("04 09:00:40", "auto_reply", None),
            said("04 09:10:00", "reply_admin", "a1"),
            said("04 09:11:00", "chat_bot_user"),
        ],
        {
            "first_bot_reply_seconds": 5.0,
            "first_response_seconds": 10 * MINUTE,
            "waits": 1,
            "is_awaiting_reply": False,
            "user_messages": 3,
            "bot_messages": 2,
            "admin_messages": 1,
        },
    ),
    "a bot alone": (
        {"message_id": "m1"},
        [said("04 09:00", "chat_bot_admin", "bot"), said("04 09:01", "chat_bot_user")],
        {"is_outbound": True, "waits": 0, "is_awaiting_reply": False, "first_bot_reply_at": None},
    ),
    "asked after hours": (
        {},
        [said("05 20:00", "reply_user"), said("06 08:30", "reply_admin", "a1")],
        {"first_response_seconds": 12.5 * HOUR, "first_response_business_seconds": 30 * MINUTE},
    ),
    "asked and answered at night": (
        {},
        [said("05 20:00", "reply_user"), said("05 20:30", "reply_admin", "a1")],
        {"first_response_seconds": 30 * MINUTE, "first_response_business_seconds": 0.0},
    ),
    "over a weekend": (
        {},
        [said("08 16:30", "reply_user"), said("11 08:10", "reply_admin", "a1")],
        {"first_response_seconds": 63 * HOUR + 40 * MINUTE, "first_response_business_seconds": 40 * MINUTE},
    ),
    "over a weekend in which the clocks go forward": (
        {},
        [said("29 16:30", "reply_user"), said("2024-04-01 07:10", "reply_admin", "a1")],
        {"first_response_seconds": 62 * HOUR + 40 * MINUTE, "waiting_business_seconds": 40 * MINUTE},
    ),
    "over a weekend in which the clocks go back": (
        {},
        [said("2024-10-25 15:30", "reply_user"), said("2024-10-28 08:10", "reply_admin", "a1")],
        {"first_response_seconds": 64 * HOUR + 40 * MINUTE, "waiting_business_seconds": 40 * MINUTE},
    ),
    "replies that are gone": (
        {},
        [
            said("04 10:00", "reply_user"),
            said("04 10:01", "reply_admin", "a1", _deleted_at=at("05 10:00")),
            said("04 10:02", "reply_admin", "a1", removed_at=at("04 10:03")),
            said("04 10:30", "reply_admin", "a2"),
        ],
        {"first_response_seconds": 30 * MINUTE, "admin_messages": 1, "handling_admin_id": "a2", "parts": 2},
    ),
    "a default_admin without an id": (
        {},
        [said("04 10:00", "reply_user"), said("04 10:07", "reply_admin", None), said("04 10:08", "reply_user")],
        {
            "first_response_seconds": 7 * MINUTE,
            "first_reply_admin_id": None,
            "admin_messages": 1,
            "admins": 0,
            "admin_names": None,
            "handling_admin_id": None,
            "awaiting_reply_since": at("04 10:08"),
        },
    ),
    "begun by an automatic message": (
        {"message_id": "m1"},
        [
            said("04 10:00", "reply_admin", "a1", sent_via="message_auto"),
            said("04 12:00", "reply_user"),
            said("04 12:15", "reply_admin", "a1", sent_via="web_panel"),
        ],
        {
            "is_outbound": True,
            "first_response_seconds": 15 * MINUTE,
            "bot_messages": 1,
            "admin_messages": 1,
            "first_bot_reply_at": None,
        },
    ),
    "closed without a reply": (
        {"closed": True},
        [said("04 10:00", "reply_user"), said("04 10:30", "closed", "bot")],
        {"waits": 1, "waiting_seconds": 30 * MINUTE, "first_response_seconds": None, "is_awaiting_reply": False},
    ),
    "closed, as its state says and no part": (
        {"closed": True, "updated_at": at("04 11:00")},
        [said("04 10:00", "reply_user"), said("04 10:10", "reply_admin", "a1"), said("04 10:20", "reply_user")],
        {"closes": 1, "last_close_seconds": HOUR, "waits": 2, "waiting_seconds": 50 * MINUTE, "is_open": False},
    ),
    "reopened, as its state says and no part": (
        {"closed": False},
        [
            said("04 10:00", "reply_user"),
            said("04 10:05", "reply_admin", "a1"),
            said("04 10:10", "closed", "a1"),
            said("04 10:30", "reply_user"),
        ],
        {"closes": 1, "reopenings": 1, "last_reopened_at": at("04 10:30"), "awaiting_reply_since": at("04 10:30")},
    ),
    "thanks after the close": (
        {"closed": True},
        [
            said("04 10:00", "reply_user"),
            said("04 10:05", "reply_admin", "a1"),
            said("04 10:10", "closed", "a1"),
            said("04 10:30", "reply_user"),
        ],
        {"closes": 1, "reopenings": 0, "waits": 1, "is_awaiting_reply": False, "waiting_seconds": 5 * MINUTE},
    ),
    "asked and answered in the same second": (
        {},
        [said("04 10:00", "reply_user", id="9"), said("04 10:00", "reply_admin", "a1", id="10")],
        {"first_response_seconds": 0.0, "waits": 1, "is_awaiting_reply": False},
    ),
    "no parts yet": (
        {"created_at": at("04 10:00")},
        [],
        {"is_open": True, "parts": 0, "waits": 0, "waiting_seconds": 0.0, "first_user_message_at": None, "closes": 0},
    ),
}


@pytest.fixture
def tables(warehouse: Warehouse) -> Warehouse:
    """A warehouse with the source's tables, and two operators."""
    make_empty_tables(warehouse)
    insert(warehouse, "admins", {"id": "a1", "name": "Ann"}, {"id": "a2", "name": "Bob"})
    return warehouse


def insert_talks(warehouse: Warehouse, talks: dict[str, tuple[Row, list[Row]]]) -> None:
    """Adds conversations with their parts; ids of parts that have none grow in their order."""
    rows, every_part = [], []
    for talk_id, (talk, parts) in talks.items():
        began = {"created_at": parts[0]["created_at"], "updated_at": parts[-1]["created_at"]} if parts else {}
        rows.append({"id": talk_id, "user_id": "u1", **began, **talk})
        numbered = enumerate(parts)
        every_part += [{"id": f"{talk_id}{number:03}", "conversation_id": talk_id, **part} for number, part in numbered]
    insert(warehouse, "conversations", *rows)
    insert(warehouse, "parts", *every_part)


def view(warehouse: Warehouse, name: str, *columns: str, where: str = "true") -> list[tuple[Any, ...]]:
    """The rows of a view in order of these columns."""
    order = ", ".join(str(place + 1) for place in range(len(columns)))
    found = warehouse.sql(f"select {', '.join(columns)} from {name} where {where} order by {order}")
    return [tuple(value.astimezone(UTC) if isinstance(value, datetime) else value for value in row) for row in found]


def test_what_happened_in_a_conversation(tables: Warehouse) -> None:
    names = {str(number): name for number, name in enumerate(SCENARIOS, 1)}
    gone = ({"_deleted_at": at("05 10:00")}, [said("04 10:00", "reply_user")])
    insert_talks(tables, {**{number: SCENARIOS[name][:2] for number, name in names.items()}, "99": gone})
    tags = [{"tag": "vip"}, {"tag": "sales"}, {"tag": "gone", "_deleted_at": at("05 10:00")}]
    insert(tables, "conversation_tags", *({"conversation_id": "1", **tag} for tag in tags))
    build_views(tables)
    found = {names[row["conversation_id"]]: row for row in tables.rows("conversation_metrics")}

    for name, (_, _, expected) in SCENARIOS.items():
        assert (name, expected) == (name, {column: found[name][column] for column in expected})
    assert SCENARIOS.keys() == found.keys()


def test_empty_tables_have_empty_views_and_the_examples_of_the_page_run(tables: Warehouse) -> None:
    assert build_views(tables).created == tuple(model.name for model in read_models())

    counts = ", ".join(f"(select count(*) from {model.name}) as {model.name}" for model in read_models())
    assert {0} == set(tables.sql(f"select {counts}")[0])
    examples = re.findall(r"^```sql\n(.+?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert len(examples) >= 6
    for example in examples:
        assert tables.sql(example) in ([], [(0, 0, 0)])


def test_what_an_operator_did_on_a_day(tables: Warehouse) -> None:
    first_talk = [
        said("04 22:00", "reply_user"),
        said("04 22:01", "assigned", "bot", assignee_id="a1"),
        said("05 08:10", "reply_admin", "a1"),
        said("05 08:11", "reply_admin", "a1"),
        said("05 08:12", "note", "a1"),
        said("05 08:20", "closed", "a1"),
    ]
    second_talk = [
        said("05 09:00", "reply_user"),
        said("05 09:30", "reply_admin", "a1"),
        said("05 10:00", "reply_user"),
        said("05 10:04", "reply_admin", None),
        said("05 10:10", "reply_user"),
        said("05 10:20", "reply_admin", "a2"),
    ]
    insert_talks(tables, {"1": ({"closed": True}, first_talk), "2": ({}, second_talk)})
    build_views(tables)
    columns = ("admin_id", "day", "admin_name", "conversations", "replies", "notes", "closes", "conversations_assigned")
    speeds = ("first_responses", "average_first_response_seconds", "median_first_response_business_seconds")
    waits = ("waits_ended", "median_wait_seconds")

    mean = (610 * MINUTE + 30 * MINUTE) / 2
    speed_of_ann = (2, mean, (10 * MINUTE + 30 * MINUTE) / 2, 2, mean)
    assert [
        ("a1", date(2024, 3, 4), "Ann", 0, 0, 0, 0, 1, 0, None, None, 0, None),
        ("a1", date(2024, 3, 5), "Ann", 2, 3, 1, 1, 0, *speed_of_ann),
        ("a2", date(2024, 3, 5), "Bob", 1, 1, 0, 0, 0, 0, None, None, 1, 10 * MINUTE),
    ] == view(tables, "admin_days", *columns, *speeds, *waits)  # fmt: skip


def test_the_backlog_at_the_end_of_each_hour(tables: Warehouse) -> None:
    talk = [
        said("04 10:10", "reply_user"),
        said("04 11:59", "reply_admin", "a1"),
        said("04 12:00", "closed", "a1"),
        said("04 14:00", "opened", "a1"),
        said("04 14:30", "closed", "a1"),
    ]
    insert_talks(tables, {"1": ({"closed": True}, talk), "2": ({}, [said("04 12:30", "reply_user")])})
    build_views(tables)
    columns = ("hour_at", "opened", "closed", "reopened", "open_at_end", "awaiting_reply_at_end")

    assert [
        (at("04 10:00"), 1, 0, 0, 1, 1),
        (at("04 11:00"), 0, 0, 0, 1, 0),
        (at("04 12:00"), 1, 1, 0, 1, 1),
        (at("04 13:00"), 0, 0, 0, 1, 1),
        (at("04 14:00"), 0, 1, 1, 1, 1),
        (at("04 15:00"), 0, 0, 0, 1, 1),
    ] == view(tables, "inbox_backlog_hours", *columns, where="hour_at < '2024-03-04 16:00+00'")
    ((hours, last),) = tables.sql("select count(*), max(hour_at) from inbox_backlog_hours")
    assert (last - at("04 10:00")) / timedelta(hours=1) == hours - 1
    assert datetime.now(UTC) - last < timedelta(hours=1, minutes=1)


def insert_events(warehouse: Warehouse) -> None:
    """u1 came, paid and came back a week later; u2 came; u3 was merged away; u4 is gone; u5 only wrote."""
    insert(
        warehouse,
        "users",
        {"id": "u1", "last_seen_at": at("20 10:00")},
        {"id": "u2"},
        {"id": "u3", "removed_at": at("06 10:00")},
        {"id": "u4", "_deleted_at": at("06 10:00")},
        {"id": "u5"},
    )
    insert(warehouse, "event_types", {"id": "7", "name": "came"}, {"id": "10", "name": "paid"})
    events = [
        *(("u1", "7", "05 10:00"), ("u1", "10", "05 11:00"), ("u1", "7", "11 00:00"), ("u2", "7", "10 23:59")),
        *(("u3", "7", "05 10:00"), ("u4", "7", "05 10:00")),
    ]
    rows = [
        {"id": str(number), "user_id": user, "type_id": kind, "name": "old name", "created_at": at(when)}
        for number, (user, kind, when) in enumerate(events)
    ]
    insert(warehouse, "events", *rows, {**rows[0], "id": "99", "_deleted_at": at("06 10:00")})


def test_what_users_did(tables: Warehouse) -> None:
    insert_events(tables)
    parts = [said("06 10:00", "reply_user"), said("07 10:00", "reply_admin", "a1")]
    insert_talks(tables, {"1": ({"user_id": "u5"}, parts)})
    build_views(tables)
    columns = ("user_id", "events", "event_types", "active_days", "conversations", "first_seen_at", "last_seen_at")

    assert [
        ("u1", 3, 2, 2, 0, at("05 10:00"), at("20 10:00")),
        ("u2", 1, 1, 1, 0, at("10 23:59"), at("10 23:59")),
        ("u5", 0, 0, 1, 1, at("06 10:00"), None),
    ] == view(tables, "user_activity", *columns)


def test_funnel_and_retention(tables: Warehouse) -> None:
    insert_events(tables)
    build_views(tables)
    funnel = """
        select count(*) as came, count(paid.first_at) as paid
        from event_funnel as came
        left join event_funnel as paid
            on paid.user_id = came.user_id and paid.event = 'paid' and paid.first_at >= came.first_at
        where came.event = 'came'
    """

    assert [
        ("u1", "came", at("05 10:00"), at("11 00:00"), 2, 1),
        ("u1", "paid", at("05 11:00"), at("05 11:00"), 1, 2),
        ("u2", "came", at("10 23:59"), at("10 23:59"), 1, 1),
    ] == view(tables, "event_funnel", "user_id", "event", "first_at", "last_at", "times", "step")
    assert [(2, 1)] == tables.sql(funnel)
    columns = ("event", "cohort_week", "weeks_since", "users_active", "cohort_users", "share_active")
    assert [
        ("any event", date(2024, 3, 4), 0, 2, 2, 1.0),
        ("any event", date(2024, 3, 4), 1, 1, 2, 0.5),
        ("came", date(2024, 3, 4), 0, 2, 2, 1.0),
        ("came", date(2024, 3, 4), 1, 1, 2, 0.5),
        ("paid", date(2024, 3, 4), 0, 1, 1, 1.0),
    ] == view(tables, "event_retention", *columns)


def test_the_facts_of_a_day(tables: Warehouse) -> None:
    insert_events(tables)
    parts = [said("06 10:00", "reply_user"), said("07 10:00", "reply_admin", "a1"), said("07 10:01", "closed", "a1")]
    insert_talks(tables, {"1": ({"user_id": "u5", "closed": True}, parts)})
    insert(tables, "conversation_tags", {"conversation_id": "1", "tag": "vip"})
    build_views(tables)
    columns = ("day", "new_users", "active_users", "events", "conversations_opened", "conversations_closed")
    more = ("conversations_open_at_end", "awaiting_reply_at_end", "user_messages", "admin_messages", "first_responses")

    assert [
        (date(2024, 3, 5), 1, 1, 2, 0, 0, 0, 0, 0, 0, 0, None),
        (date(2024, 3, 6), 1, 1, 0, 1, 0, 1, 1, 1, 0, 0, None),
        (date(2024, 3, 7), 0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 24 * HOUR),
        (date(2024, 3, 8), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, None),
    ] == view(tables, "daily_facts", *columns, *more, "median_first_response_seconds", where="day < date '2024-03-09'")
    assert [("vip", date(2024, 3, 6), 1, 0, 0, 24 * HOUR)] == view(
        tables,
        "conversation_tag_days",
        *("tag", "day", "conversations", "open_conversations", "reopened_conversations"),
        "median_first_response_seconds",
    )


NIGHT_SHIFTS = "mon-thu 09:00-18:00, fri 9:00-12:30, fri 13:00-16:00, sat 22:00-02:30, sun 23:00-24:00 America/New_York"


def spans_of(hours: BusinessHours, first: date, days: int) -> Iterator[tuple[datetime, datetime]]:
    """The openings by Python's own calendar."""
    for number in range(days):
        day = first + timedelta(days=number)
        for opening in hours.openings:
            if opening.weekday == day.isoweekday():
                opens, closes = (_moment(day, minutes, hours.time_zone) for minutes in (opening.opens, opening.closes))
                yield opens, max(opens, closes)


def _moment(day: date, minutes: int, zone: str) -> datetime:
    """A clock time that comes twice is its second coming; one that never comes is read with the offset before."""
    wall = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)) + timedelta(minutes=minutes)
    moments = [wall.replace(fold=fold).astimezone(UTC) for fold in (0, 1)]
    return max(moments)


def test_business_seconds_are_those_of_the_calendar(tables: Warehouse) -> None:
    dice, first = random.Random(4), at("01 00:00")
    intervals = {}
    for number in range(300):
        start = first + timedelta(microseconds=dice.randrange(400 * 86_400 * 1_000_000))
        longest = dice.choice((3_600, 86_400, 30 * 86_400))
        intervals[str(number)] = (start, start + timedelta(microseconds=dice.randrange(longest * 1_000_000)))
    insert(tables, "conversations", *({"id": one, "created_at": bounds[0]} for one, bounds in intervals.items()))
    asked = [_part(one, "reply_user", bounds[0]) for one, bounds in intervals.items()]
    insert(tables, "parts", *asked, *[_part(one, "reply_admin", bounds[1]) for one, bounds in intervals.items()])
    for written in (NIGHT_SHIFTS, "mon-sun 00:00-24:00 Australia/Lord_Howe"):
        hours = BusinessHours.parse(written)
        build_views(tables, hours)
        spans = list(spans_of(hours, date(2024, 2, 26), 450))
        expected = {
            one: sum((_overlap(bounds, span) for span in spans), timedelta()).total_seconds()
            for one, bounds in intervals.items()
        }
        columns = ("conversation_id", "business_seconds")

        assert expected == dict(view(tables, "conversation_durations", *columns, where="kind = 'first response'"))


def _overlap(one: tuple[datetime, datetime], other: tuple[datetime, datetime]) -> timedelta:
    return max(timedelta(), min(one[1], other[1]) - max(one[0], other[0]))


def _part(talk: str, kind: str, when: datetime) -> Row:
    return {"id": f"{kind} {talk}", "conversation_id": talk, "type": kind, "created_at": when, "author_type": None}


# ---- views that come, change and go ----------------------------------------------------------------------------------


def test_what_is_up_to_date_is_left_alone(tables: Warehouse) -> None:
    build_views(tables)

    assert build_views(tables) == ViewReport()


def test_views_wait_for_their_tables(warehouse: Warehouse) -> None:
    make_empty_tables(warehouse, ("users", "events", "event_types"))

    assert {"user_events", "event_funnel", "event_retention"} == set(build_views(warehouse).created)

    make_empty_tables(warehouse, ("conversations", "parts", "conversation_tags", "admins", "channels"))

    assert "conversation_metrics" in build_views(warehouse).created
    assert warehouse.count("conversation_metrics") == 0


def test_new_hours_reach_the_views_and_keep_what_was_built_upon_them(tables: Warehouse) -> None:
    insert_talks(tables, {"1": ({}, [said("05 20:00", "reply_user"), said("05 20:30", "reply_admin", "a1")])})
    build_views(tables)
    tables.sql("create view mine as select first_response_business_seconds as seconds from dashly.conversation_metrics")
    report = build_views(tables, BusinessHours.parse("mon-sun 00:00-24:00 UTC"))

    assert ("business_hours",) == report.created
    assert [(30 * MINUTE,)] == tables.sql("select seconds from mine")


def test_another_version_changes_its_views_and_drops_what_it_no_longer_has(tables: Warehouse) -> None:
    old = [
        Model("base", "-- Old\nselect id as user_id, name, 1 as number from {{ source('dashly', 'users') }}"),
        Model("upon", "-- Upon it\nselect user_id, number from {{ ref('base') }}"),
        Model("gone", "-- It goes\nselect user_id from {{ ref('upon') }}"),
    ]
    new = [
        Model(
            "base", "-- It's new\nselect id as key, cast(1 as varchar) as number from {{ source('dashly', 'users') }}"
        ),
        Model("upon", "-- Upon it\nselect key, number from {{ ref('base') }}"),
    ]
    build_views(tables, HOURS, old)
    report = build_views(tables, HOURS, new)

    assert ViewReport(created=("base", "upon"), dropped=("gone",)) == report
    assert [] == tables.sql("select key, number from upon")
    assert "gone" not in tables.tables()
    assert ViewReport() == build_views(tables, HOURS, new)


def test_what_others_made_is_left_alone(tables: Warehouse) -> None:
    tables.sql("create table business_hours as select 1 as mine; create view user_events as select 2 as mine")
    report = build_views(tables)

    assert (
        "dashly.business_hours is not ours and stays; there is no view of that name",
        "dashly.user_events is not ours and stays; there is no view of that name",
    ) == report.notices
    assert [(1, 2)] == tables.sql("select b.mine as one, u.mine as two from business_hours as b, user_events as u")
    assert "conversation_durations" not in tables.tables(), "it would read from what is not ours"
    assert ("conversation_parts", "conversation_transitions") == report.created


def test_missing_rights_are_a_notice(postgres_uri: str, postgres_server: str) -> None:
    warehouse = Warehouse("postgres", postgres_uri, "dashly", postgres_uri)
    make_empty_tables(warehouse)
    role = f"r{random.randrange(10**9)}"
    database = postgres_uri.partition("?")[0].rpartition("/")[2]
    with postgres_admin(postgres_uri) as run:
        run(f"create role {role} login password 'pw'; grant usage on schema dashly to {role}")
        run(f"grant select on all tables in schema dashly to {role}")
    report = build_views(warehouse, destination=with_database(postgres_server, database, role, "pw"))
    with postgres_admin(postgres_uri) as run:
        run(f"drop owned by {role}; drop role {role}")

    reason = "permission denied for schema dashly"
    assert (
        f"the analytics views are not up to date: {reason}. The rows are loaded; the next run tries again",
    ) == report.notices


def test_what_is_built_upon_a_view_that_loses_a_column_is_named(postgres_uri: str) -> None:
    warehouse = Warehouse("postgres", postgres_uri, "dashly", postgres_uri)
    make_empty_tables(warehouse)
    model = Model("base", "-- Old\nselect id, name from {{ source('dashly', 'users') }}")
    build_views(warehouse, HOURS, [model])
    warehouse.sql("create view mine as select name from dashly.base")
    changed = replace(model, template="-- New\nselect id from {{ source('dashly', 'users') }}")
    report = build_views(warehouse, HOURS, [changed])

    assert "(view mine depends on view base)" in report.notices[0].replace("dashly.", "")
    assert [] == warehouse.sql("select name from mine")
