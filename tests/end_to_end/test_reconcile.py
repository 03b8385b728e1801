"""Edits, removals and silent changes, which no list reveals, are found by reading again what was read longest ago."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable

import pytest
from tests.conftest import MOSTLY_POSTGRES, Warehouse
from tests.end_to_end.conftest import Account, assert_equal_to_truth, truth_and_warehouse

from dashly_state.clock import VirtualClock

DAY = 86_400.0
PARTS = {"parts", "part_attachments", "conversation_tags"}


def silent_changes(app: Account) -> None:
    """An edit, a removal, an event without a visit, a tag without a part, two deletions: nothing that a list shows."""
    life, truth = app.simulator.life, app.simulator.truth
    users = [row["id"] for row in truth.rows("users")]
    talks = [row["id"] for row in truth.rows("conversations")]
    parts = [row["id"] for row in truth.rows("parts") if row["body"]]
    life.edit_part(parts[5])
    life.remove_part(parts[9])
    life.silent_event(users[3])
    life.silent_event(users[-1])
    life.silent_tag(talks[4], "silent")
    life.delete_conversation(talks[-2])
    life.delete_user(users[-3])


@MOSTLY_POSTGRES
def test_full_finds_everything(account: Callable[..., Account], warehouse: Warehouse) -> None:
    """`run --full` reads everything again once; what it did not see is marked by the next look at the heads."""
    app = account(users=12, conversations=10)
    app.sync(warehouse)
    silent_changes(app)

    app.sync(warehouse, full=True)
    app.sync(warehouse)

    assert_equal_to_truth(app.simulator, warehouse)
    for table in ("users", "conversations", "parts", "events"):
        gone = {row[0] for row in warehouse.sql(f"select id from {table} where _deleted_at is not null")}
        assert app.simulator.truth.deleted(table) == gone, table


def test_the_allowance_finds_everything_in_the_end(
    account: Callable[..., Account], duckdb_warehouse: Warehouse
) -> None:
    """A share of the budget since the last run is enough to converge, a bit with every run."""
    app = account(users=12, conversations=10)
    app.clock = VirtualClock(app.simulator.clock.now())
    app.sync(duckdb_warehouse)
    silent_changes(app)
    app.cost()

    # 60 requests a minute, 0.5 % of them, a run every 90 minutes: 27 requests a run for reading again
    costs = []
    for _ in range(3):
        app.clock.advance(90 * 60)
        app.sync_at(duckdb_warehouse, "60/60", 0.005)
        costs.append(app.cost())

    assert_equal_to_truth(app.simulator, duckdb_warehouse)
    assert all(cost <= 27 + 4 + 1 for cost in costs), costs


TIES = {"tie_break": "timestamp", "users": 60, "conversations": 55, "parts_per_conversation": 1.0}
"""With four records at the end of the first page of each list that tie to the microsecond, two of them behind it."""


def hidden(app: Account, warehouse: Warehouse, *lists: str) -> list[int]:
    """How many records of each list the warehouse does not have, or has as gone."""
    live = "select count(*) from {} where _deleted_at is null"
    return [len(list(app.simulator.truth.rows(one))) - warehouse.sql(live.format(one))[0][0] for one in lists]


def at_one_moment(app: Account, times: int) -> None:
    """So many events of one user, and parts of one conversation: none of their times differs by a microsecond."""
    simulator, truth = app.simulator, app.simulator.truth
    user = next(truth.rows("users"))["id"]
    talk = max(truth.rows("conversations"), key=lambda row: row["updated_at"])["id"]  # the head of the list stays so
    sent = {"auth_token": simulator.settings.auth_token}
    for _ in range(times):
        simulator.answer("POST", f"/v1/users/{user}/events", {**sent, "event": "Импорт"})
        simulator.answer("POST", f"/v1/conversations/{talk}/reply", {**sent, "body": "рассылка"})


@pytest.mark.soak  # the lists for every change: `test_cost.py`; the children: the test below
def test_full_finds_what_ties_across_the_end_of_a_page(
    account: Callable[..., Account], duckdb_warehouse: Warehouse
) -> None:
    """A server whose page token is a bare time leaves out what ties with a page's last record; ids cannot tie."""
    app = account(**TIES)
    at_one_moment(app, 120)
    app.sync(duckdb_warehouse)

    assert [2, 2] == hidden(app, duckdb_warehouse, "users", "conversations")
    for children, list_name, parent in (("events", "users", "user_id"), ("parts", "conversations", "conversation_id")):
        known = {row["id"] for row in duckdb_warehouse.rows(list_name, ["id"])}
        expected, held = truth_and_warehouse(app.simulator, duckdb_warehouse, children)
        assert held == [row for row in expected if json.loads(row)[parent] in known]

    app.sync(duckdb_warehouse, full=True)

    assert_equal_to_truth(app.simulator, duckdb_warehouse)


def test_the_daily_sweep_finds_what_ties_across_the_end_of_a_page(
    account: Callable[..., Account], duckdb_warehouse: Warehouse
) -> None:
    """The first page of every other sweep is half as long, so that its pages end elsewhere; none is asked for more."""
    app = account(**TIES)
    app.clock = VirtualClock(app.simulator.clock.now())
    at_one_moment(app, 120)
    app.sync(duckdb_warehouse)
    app.clock.advance(DAY + 60)

    app.sync_at(duckdb_warehouse, "60/60", 30.5 / DAY)  # 30 requests, a quarter of which suffices for both lists

    assert_equal_to_truth(app.simulator, duckdb_warehouse)


