"""The way back, end to end: rows of a real warehouse, and what the simulated Dashly has of them afterwards."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from tests.conftest import Warehouse

from dashly.errors import AccessError, ApiUnavailable
from dashly_activation.changes import canonical
from dashly_activation.rows import RowMap
from dashly_simulator import Simulator, SimulatorAdapter, SimulatorSettings
from dashly_state.budget import RateLimit
from dashly_state.clock import VirtualClock
from dashly_state.push_ledger import Status
from dashly_sync.push import Push
from dashly_sync.push_order import PushOrder, PushRecord
from dashly_sync.push_text import closing_sentence
from dashly_sync.settings import Settings
from dashly_sync.signals import StopSignal

NOW = datetime(2026, 11, 1, tzinfo=UTC)


class Activation:
    """A simulated app in virtual time under the real limit of 60 requests a minute, and pushes to it."""

    def __init__(self, warehouse: Warehouse, state_dir: Path, **settings: Any) -> None:
        self.simulator = Simulator(SimulatorSettings(**{"users": 5, "conversations": 1, **settings}))
        self.clock = VirtualClock(self.simulator.clock.now())
        self.warehouse, self.stop = warehouse, StopSignal()
        self.settings = Settings(
            auth_token=self.simulator.settings.auth_token,
            base_url="http://simulated.invalid/v1",
            destination=warehouse.destination,
            state_dir=state_dir,
            rate_limit=RateLimit(60, 60.0),
        )

    @property
    def users(self) -> list[str]:
        """Dashly's ids."""
        return [str(row["id"]) for row in self.simulator.truth.rows("users")]

    def table(self, name: str, columns: str, rows: list[tuple[Any, ...]]) -> None:
        """Makes a table of these rows in the warehouse."""
        self.warehouse.sql(f"create schema if not exists {self.warehouse.dataset}")
        self.warehouse.sql(f"drop table if exists {name}")
        self.warehouse.sql(f"create table {name} ({columns})")
        for at in range(0, len(rows), 1000):
            values = ", ".join("(" + ", ".join(map(_literal, row)) + ")" for row in rows[at : at + 1000])
            self.warehouse.sql(f"insert into {name} values {values}")

    def push(self, mapped: RowMap, sql: str = "select * from scores order by id", **how: Any) -> Push:
        """One push that has ended, with its record and its error."""
        order = PushOrder(mapped.kind, "scores", sql, mapped, **how)
        with self._session() as session:
            push = Push(self.settings, order, self.stop, clock=self.clock, session=session)
            push.carry_out()
        return push

    def retry(self, mapped: RowMap, status: Status | None = None, *, accepts: bool = False) -> PushRecord:
        """One push of what is open in the ledger."""
        order = PushOrder(mapped.kind, "scores", retry=status, accepts=accepts)
        with self._session() as session:
            return Push(self.settings, order, self.stop, clock=self.clock, session=session).carry_out()

    def cost(self) -> int:
        """Requests since the last time this was asked, as the server counted them."""
        total = self.simulator.requests.total
        self.simulator.requests.reset()
        return total

    def props(self) -> dict[str, Mapping[str, Any]]:
        """The custom properties of each user."""
        return {str(row["user_id"]): row["props_custom"] for row in self.simulator.truth.rows("user_details")}

    def letters(self) -> list[dict[str, Any]]:
        """The dead letters."""
        return self.warehouse.rows("push_dead_letters", order_by="reason")

    @contextmanager
    def _session(self) -> Iterator[requests.Session]:
        with requests.Session() as session:
            session.mount("http://", SimulatorAdapter(self.simulator))
            yield session


def _literal(value: Any) -> str:
    return "null" if value is None else f"'{value}'" if isinstance(value, str) else str(value)


PROPS = RowMap("props", "id")


