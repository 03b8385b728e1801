"""However a sync is cut up, it ends in the same warehouse and pays nothing twice."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import MOSTLY_POSTGRES, Warehouse
from tests.end_to_end.conftest import Account, assert_equal_to_truth

from dashly import Slice
from dashly.endpoints import DEFAULT_RESOURCES
from dashly.reading import HEAD_EVERY_SECONDS, LIST_TABLES
from dashly_simulator import Faults
from dashly_state.clock import VirtualClock
from dashly_sync.run import Run, RunLimits, with_parents
from dashly_sync.run_log import RunRecord
from dashly_sync.signals import StopSignal

LARGEST_PAGE = 1_000
"""More rows than any page has here: 50 users with their properties and tags."""


@MOSTLY_POSTGRES
def test_runs_of_thirty_requests_end_like_one_run(account: Callable[..., Account], warehouse: Warehouse) -> None:
    """`run --max-requests 30` again and again until done: equal to the truth, and no request more than one run."""
    app = account(conversations=10)
    floor = app.simulator.floor_requests()
    costs = []
    while (record := app.sync(warehouse, max_requests=30)).outcome != "finished":
        costs.append(app.cost())
        assert "request limit" == record.outcome
        assert len(costs) < 50
    costs.append(app.cost())

    assert {30} == set(costs[:-1])
    assert floor == sum(costs)
    assert_equal_to_truth(app.simulator, warehouse)


@pytest.mark.parametrize(
    ("limits", "count", "least", "most"),
    [
        ({"slice_rows": 100}, lambda each: sum(each.rows.get(table, 0) for table in LIST_TABLES), 100, LARGEST_PAGE),
        ({"slice_requests": 20}, lambda each: each.pages, 20, 20),
    ],
    ids=["rows of lists", "requests"],
)
def test_slices_of_so_much_end_like_one(
    limits: dict[str, int],
    count: Callable[[Slice], int],
    least: int,
    most: int,
    account: Callable[..., Account],
    duckdb_warehouse: Warehouse,
) -> None:
    """Once a slice has that much no further request begins before it is loaded, and no page is paid for again."""
    app = account(conversations=10)
    floor = app.simulator.floor_requests()
    slices: dict[int, Slice] = {}

    def watch(_: RunRecord, limits: Slice | None) -> None:
        if limits is not None:
            slices[id(limits)] = limits

    Run(app.settings(duckdb_warehouse), RunLimits(DEFAULT_RESOURCES, **limits), StopSignal(), watch).carry_out()

    counts = [count(each) for each in slices.values()]
    assert len(counts) > 3
    assert all(least <= each <= most for each in counts[:-1])
    assert floor == app.cost()
    assert_equal_to_truth(app.simulator, duckdb_warehouse)


@pytest.mark.parametrize(
    "order",
    [
        [("users",), ("conversations",), ("events", "parts")],
        pytest.param([("conversations", "parts"), ("users", "events")], marks=pytest.mark.soak),
        pytest.param([("parts",), ("events",), ("users", "conversations")], marks=pytest.mark.soak),
    ],
)
def test_resources_one_after_the_other_end_like_all_at_once(
    order: list[tuple[str, ...]], account: Callable[..., Account], duckdb_warehouse: Warehouse
) -> None:
    """`--only` leaves what it leaves out known as missing, so a later run finds it."""
    app = account(users=15, conversations=12)
    for resources in order:
        app.sync(duckdb_warehouse, with_parents(resources))

    app.sync(duckdb_warehouse)

    assert_equal_to_truth(app.simulator, duckdb_warehouse)


def test_since_leaves_history_for_later(account: Callable[..., Account], duckdb_warehouse: Warehouse) -> None:
    """A first load with `since` brings the recent part; one without it then brings the rest, and nothing twice."""
    app = account()
    floor = app.simulator.floor_requests()
    newest = [row["last_seen_at"] for row in app.simulator.truth.rows("users") if row["last_seen_at"]]
    since = int(sorted(newest)[-20].timestamp() * 1_000_000)

    first = app.sync(duckdb_warehouse, since=since)
    early = app.cost()

    assert "finished" == first.outcome
    assert 0 < early < floor / 2
    app.sync(duckdb_warehouse)
    assert floor + 4 >= early + app.cost()
    assert_equal_to_truth(app.simulator, duckdb_warehouse)


@MOSTLY_POSTGRES
def test_a_lost_state_directory_is_taken_from_the_destination(
    account: Callable[..., Account], warehouse: Warehouse
) -> None:
    """The destination remembers: nothing new costs 4 requests also on a new machine."""
    app = account(users=15, conversations=12)
    app.sync(warehouse)
    app.cost()

    app.state_dir = app.state_dir.with_name("another machine")
    app.sync(warehouse)

    assert 4 == app.cost()
    assert_equal_to_truth(app.simulator, warehouse)


def test_a_lost_destination_is_said_and_read_anew(account: Callable[..., Account], warehouse: Warehouse) -> None:
    """Nothing is there, whatever this machine remembers: the next run starts over and says so."""
    app = account(users=12, conversations=9)
    floor = app.simulator.floor_requests()
    app.sync(warehouse)
    app.cost()
    warehouse.sql("drop schema dashly cascade")

    record = app.sync(warehouse)

    # what the journal still had of the first slice is not paid again
    assert 0 <= app.cost() <= floor
    assert "starting over" in record.notices[0]
    assert_equal_to_truth(app.simulator, warehouse)


def test_a_destination_restored_from_a_backup_is_believed(
    account: Callable[..., Account], duckdb_warehouse: Warehouse, tmp_path: Path
) -> None:
    """The machine remembers rows that the backup does not hold: it goes on from what the backup holds."""
    app = account(users=12, conversations=9)
    app.sync(duckdb_warehouse)
    backup = tmp_path / "backup"
    shutil.copy(duckdb_warehouse.location, backup)
    app.simulator.life.churn(0.3)
    app.sync(duckdb_warehouse)
    shutil.copy(backup, duckdb_warehouse.location)

    record = app.sync(duckdb_warehouse)

    assert "older than this machine remembers" in record.notices[0]
    assert_equal_to_truth(app.simulator, duckdb_warehouse)


KINDS = ("500", "html502", "cut", "reset", "429", "429_retry_after")


@pytest.mark.parametrize("kinds", [KINDS, *(pytest.param((kind,), marks=pytest.mark.soak) for kind in KINDS)])
def test_a_fault_at_every_tenth_request_changes_nothing(
    kinds: tuple[str, ...], account: Callable[..., Account], duckdb_warehouse: Warehouse
) -> None:
    """The run completes, equal to the truth, and each fault costs the request that it spoiled.

    Of minutes of waiting, as a 429 demands that does not say for how long, a look at the heads of both lists is due.
    """
    app = account(users=45, conversations=25)
    app.clock = VirtualClock(app.simulator.clock.now())
    app.simulator.faults.follow(Faults(every=10, kinds=kinds))
    floor, began = app.simulator.floor_requests(), app.clock.now()

    record = app.sync(duckdb_warehouse)

    assert "finished" == record.outcome
    cost, heads = app.cost(), 2 * int((app.clock.now() - began) // HEAD_EVERY_SECONDS)
    assert floor + heads + cost // 10 == cost
    assert_equal_to_truth(app.simulator, duckdb_warehouse)