@pytest.mark.soak
def test_what_a_single_sweep_was_not_shown_is_not_gone(
    account: Callable[..., Account], duckdb_warehouse: Warehouse
) -> None:
    """The list has moved by 26 since: now the end of a shifted page lies among records that tie and are held."""
    app = account(**{**TIES, "users": 3, "conversations": 80})
    app.clock = VirtualClock(app.simulator.clock.now())
    only = ("conversations",)
    app.sync(duckdb_warehouse, only)
    oldest = sorted(app.simulator.truth.rows("conversations"), key=lambda row: row["updated_at"])[:26]
    for talk in oldest:
        app.simulator.life.reply(talk["id"])
    app.reconcile_share = 1.0
    missing = []
    for _ in range(3):
        app.clock.advance(DAY + 60)
        app.sync(duckdb_warehouse, only)
        app.sync(duckdb_warehouse, only)
        missing += hidden(app, duckdb_warehouse, "conversations")

    assert [2, 0, 0] == missing


def test_two_runs_in_a_row_stay_cheap(account: Callable[..., Account], duckdb_warehouse: Warehouse) -> None:
    """The allowance grows with the time since the last run, so there is none right after one."""
    app = account(users=12, conversations=10)
    app.clock = VirtualClock(app.simulator.clock.now())
    app.sync_at(duckdb_warehouse, "60/60", 0.1)
    app.clock.advance(DAY)
    app.cost()
    costs = []
    for _ in range(2):
        app.sync_at(duckdb_warehouse, "60/60", 0.1)
        costs.append(app.cost())

    assert costs[0] > 4
    assert 4 == costs[1]


@pytest.mark.parametrize("dialect", ["after", pytest.param("offset", marks=pytest.mark.soak)])
def test_a_record_that_comes_back_loses_its_mark(
    dialect: str, account: Callable[..., Account], duckdb_warehouse: Warehouse
) -> None:
    """A tombstone is a statement of the moment: a tag that returns takes it away."""
    app = account(users_dialect=dialect, users=6, conversations=6)
    talk = next(app.simulator.truth.rows("conversations"))["id"]
    app.simulator.life.silent_tag(talk, "now and then")
    app.sync(duckdb_warehouse)
    for add in (False, True):
        app.simulator.life.silent_tag(talk, "now and then", add=add)
        app.sync(duckdb_warehouse, full=True)
        app.sync(duckdb_warehouse)

        assert_equal_to_truth(app.simulator, duckdb_warehouse)


def test_a_conversation_whose_only_part_its_list_shows_costs_nothing_to_read_again(
    account: Callable[..., Account], duckdb_warehouse: Warehouse
) -> None:
    """The sweep of the list brings that part along, edited or not; so only the others are asked for."""
    app = account(users=2, conversations=55, parts_per_conversation=1.0)
    app.sync(duckdb_warehouse)
    parts = list(app.simulator.truth.rows("parts"))
    talks = Counter(row["conversation_id"] for row in parts)
    alone = [row["id"] for row in parts if talks[row["conversation_id"]] == 1 and row["body"]]
    app.simulator.life.edit_part(alone[0])
    app.cost()

    app.sync(duckdb_warehouse, full=True)

    asked = app.simulator.requests.by_endpoint["GET /conversations/{id}/parts"]
    assert sum(number > 1 for number in talks.values()) == asked
    assert_equal_to_truth(app.simulator, duckdb_warehouse)


@pytest.mark.parametrize("kind", ["edit", "removal"])
def test_what_was_edited_before_a_reply_is_found_by_the_same_run(
    kind: str, account: Callable[..., Account], duckdb_warehouse: Warehouse
) -> None:
    """The row brings the reply along, and the share of a minute is there for the older parts, whatever is allowed."""
    app = account(users=12, conversations=10, parts_per_conversation=4.0)
    app.clock = VirtualClock(app.simulator.clock.now())
    app.sync(duckdb_warehouse)
    change = {"edit": app.simulator.life.edit_part, "removal": app.simulator.life.remove_part}[kind]
    talks = older_messages(app)
    for talk, part in list(talks.items())[:5]:
        change(part)
        app.simulator.life.reply(talk)
    app.cost()

    run = app.sync_at(duckdb_warehouse, "60/60", 0.1)

    assert (4 + 5, 5) == (app.cost(), run.reread)
    assert_equal_to_truth(app.simulator, duckdb_warehouse)


def older_messages(app: Account) -> dict[str, str]:
    """By conversation, its first message where that is not its newest part."""
    newest = {row["id"]: row["part_last_id"] for row in app.simulator.truth.rows("conversations")}
    first = {row["conversation_id"]: row["id"] for row in app.simulator.truth.rows("parts") if row["is_first"]}
    return {talk: part for talk, part in first.items() if part != newest[talk]}


def test_of_more_replies_than_a_minute_allows_for_the_rest_waits(
    account: Callable[..., Account], duckdb_warehouse: Warehouse
) -> None:
    """Two conversations a run at a share of a thirtieth; who is not looked at is read again in its turn."""
    app = account(users=12, conversations=10, parts_per_conversation=4.0)
    app.clock = VirtualClock(app.simulator.clock.now())
    app.sync(duckdb_warehouse)
    for talk, part in list(older_messages(app).items())[:5]:
        app.simulator.life.edit_part(part, "corrected")
        app.simulator.life.reply(talk)

    corrected = []
    for seconds in (0.0, DAY):
        app.clock.advance(seconds)
        app.sync_at(duckdb_warehouse, "60/60", 1 / 30)
        corrected += duckdb_warehouse.sql("select count(*) from parts where body = 'corrected'")

    assert [(2,), (5,)] == corrected
    assert_equal_to_truth(app.simulator, duckdb_warehouse)