def test_what_the_warehouse_knows_is_on_the_card_and_bad_rows_stop_nothing(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    app = Activation(warehouse, tmp_path / "state")
    first, second, third, *_ = app.users
    rows = [(first, "pro", 7), (second, None, 8), (None, "pro", 1), ("77", "pro", 2), (third, "x" * 300, 3)]
    app.table("scores", "id text, plan text, health integer", rows)

    record = app.push(PROPS).record

    props = app.props()
    assert ("pro", 7) == (props[first]["plan"], props[first]["health"])
    assert (8, False) == (props[second]["health"], "plan" in props[second])
    assert "health" not in props[third]
    assert (2, 1, 2, 3) == (record.sent, record.refused, record.counts.unsendable, app.cost())
    letters = app.letters()
    assert ["refused", "unsendable", "unsendable"] == sorted(letter["status"] for letter in letters)
    (refused,) = (letter for letter in letters if letter["status"] == "refused")
    assert "LookupError" in refused["reason"]
    assert ("scores", "props", "id 77", 1) == tuple(refused[name] for name in ("push", "kind", "row_key", "attempts"))
    assert {"id": "77", "props": {"health": ["update_or_create", 2], "plan": ["update_or_create", "pro"]}} == refused[
        "row"
    ]

    app.table("scores", "id text, plan text, health integer", [(first, "pro", 7), (third, "short", 3)])
    mended = app.push(PROPS).record

    assert (1, 1, 1) == (mended.sent, mended.counts.unchanged, app.cost())
    assert ["refused"] == [letter["status"] for letter in app.letters()]


def test_10_000_rows_of_which_100_changed_cost_100_requests(duckdb_warehouse: Warehouse, tmp_path: Path) -> None:
    """Held against a ledger as 10,000 acknowledged rows leave it; the soak test sends them all before."""
    app = Activation(duckdb_warehouse, tmp_path / "state", users=200)
    users = app.users
    ids = [str(number) for number in range(1, 9_801)] + users
    app.table("scores", "id text, health integer", [(user, 1) for user in users])
    duckdb_warehouse.sql("insert into scores select number::text, 1 from range(1, 9801) as _(number)")
    app.push(PROPS, "select * from scores limit 0")
    (ledger,) = (tmp_path / "state").glob("push-*.sqlite")
    request_of = PROPS.bind(["id", "health"], NOW)
    held = [request_of({"id": user, "health": 1}) for user in ids]
    with closing(sqlite3.connect(ledger)) as connection, connection:
        connection.executemany(
            "insert into rows (push, key, status, digest, sent, reason, attempts, at) "
            "values ('scores', ?, 'acknowledged', ?, ?, '', 0, 1.0)",
            [(request.key, request.digest, canonical(request.content)) for request in held],
        )
    changed = ", ".join(f"'{user}'" for user in users[:100])
    duckdb_warehouse.sql(f"update scores set health = 2 where id in ({changed})")

    record = app.push(PROPS).record

    assert (10_000, 9_900, 100) == (record.counts.rows, record.counts.unchanged, record.sent)
    assert 100 == app.cost()
    props = app.props()
    assert {2} == {props[user]["health"] for user in users[:100]}


@pytest.mark.soak
def test_10_000_rows_are_sent_and_then_100_of_them(duckdb_warehouse: Warehouse, tmp_path: Path) -> None:
    app = Activation(duckdb_warehouse, tmp_path / "state", users=10_000)
    users = app.users
    app.table("scores", "id text, health integer", [(user, 1) for user in users])
    assert (len(users), len(users)) == (app.push(PROPS).record.sent, app.cost())
    changed = ", ".join(f"'{user}'" for user in users[:100])
    duckdb_warehouse.sql(f"update scores set health = 2 where id in ({changed})")

    assert (100, 100) == (app.push(PROPS).record.sent, app.cost())


@pytest.mark.parametrize("fault", ["cut", pytest.param("500", marks=pytest.mark.soak)])
def test_an_event_without_an_answer_is_reported_and_not_repeated(
    duckdb_warehouse: Warehouse, tmp_path: Path, fault: str
) -> None:
    app = Activation(duckdb_warehouse, tmp_path / "state")
    first, second, *_ = app.users
    app.table("scores", "id text, created timestamptz, event text", [(first, "2026-01-02", "Renewed")])
    mapped = RowMap("events", "id", row_key=("event", "id"))
    app.simulator.faults.queue(fault)

    push = app.push(mapped)
    again = app.push(mapped)

    assert (1, 1, 1) == (push.record.uncertain, again.record.uncertain, app.cost())
    (letter,) = app.letters()
    assert ("uncertain", "Renewed") == (letter["status"], letter["row"]["event"])
    assert "1 uncertain" in closing_sentence(again.record)

    app.retry(mapped, Status.UNCERTAIN)

    assert ([], 1) == (app.letters(), app.cost())
    found = [row["created_at"] for row in app.simulator.truth.rows("events") if row["name"] == "Renewed"]
    assert {datetime(2026, 1, 2, tzinfo=UTC)} == set(found), "with its own time: it sets nothing off"
    assert (2 if fault == "cut" else 1) == len(found), "repeated by a person, who knew"
    assert second not in str(letter)


@pytest.mark.soak
def test_what_is_uncertain_can_be_taken_to_have_arrived(duckdb_warehouse: Warehouse, tmp_path: Path) -> None:
    app = Activation(duckdb_warehouse, tmp_path / "state")
    app.table("scores", "id text, credits integer", [(app.users[0], 5)])
    mapped = RowMap("props", "id", operation="add")
    app.simulator.faults.queue("cut")
    app.push(mapped)

    record = app.retry(mapped, accepts=True)

    assert (1, 0, []) == (record.accepted, record.uncertain, app.letters())
    assert (1, 1) == (app.push(mapped).record.counts.unchanged, app.cost())
    assert 5 == app.props()[app.users[0]]["credits"]


def test_limits_end_it_and_the_next_push_goes_on(duckdb_warehouse: Warehouse, tmp_path: Path) -> None:
    app = Activation(duckdb_warehouse, tmp_path / "state")
    app.table("scores", "id text, health integer", [(user, 1) for user in app.users])

    dry = app.push(PROPS, is_dry=True).record
    assert (5, 5, 0) == (dry.to_send, dry.counts.calls, app.cost())
    assert (2, 3) == _sent_and_left(app.push(PROPS, max_requests=2))
    assert (1, 2) == _sent_and_left(app.push(PROPS, limit=1))
    app.simulator.faults.queue("stall")
    app.stop.event.set()
    stopped = app.push(PROPS)
    assert ("signal", (0, 2)) == (stopped.record.ending, _sent_and_left(stopped))
    app.stop.event.clear()
    app.simulator.faults.clear()
    assert (2, 0) == _sent_and_left(app.push(PROPS))
    assert 5 == app.cost()


def test_a_sync_may_load_into_the_file_while_requests_wait(duckdb_warehouse: Warehouse, tmp_path: Path) -> None:
    """DuckDB refuses a second connection that may write, also of the same process, while a reader has the file."""
    app = Activation(duckdb_warehouse, tmp_path / "state")
    app.table("scores", "id text, health integer", [(app.users[0], 1)])
    loaded: list[int] = []

    @contextmanager
    def loading() -> Iterator[None]:
        duckdb_warehouse.sql("insert into scores values ('1', 1)")
        yield
        loaded.append(duckdb_warehouse.count("scores"))

    with app._session() as session:
        order = PushOrder("props", "scores", "select * from scores", PROPS)
        record = Push(app.settings, order, app.stop, watching=loading, clock=app.clock, session=session).carry_out()

    assert ([2], 1) == (loaded, record.sent)


def _sent_and_left(push: Push) -> tuple[int, int]:
    return push.record.sent, push.record.left


@pytest.mark.soak
def test_a_refused_token_and_an_api_that_is_down_end_it(duckdb_warehouse: Warehouse, tmp_path: Path) -> None:
    app = Activation(duckdb_warehouse, tmp_path / "state")
    app.table("scores", "id text, health integer", [(user, 1) for user in app.users])
    app.simulator.faults.queue("500", 3)

    down = app.push(PROPS)
    assert isinstance(down.error, ApiUnavailable)
    assert (3, 3, 5) == (app.cost(), down.record.uncertain, down.record.left + 3)

    app.simulator.settings = SimulatorSettings(users=5, conversations=1, auth_token="app.1.another")
    refused = app.push(PROPS)
    assert isinstance(refused.error, AccessError)
    assert 1 == app.cost()

    app.simulator.settings = SimulatorSettings(users=5, conversations=1)
    assert (5, 0, []) == (app.push(PROPS).record.sent, app.push(PROPS).record.uncertain, app.letters())


@pytest.mark.soak
def test_letters_that_cannot_be_written_stay_in_the_ledger(duckdb_warehouse: Warehouse, tmp_path: Path) -> None:
    """The push itself is done, and says so; the next one writes them."""
    app = Activation(duckdb_warehouse, tmp_path / "state")
    app.table("scores", "id text, health integer", [("77", 1), (app.users[0], 1)])
    duckdb_warehouse.sql("create view push_dead_letters as select 1 as taken")

    record = app.push(PROPS).record

    assert (1, 1) == (record.sent, record.refused)
    assert "the next push writes it" in record.notices[0]
    duckdb_warehouse.sql("drop view push_dead_letters")
    assert [] == app.push(PROPS).record.notices
    assert (["id 77"], 2) == ([letter["row_key"] for letter in app.letters()], app.cost())
