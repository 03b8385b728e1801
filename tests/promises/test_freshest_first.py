"""What is newest comes first, history fills in behind at the floor's pace. In virtual time, without a network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import requests
from tests.conftest import Warehouse
from tests.end_to_end.conftest import assert_equal_to_truth

from dashly.endpoints import DEFAULT_RESOURCES
from dashly_simulator import Simulator, SimulatorAdapter, SimulatorSettings
from dashly_state.budget import RateLimit
from dashly_state.clock import VirtualClock
from dashly_sync.run import Run, RunLimits
from dashly_sync.run_log import RunRecord
from dashly_sync.settings import Settings
from dashly_sync.signals import StopSignal

HOUR = 3600.0


class VirtualApp:
    """A simulated app, read in virtual time under the real limit of 60 requests a minute."""

    def __init__(self, warehouse: Warehouse, state_dir: Path, **settings: int) -> None:
        self.simulator = Simulator(SimulatorSettings(**settings))
        self.clock = VirtualClock(self.simulator.clock.now())
        self._settings = Settings(
            auth_token=self.simulator.settings.auth_token,
            base_url="http://simulated.invalid/v1",
            destination=warehouse.destination,
            state_dir=state_dir,
            rate_limit=RateLimit(60, 60.0),
            reconcile_share=0.0,
        )

    def sync(self, **limits: float) -> tuple[RunRecord, float]:
        """One run; returns its record and how long it took, virtual seconds."""
        began = self.clock.monotonic()
        with self._session() as session:
            run = Run(
                self._settings, RunLimits(DEFAULT_RESOURCES, **limits), StopSignal(), clock=self.clock, session=session
            )  # type: ignore[arg-type]
            record = run.carry_out()
        return record, self.clock.monotonic() - began

    @contextmanager
    def _session(self) -> Iterator[requests.Session]:
        with requests.Session() as session:
            session.mount("http://", SimulatorAdapter(self.simulator))
            yield session


def test_the_last_days_rows_are_there_after_minutes_and_history_at_the_floor(
    duckdb_warehouse: Warehouse, tmp_path: Path
) -> None:
    """Of a load of hours, the first minutes bring the last days; the rest takes what the limit allows, within 1 %."""
    app = VirtualApp(duckdb_warehouse, tmp_path / "state", users=150, conversations=80)
    floor = app.simulator.floor_requests()

    first, _ = app.sync(max_seconds=150.0)
    since = _newest_covered(app.simulator, requests_spent=first.requests // 2)

    assert "time limit" == first.outcome
    for table, column in (("events", "created_at"), ("parts", "created_at")):
        expected = {row["id"] for row in app.simulator.truth.rows(table) if row[column] >= since}
        held = {row["id"] for row in duckdb_warehouse.rows(table, ["id"])}
        assert expected, table
        assert expected <= held, f"{table}: {len(expected - held)} of {len(expected)} rows since {since} are missing"
    rest, seconds = app.sync()
    assert "finished" == rest.outcome
    spent = first.requests + rest.requests
    assert floor <= spent <= floor * 1.01 + 4
    assert seconds / HOUR <= (floor - first.requests) / 3600 * 1.01 + 1 / 30
    assert_equal_to_truth(app.simulator, duckdb_warehouse)


def _newest_covered(simulator: Simulator, requests_spent: int) -> datetime:
    """The moment down to which everything newest-first fits into so many requests: one per user and conversation."""
    moments = [row["last_seen_at"] for row in simulator.truth.rows("users") if row["last_seen_at"]]
    moments += [row["updated_at"] for row in simulator.truth.rows("conversations")]
    newest = sorted(moments, reverse=True)
    now = datetime.fromtimestamp(simulator.clock.now(), UTC)
    return max(newest[min(requests_spent, len(newest) - 1)], now - timedelta(days=3))
