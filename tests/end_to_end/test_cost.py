"""What each situation costs, in requests that the server counted. Exact: a change of a number here is a decision."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.conftest import Warehouse
from tests.end_to_end.conftest import Account, assert_equal_to_truth

README_ACCOUNT = {"users": 200, "conversations": 120, "events_per_user": 60.0, "parts_per_conversation": 12.5}


def test_the_costs_that_the_readme_names(account: Callable[..., Account], duckdb_warehouse: Warehouse) -> None:
    """A first load costs the floor, a run that finds nothing new 4, 5 % churn fewer than the 19 of the best peers."""
    app = account(**README_ACCOUNT)
    floor = app.simulator.floor_requests()
    app.sync(duckdb_warehouse)
    first = app.cost()
    app.sync(duckdb_warehouse)
    nothing_new = app.cost()
    app.simulator.life.churn(0.05)
    app.sync(duckdb_warehouse)
    churn = app.cost()

    assert (429, 429, 4, 18) == (floor, first, nothing_new, churn)
    assert_equal_to_truth(app.simulator, duckdb_warehouse)


@pytest.mark.soak
def test_offset_pages_cost_one_in_fifty_more(account: Callable[..., Account], duckdb_warehouse: Warehouse) -> None:
    """The overlap of one record a page stays within 1.02 times the floor."""
    app = account(**README_ACCOUNT, users_dialect="offset")
    floor = app.simulator.floor_requests()

    app.sync(duckdb_warehouse)

    assert (429, 430) == (floor, app.cost())


def test_a_single_change_costs(account: Callable[..., Account], duckdb_warehouse: Warehouse) -> None:
    """4 for looking, and one for each parent whose children have to be asked for."""
    app = account(users=20, conversations=12)
    app.sync(duckdb_warehouse)
    app.cost()
    costs = {}
    for deed in COSTS:
        _do(app, deed)
        app.sync(duckdb_warehouse)
        costs[deed] = app.cost()

    assert COSTS == costs
    assert_equal_to_truth(app.simulator, duckdb_warehouse)


COSTS = {
    "one new part": 4,
    "three new parts in one conversation": 5,
    "a tag": 4,
    "a user who came back": 5,
    "an event from long ago": 5,
}


def _do(app: Account, deed: str) -> None:
    life = app.simulator.life
    user = next(row["id"] for row in app.simulator.truth.rows("users"))
    talk = next(row["id"] for row in app.simulator.truth.rows("conversations") if row["parts_count"] > 2)
    deeds: dict[str, Callable[[], object]] = {
        "one new part": lambda: life.reply(talk),
        "three new parts in one conversation": lambda: life.reply(talk, parts=3),
        "a tag": lambda: life.tag(talk, "vip"),
        "a user who came back": lambda: life.user_visits(user, events=3),
        "an event from long ago": lambda: (life.backdated_event(user, days=900), life.user_visits(user)),
    }
    deeds[deed]()
