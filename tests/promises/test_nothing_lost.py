"""The promise: every record that the API returned to us is in the warehouse, at its newest version, once.

After a run the warehouse equals the simulator's truth exactly, whatever the documents leave open.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.conftest import MOSTLY_DUCKDB, MOSTLY_POSTGRES, Warehouse
from tests.end_to_end.conftest import Account, assert_equal_to_truth, truth_and_warehouse

OPEN_QUESTIONS: dict[str, dict[str, Any]] = {
    "as the vendor's page says": {},
    "users page by offset": {"users_dialect": "offset"},
    "users page by offset, ending on a full page": {"users_dialect": "offset", "users": 100},
    "a page that is exactly full": {"users": 50, "conversations": 50},
    "no next_after on the last page": {"last_page_token": "absent"},
    "no next_after on a last page that is full": {"last_page_token": "absent", "users": 50, "conversations": 50},
    "an empty page behind a full one": {"exact_page_ends": True, "users": 50},
    "times with fractions": {"last_update_format": "float", "created_format": "float"},
    "every id a string": {"string_ids": "all"},
    "part_last without a body": {"part_last": "brief"},
    "no part_last": {"part_last": "absent"},
    "parts_count counts hidden parts": {"parts_count": "with_hidden"},
    "parts_count leaves notes out": {"parts_count": "without_notes"},
    "list rows carry custom properties": {"list_props_custom": True},
    "no channel in list rows": {"conversation_channel": False},
    "fields that no document knows": {"unknown_fields": True},
    "long and short ids": {"legacy_ids": 0.5},
    "nobody there": {"users": 0, "conversations": 0},
    "five users": {"users": 5, "conversations": 3},
}
TOGETHER: dict[str, list[str]] = {
    "offset, full pages, text": [
        "users page by offset",
        "a page that is exactly full",
        "every id a string",
        "part_last without a body",
        "parts_count leaves notes out",
        "list rows carry custom properties",
    ],
    "no last token, fractions, more fields": [
        "no next_after on a last page that is full",
        "times with fractions",
        "parts_count counts hidden parts",
        "no channel in list rows",
        "fields that no document knows",
        "long and short ids",
    ],
    "an empty page, no part_last": ["an empty page behind a full one", "no part_last"],
    "no last token, five users": ["no next_after on the last page", "five users"],
}
"""Every answer once, with others that do not hide it; those of the page and of nobody are in the tests below."""


@pytest.mark.parametrize(
    "question", [*TOGETHER, *(pytest.param(one, marks=pytest.mark.soak) for one in OPEN_QUESTIONS)]
)
def test_first_load_equals_truth(question: str, account: Callable[..., Account], duckdb_warehouse: Warehouse) -> None:
    """Whichever answer to an open question is right, a first load is complete: several at once, in the soak each."""
    app = account(**{k: v for one in TOGETHER.get(question, [question]) for k, v in OPEN_QUESTIONS[one].items()})

    record = app.sync(duckdb_warehouse)

    assert "finished" == record.outcome
    assert_equal_to_truth(app.simulator, duckdb_warehouse)


@pytest.mark.parametrize(
    ("dialect", "warehouse"),
    [
        ("after", "postgres"),
        ("offset", "duckdb"),
        pytest.param("after", "duckdb", marks=pytest.mark.soak),
        pytest.param("offset", "postgres", marks=pytest.mark.soak),
    ],
    indirect=["warehouse"],
)
def test_both_databases_equal_truth_through_changes(
    dialect: str, account: Callable[..., Account], warehouse: Warehouse
) -> None:
    """Ids above 2^53, Cyrillic and colliding names, HTML, emoji, default admins, backdated events: alike in both."""
    app = account(users_dialect=dialect)
    assert "finished" == app.sync(warehouse).outcome
    assert_equal_to_truth(app.simulator, warehouse)

    app.simulator.life.churn(0.1)
    user = next(app.simulator.truth.rows("users"))["id"]
    app.simulator.life.user_visits(user, events=2)
    app.simulator.life.backdated_event(user, days=400)
    app.simulator.life.user_visits(user)
    app.simulator.life.change_prop(user, "План", "pro ✨")
    app.simulator.life.user_visits(user)
    app.sync(warehouse)

    assert_equal_to_truth(app.simulator, warehouse)


def test_text_that_stops_databases_is_cleaned_and_nothing_else_is_lost(
    account: Callable[..., Account], warehouse: Warehouse
) -> None:
    """NUL characters and lone surrogates go, the text around them and every other row stay."""
    app = account(poison_text=True, users=30, conversations=30)

    app.sync(warehouse)

    for table in ("users", "events", "conversations", "parts", "user_props"):
        expected, held = truth_and_warehouse(app.simulator, warehouse, table)
        assert len(expected) == len(held), table
    assert 0 == warehouse.sql(f"select count(*) from parts where strpos(body, {_NUL[warehouse.kind]}) > 0")[0][0]


_NUL = {"duckdb": "chr(0)", "postgres": "'no text with a NUL gets into Postgres'"}


@MOSTLY_DUCKDB
def test_user_details_are_opt_in_and_complete(account: Callable[..., Account], warehouse: Warehouse) -> None:
    """`user_details` costs one request a user, and brings custom properties, counters, segments, tags and notes."""
    app = account(users=12, conversations=6)
    app.sync(warehouse, ("users", "events", "user_details"))

    expected, held = truth_and_warehouse(app.simulator, warehouse, "user_details")
    by_details = sorted((row["user_id"], row["name"], row["value"], row["value_type"]) for row in _details(app))
    rows = warehouse.rows("user_props", ["user_id", "name", "value", "value_type"])

    assert expected == held
    assert by_details == sorted(tuple(row.values()) for row in rows)
    assert 12 == app.simulator.requests.by_endpoint["GET /users/{id}"]
    app.cost()
    app.sync(warehouse, ("users", "events", "user_details"))
    assert 1 == app.cost()


def _details(app: Account) -> list[dict[str, Any]]:
    return list(app.simulator.truth.rows("user_props", with_details=True))


@MOSTLY_POSTGRES
def test_a_property_that_vanishes_gets_deleted_at_and_stays(
    account: Callable[..., Account], warehouse: Warehouse
) -> None:
    """A row that the API no longer returns is marked, not removed."""
    app = account(users=10, conversations=5)
    user = next(app.simulator.truth.rows("users"))["id"]
    app.simulator.life.change_prop(user, "$city", "Омск")
    app.simulator.life.user_visits(user)
    app.sync(warehouse)

    app.simulator.life.delete_prop(user, "$city")
    app.simulator.life.user_visits(user)
    app.sync(warehouse)

    marks = "select value, _deleted_at is null from user_props where"
    rows = warehouse.sql(f"{marks} user_id = '{user}' and name = '$city'")
    assert [("Омск", False)] == rows
    assert_equal_to_truth(app.simulator, warehouse)


@MOSTLY_DUCKDB
def test_a_tag_that_is_taken_off_gets_deleted_at_and_comes_back(
    account: Callable[..., Account], warehouse: Warehouse
) -> None:
    """A tag that returns loses its mark."""
    app = account(users=5, conversations=5)
    talk = next(app.simulator.truth.rows("conversations"))["id"]
    marks = f"select _deleted_at is null from conversation_tags where conversation_id = '{talk}' and tag = 'vip'"
    seen = []
    for add in (True, False, True):
        app.simulator.life.tag(talk, "vip", add=add)
        app.sync(warehouse)
        assert_equal_to_truth(app.simulator, warehouse)
        seen += warehouse.sql(marks)

    assert [(True,), (False,), (True,)] == seen


def test_every_table_of_the_contract_is_there_after_the_first_run(
    account: Callable[..., Account], warehouse: Warehouse
) -> None:
    """A query never fails because nothing of its kind has arrived yet."""
    app = account(users=0, conversations=0)

    record = app.sync(warehouse)

    assert "finished" == record.outcome
    assert_equal_to_truth(app.simulator, warehouse)
    tables = set(warehouse.tables())
    assert (
        set()
        == {
            *("users", "user_props", "events", "event_types", "conversations", "conversation_tags", "parts"),
            *("part_attachments", "admins", "channels", "active_users", "sync_progress", "sync_runs"),
        }
        - tables
    )


@pytest.mark.parametrize("dialect", ["offset", pytest.param("after", marks=pytest.mark.soak)])
def test_a_list_that_moves_while_it_is_read_loses_nothing(
    dialect: str, account: Callable[..., Account], duckdb_warehouse: Warehouse
) -> None:
    """What changes behind the reader's back is found by the next run that is left in peace."""
    app = account(users=120, users_dialect=dialect, live_rate=0.3, random_deeds="visible", seed=7)
    app.sync(duckdb_warehouse)

    app.simulator.life.rest()
    app.sync(duckdb_warehouse)

    assert_equal_to_truth(app.simulator, duckdb_warehouse)
