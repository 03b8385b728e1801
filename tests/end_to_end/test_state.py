"""`dashly-sync state`: looking changes nothing; after a rewind or a reset a run reads what was announced, no more."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.conftest import Warehouse, make_warehouse
from tests.end_to_end.conftest import Account, assert_equal_to_truth

from dashly_state.clock import VirtualClock
from dashly_state.directory import StateDirectory
from dashly_state.errors import RunLockHeld
from dashly_state.lock import RunLock
from dashly_sync.cli import cli
from dashly_sync.rewind import reset, rewind
from dashly_sync.run import lock_name
from dashly_sync.settings import UsageError
from dashly_sync.state import read_state
from dashly_sync.warehouse_pipeline import open_pipeline

TINY = {"users": 20, "conversations": 15, "events_per_user": 20.0, "parts_per_conversation": 8.0}
WIDE = {"users": 160, "conversations": 110, "events_per_user": 1.0, "parts_per_conversation": 1.0}
LISTS = ("users", "conversations")
CHILD_TABLES = ("events", "event_types", "parts", "part_attachments", "admins", "channels")
COLUMNS = "select column_name from information_schema.columns where table_schema = '{}' and table_name = '{}'"
AGAIN = 4
"""What a run that finds nothing new costs; 2 with the lists alone."""


@pytest.fixture(params=["duckdb", pytest.param("postgres", marks=pytest.mark.soak)])
def warehouse(request: pytest.FixtureRequest, tmp_path: Path) -> Warehouse:
    """DuckDB for every change; Postgres too in the soak."""
    return make_warehouse(request, tmp_path)


def now(app: Account) -> float:
    return app.clock.now()


def moment_of(warehouse: Warehouse, column: str, table: str, rank: int) -> int:
    """Microseconds since 1970 of the row at this place, newest first."""
    sql = f"select {column} from {table} where {column} is not null order by 1 desc limit 1 offset {rank}"
    return int(warehouse.sql(sql)[0][0].timestamp()) * 1_000_000


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_show_tells_how_far_everything_is(account: Callable[..., Account], warehouse: Warehouse) -> None:
    """Of a run that was cut off; reading only: no request, no file of the state changes."""
    app = account(**WIDE)
    record = app.sync(warehouse, max_requests=6)
    app.cost()
    before = files(app.state_dir)

    shown = read_state(app.settings(warehouse), now(app))

    assert (0, before) == (app.cost(), files(app.state_dir))
    said = shown.to_json()
    newest = max(row["last_seen_at"] for row in app.simulator.truth.rows("users") if row["last_seen_at"])
    assert newest.astimezone(UTC).isoformat().replace("+00:00", "Z") == said["lists"]["users"]["watermark"]
    assert set(record.open_lists) == {name for name, of in said["lists"].items() if of["open_walks"]}
    assert record.backlog == {name: said["children"][name]["backlog"] for name in record.backlog}
    assert (record.slices, 0) == (said["slice"], said["journal_pages"])
    assert "in the backlog" in shown.sentence()


def test_show_of_nothing(account: Callable[..., Account], warehouse: Warehouse) -> None:
    shown = read_state(account(**TINY).settings(warehouse), 0.0)

    assert shown.sentence().startswith("Nothing is remembered in ")
    assert ({}, {}) == (shown.to_json()["lists"], shown.to_json()["children"])


@pytest.mark.parametrize(
    ("name", "column", "rank"), [("users", "last_seen_at", 120), ("conversations", "updated_at", 70)]
)
def test_a_rewound_list_is_read_again_down_to_the_date(
    name: str, column: str, rank: int, loaded: Callable[..., Account], duckdb_warehouse: Warehouse
) -> None:
    """The watermark is below what changed silently: found again, for as many requests as announced."""
    app = loaded(LISTS, **WIDE)
    to = moment_of(duckdb_warehouse, column, name, rank)
    damaged = duckdb_warehouse.sql(f"select id from {name} order by {column} desc nulls last limit {rank - 10}")
    marks = ", ".join(f"'{row[0]}'" for row in damaged)
    duckdb_warehouse.sql(f"update {name} set extra = null, presence = null where id in ({marks})") if (
        name == "users"
    ) else duckdb_warehouse.sql(f"update {name} set type = null where id in ({marks})")

    dry = rewind(app.settings(duckdb_warehouse), name, to, dry_run=True)
    change = rewind(app.settings(duckdb_warehouse), name, to)
    free = app.cost()
    app.sync(duckdb_warehouse, LISTS)

    assert (dry, 0) == (change, free)
    assert change.requests - 1 <= app.cost() - 2 <= change.requests
    assert change.requests < rank / 50 + 2
    assert_equal_to_truth(app.simulator, duckdb_warehouse, *CHILD_TABLES)


def test_rewound_children_are_read_again_whole(account: Callable[..., Account], warehouse: Warehouse) -> None:
    """Rows that were lost come back, of the parents that moved since the date and of no other."""
    app = account(**TINY)
    app.sync(warehouse)
    dates = {
        "events": moment_of(warehouse, "last_seen_at", "users", 9),
        "parts": moment_of(warehouse, "updated_at", "conversations", 9),
    }
    for name, parent in (("events", "users"), ("parts", "conversations")):
        column, key = ("last_seen_at", "user_id") if name == "events" else ("updated_at", "conversation_id")
        since = datetime.fromtimestamp(dates[name] / 1e6, UTC).isoformat()
        of_parents = f"{key} in (select id from {parent} where {column} >= '{since}')"
        haunt(warehouse, name, of_parents)
        warehouse.sql(f"delete from {name} where {of_parents} and id <> 'ghost'")
    app.cost()

    changes = [rewind(app.settings(warehouse), name, to) for name, to in dates.items()]
    app.sync(warehouse)

    assert [10, 10] == [change.parents for change in changes]
    assert 0 <= sum(change.requests for change in changes) - (app.cost() - AGAIN) <= len(app_singles(app))
    assert [] == haunted(warehouse)
    assert_equal_to_truth(app.simulator, warehouse)


def haunt(warehouse: Warehouse, table: str, where: str) -> None:
    """Puts a row there that the API does not have."""
    names = [name for name, *_ in warehouse.sql(COLUMNS.format(warehouse.dataset, table))]
    values = ["'ghost'" if name in ("id", "_dlt_id") else name for name in names]
    into, row = ", ".join(names), ", ".join(values)
    warehouse.sql(f"insert into {table} ({into}) select {row} from {table} where {where} limit 1")


def haunted(warehouse: Warehouse) -> list[str]:
    """The tables where such a row is held to be alive."""
    alive = "select count(*) from {} where id = 'ghost' and _deleted_at is null"
    return [table for table in ("events", "parts") if warehouse.sql(alive.format(table)) != [(0,)]]


def app_singles(app: Account) -> list[str]:
    """Conversations whose only part is in the list row: they are free where the list shows them."""
    return [row["id"] for row in app.simulator.truth.rows("conversations") if row["parts_count"] == 1]


@pytest.mark.soak
def test_rewinding_while_a_walk_is_open_reads_nothing_twice(
    account: Callable[..., Account], duckdb_warehouse: Warehouse
) -> None:
    """The first load has not come so far down: its walk is given up, the head walk goes on to the end."""
    app = account(**WIDE)
    app.sync(duckdb_warehouse, LISTS, max_requests=3)
    app.cost()

    change = rewind(app.settings(duckdb_warehouse), "users", 0)
    app.sync(duckdb_warehouse, LISTS)

    assert "its end, as an open walk had not come so far" in change.does
    assert app.cost() <= 4 + 3
    assert_equal_to_truth(app.simulator, duckdb_warehouse, *CHILD_TABLES)


@pytest.mark.soak
def test_a_rewind_travels_with_the_destination(account: Callable[..., Account], warehouse: Warehouse) -> None:
    """The working directory is lost right after: the next machine reads the list again all the same."""
    app = account(**WIDE)
    app.sync(warehouse, LISTS)
    to = moment_of(warehouse, "updated_at", "conversations", 70)
    change = rewind(app.settings(warehouse), "conversations", to)
    shown = read_state(app.settings(warehouse), now(app))
    shutil.rmtree(app.state_dir)
    app.cost()

    app.sync(warehouse, LISTS)

    assert to == next(one.coverage.newest for one in shown.lists if one.name == "conversations")
    assert change.requests - 1 <= app.cost() - 2 <= change.requests
    assert_equal_to_truth(app.simulator, warehouse, *CHILD_TABLES)


@pytest.mark.soak
def test_a_change_that_dies_before_it_is_loaded_is_ended_by_the_next_run(
    loaded: Callable[..., Account], duckdb_warehouse: Warehouse
) -> None:
    """The state is in a package by then: it waits on this machine, and the next run loads it first."""
    app = loaded(LISTS, **WIDE)
    settings = app.settings(duckdb_warehouse)
    pipeline, _ = open_pipeline(settings, StateDirectory(app.state_dir))
    pipeline.sync_destination()
    with pipeline.managed_state(extract_state=True) as state:
        for known in state["sources"]["dashly"]["resources"].values():
            known.pop("coverage", None)
    assert pipeline.has_pending_data

    app.sync(duckdb_warehouse, LISTS)

    assert 4 + 3 == app.cost()


@pytest.mark.soak
def test_nothing_to_rewind(loaded: Callable[..., Account], duckdb_warehouse: Warehouse) -> None:
    app = loaded(**TINY)
    settings = app.settings(duckdb_warehouse)
    future = int(datetime(2099, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
    before = read_state(settings, 0.0)

    changes = [rewind(settings, name, future) for name in ("users", "parts")]

    assert ["Nothing to do: ", "Nothing to do: "] == [change.sentence(done=True)[:15] for change in changes]
    assert before == read_state(settings, 0.0)


def test_a_reset_reads_everything_again(account: Callable[..., Account], warehouse: Warehouse) -> None:
    """As many requests as a first load, on another machine too; rows stay, and what was damaged is put right."""
    app = account(**TINY)
    app.sync(warehouse)
    floor = app.simulator.floor_requests()
    warehouse.sql("update users set name = 'damaged'")
    haunt(warehouse, "events", "true")
    haunt(warehouse, "parts", "true")
    warehouse.sql("delete from parts where id <> 'ghost'")
    app.simulator.life.delete_conversation(next(app.simulator.truth.rows("conversations"))["id"])
    rows = warehouse.count("events")
    app.cost()

    change = reset(app.settings(warehouse), None)
    kept = warehouse.count("events")
    shutil.rmtree(app.state_dir)
    app.sync(warehouse)
    cost = app.cost()
    app.sync(warehouse)

    assert rows == kept
    assert floor - 3 <= cost <= floor
    assert change.requests >= cost - AGAIN
    assert [] == haunted(warehouse)
    assert_equal_to_truth(app.simulator, warehouse)


@pytest.mark.parametrize("resource", [None, "events"])
def test_what_vanished_before_a_reset_is_found_in_later_slices_too(
    resource: str | None, account: Callable[..., Account], duckdb_warehouse: Warehouse
) -> None:
    """A first load does not look for such rows after its first slice; after a reset there may be some."""
    app = account(**TINY)
    app.sync(duckdb_warehouse)
    seen = "select u.id from users as u join events as e on e.user_id = u.id order by u.last_seen_at limit 1"
    haunt(duckdb_warehouse, "events", f"user_id = ({seen})")
    assert ["events"] == haunted(duckdb_warehouse)
    app.clock = VirtualClock(now(app))

    reset(app.settings(duckdb_warehouse), resource)
    record = app.sync_at(duckdb_warehouse, "3/60", share=0.0)

    assert record.slices > 2
    assert [] == haunted(duckdb_warehouse)


@pytest.mark.soak
def test_resources_are_reset_one_by_one(loaded: Callable[..., Account], duckdb_warehouse: Warehouse) -> None:
    """A list, and the children of both lists: each reads its own rows again, for what was announced together."""
    app = loaded(**TINY)
    duckdb_warehouse.sql("update users set name = 'damaged'")
    duckdb_warehouse.sql("delete from events")
    duckdb_warehouse.sql("delete from parts")

    changes = [reset(app.settings(duckdb_warehouse), name) for name in ("users", "events", "parts")]
    free = app.cost()
    app.sync(duckdb_warehouse)

    announced = sum(change.requests for change in changes)
    assert (0, [0, 20, 15]) == (free, [change.parents for change in changes])
    assert 0 <= announced + AGAIN - app.cost() <= 1 + len(app_singles(app))
    assert_equal_to_truth(app.simulator, duckdb_warehouse)


def test_a_run_at_work_is_not_disturbed(loaded: Callable[..., Account], duckdb_warehouse: Warehouse) -> None:
    """Changing takes the run lock, looking does not."""
    app = loaded(**TINY)
    settings = app.settings(duckdb_warehouse)
    with RunLock(StateDirectory(app.state_dir).lock_path(lock_name(settings))) as lock:
        lock.acquire({"command": "dashly-sync run"})

        with pytest.raises(RunLockHeld, match="another run is at work"):
            reset(settings, None)
        with pytest.raises(RunLockHeld, match="another run is at work"):
            rewind(settings, "parts", 0)
        assert reset(settings, None, dry_run=True).parents > 0
        assert read_state(settings, 0.0).lists


def test_what_cannot_be_changed_says_why(account: Callable[..., Account], duckdb_warehouse: Warehouse) -> None:
    app = account(**TINY)
    settings = app.settings(duckdb_warehouse)

    with pytest.raises(UsageError, match="`dashly-sync run` begins from nothing"):
        reset(settings, None)
    with pytest.raises(UsageError, match="Set DASHLY_AUTH_TOKEN, or name the app with --app-id"):
        reset(replace(settings, auth_token=""), None)
    assert not Path(duckdb_warehouse.location).exists()


def test_the_commands(
    loaded: Callable[..., Account], duckdb_warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names are suggested, nobody is asked in a script, `--to` is the date, JSON is JSON."""
    app = loaded(**TINY)
    monkeypatch.setenv("DASHLY_DESTINATION", duckdb_warehouse.destination)
    monkeypatch.setenv("DASHLY_AUTH_TOKEN", app.simulator.settings.auth_token)
    monkeypatch.setenv("DASHLY_BASE_URL", app.server.base_url)
    monkeypatch.setenv("DASHLY_STATE_DIR", os.fspath(app.state_dir))

    def ran(*words: str) -> tuple[int, str]:
        ended = CliRunner().invoke(cli, ["state", *words])
        return ended.exit_code, ended.output

    shown = ran("show")
    assert (0, True) == (shown[0], "conversations" in shown[1])
    assert {"users", "conversations"} == set(json.loads(ran("show", "--json")[1])["lists"])
    assert "did you mean conversations?" in ran("rewind", "conversation", "--to", "2026-01-01")[1]
    assert "did you mean events?" in ran("reset", "--resource", "event")[1]
    assert "--to is the date here" in ran("rewind", "users", "--to", "duckdb:///x.duckdb")[1]
    assert (2, True) == (ran("reset")[0], "say --yes" in ran("reset")[1])
    assert "Would be done: " in ran("reset", "--dry-run")[1]
    assert "Would be done: parts of " in ran("rewind", "parts", "--to", "2020-01-01", "--dry-run")[1]
    assert json.loads(ran("reset", "--resource", "users", "--yes", "--json")[1])["done"]
