"""What the end-to-end tests share: a simulated account that is really served, and runs of the real pipeline into it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from tests.conftest import Warehouse

from dashly.endpoints import DEFAULT_RESOURCES
from dashly_simulator import Server, Simulator, SimulatorSettings, serve
from dashly_state.budget import RateLimit
from dashly_state.clock import Clock, SystemClock
from dashly_sync.run import Run, RunLimits
from dashly_sync.run_log import RunRecord
from dashly_sync.settings import Settings
from dashly_sync.signals import StopSignal

SMALL = {"users": 60, "conversations": 55, "events_per_user": 8.0, "parts_per_conversation": 5.0}
UNLIMITED = RateLimit(1_000_000, 60.0)


@dataclass
class Account:
    """A simulated app that answers on localhost, and the settings that read it."""

    simulator: Simulator
    server: Server
    state_dir: Path
    reconcile_share: float = 0.0
    clock: Clock = field(default_factory=SystemClock)

    def settings(self, warehouse: Warehouse, **other: Any) -> Settings:
        """Settings of a run from this app into the warehouse, without a rate limit worth naming."""
        known = {
            "auth_token": self.simulator.settings.auth_token,
            "base_url": self.server.base_url,
            "destination": warehouse.destination,
            "dataset_name": warehouse.dataset,
            "state_dir": self.state_dir,
            "rate_limit": UNLIMITED,
            "reconcile_share": self.reconcile_share,
        }
        return Settings(**{**known, **other})

    def sync(self, warehouse: Warehouse, resources: tuple[str, ...] = DEFAULT_RESOURCES, **limits: Any) -> RunRecord:
        """One run in this process."""
        return Run(self.settings(warehouse), RunLimits(resources, **limits), StopSignal(), clock=self.clock).carry_out()

    def sync_at(self, warehouse: Warehouse, rate: str, share: float) -> RunRecord:
        """One run in this process under a rate limit, with a share of it for reading again."""
        settings = self.settings(warehouse, rate_limit=RateLimit.parse(rate), reconcile_share=share)
        return Run(settings, RunLimits(DEFAULT_RESOURCES), StopSignal(), clock=self.clock).carry_out()

    def cost(self) -> int:
        """Requests since the last time this was asked, as the server counted them."""
        total = self.simulator.requests.total
        self.simulator.requests.reset()
        return total


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Callable[..., Account]]:
    """Makes a simulated app with these settings and serves it until the test ends."""
    with ExitStack() as stack:

        def make(**settings: Any) -> Account:
            simulator = Simulator(SimulatorSettings(**{**SMALL, **settings}))
            return Account(simulator, stack.enter_context(serve(simulator)), tmp_path / "state")

        yield make


@pytest.fixture(scope="session")
def loaded_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes a DuckDB file that holds a simulated app with these settings, each only once, whichever worker needs it."""
    mine = tmp_path_factory.getbasetemp()
    everybodys = mine.parent if "PYTEST_XDIST_WORKER" in os.environ else mine

    def make(resources: tuple[str, ...], settings: dict[str, Any]) -> Path:
        name = hashlib.sha256(f"{resources} {sorted(settings.items())}".encode()).hexdigest()[:16]
        made = everybodys / f"loaded_{name}.duckdb"
        with FileLock(made.with_suffix(".lock")):
            if not made.exists():
                load(tmp_path_factory.mktemp("loaded"), resources, settings).rename(made)
        return made

    def load(folder: Path, resources: tuple[str, ...], settings: dict[str, Any]) -> Path:
        file = folder / "warehouse.duckdb"
        simulator = Simulator(SimulatorSettings(**{**SMALL, **settings}))
        with serve(simulator) as server:
            warehouse = Warehouse("duckdb", f"duckdb:///{file}", "dashly", str(file))
            Account(simulator, server, folder / "state").sync(warehouse, resources)
        return file

    return make


@pytest.fixture
def loaded(
    account: Callable[..., Account], duckdb_warehouse: Warehouse, loaded_file: Callable[..., Path]
) -> Callable[..., Account]:
    """Makes a simulated app with these settings that `duckdb_warehouse` already holds; the load is not in its cost.

    The machine is another one than the load's: the state comes from the destination.
    """

    def make(resources: tuple[str, ...] = DEFAULT_RESOURCES, **settings: Any) -> Account:
        shutil.copy(loaded_file(resources, settings), duckdb_warehouse.location)
        return account(**settings)

    return make


def truth_and_warehouse(simulator: Simulator, warehouse: Warehouse, table: str) -> tuple[list[str], list[str]]:
    """The rows of one table, as the simulator knows them and as the warehouse holds them, comparable and sorted."""
    truth = list(simulator.truth.rows(table))
    columns = sorted(truth[0]) if truth else ["_synced_at"]
    held = warehouse.sql(f"select count(*) from {table} where _deleted_at is not null")
    rows = warehouse.rows(table, [*columns, "_deleted_at"])
    live = [{name: row[name] for name in columns} for row in rows if row["_deleted_at"] is None]
    assert held[0][0] == len(rows) - len(live)
    return sorted(map(_comparable, truth)), sorted(map(_comparable, live))


def assert_equal_to_truth(simulator: Simulator, warehouse: Warehouse, *but: str) -> None:
    """The warehouse holds exactly what the simulator knows: every table, every column, all rows once."""
    with warehouse.held():
        for table in simulator.truth.tables():
            if table in ("active_users", "user_details", *but):
                continue
            expected, held = truth_and_warehouse(simulator, warehouse, table)

            assert expected == held, f"{table}: {_difference(expected, held)}"


def _comparable(row: dict[str, Any]) -> str:
    return json.dumps(row, sort_keys=True, default=str, ensure_ascii=False)


def _difference(expected: list[str], held: list[str]) -> str:
    missing, extra = sorted(set(expected) - set(held)), sorted(set(held) - set(expected))
    shown = [f"only in truth: {row[:400]}" for row in missing[:2]] + [f"only held: {row[:400]}" for row in extra[:2]]
    return f"{len(expected)} rows expected, {len(held)} held, {len(missing)} missing; " + " | ".join(shown)
