"""The promise: a run ends when nothing is known to be missing. When nothing changed that is a handful of requests.

Whatever the size of the account. What each single change costs, exactly: `tests/end_to_end/test_cost.py`. There, too,
on every change: 4 after a load of 429.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.conftest import Warehouse
from tests.promises.conftest import VirtualApp


@pytest.mark.soak
def test_right_after_a_load_of_hundreds_of_requests_a_run_costs_four(
    duckdb_warehouse: Warehouse, tmp_path: Path
) -> None:
    """Two heads and two snapshots, in seconds, although the settings allow for reading again what is known."""
    size = {"users": 90, "conversations": 40, "events_per_user": 3.0, "parts_per_conversation": 3.0}
    app = VirtualApp(duckdb_warehouse, tmp_path / "state", reconcile_share=0.1, **size)

    first, _ = app.sync()
    second, seconds = app.sync()

    assert ("finished", "finished") == (first.outcome, second.outcome)
    assert first.requests > 100
    assert 4 == second.requests
    assert seconds <= 60
