"""The promise: a run's first requests bring what is newest; history fills in behind with the budget that is left.

In virtual time, without a network.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.conftest import Warehouse
from tests.end_to_end.conftest import assert_equal_to_truth
from tests.promises.conftest import VirtualApp

from dashly_simulator import Simulator

HOUR = 3600.0


def test_the_last_days_rows_are_there_after_minutes_and_history_at_the_floor(
    duckdb_warehouse: Warehouse, tmp_path: Path
) -> None:
    """Of a load of hours, the first minutes bring the last days; the rest takes what the limit allows, within 1 %."""
    app = VirtualApp(
        duckdb_warehouse,
        tmp_path / "state",
        users=150,
        conversations=80,
        events_per_user=20.0,
        parts_per_conversation=6.0,
    )
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
