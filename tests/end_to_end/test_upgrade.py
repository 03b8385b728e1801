"""What an earlier version left goes on in this one: its warehouse, dlt's state and schema, and its memory."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import Warehouse
from tests.end_to_end.conftest import Account, assert_equal_to_truth

SAMPLES = Path(__file__).parents[1] / "samples"
SIX_USERS = {"users": 6, "conversations": 5, "events_per_user": 30.0, "parts_per_conversation": 5.0}


@pytest.mark.parametrize("sample", sorted(path.name for path in SAMPLES.glob("*.duckdb.gz")))
def test_a_load_that_an_earlier_version_began_is_finished(
    sample: str, account: Callable[..., Account], duckdb_warehouse: Warehouse
) -> None:
    """Each sample holds what 9 requests brought; the state directory is lost, which the warehouse makes up for."""
    Path(duckdb_warehouse.location).write_bytes(gzip.decompress((SAMPLES / sample).read_bytes()))
    app = account(**SIX_USERS)
    left = app.simulator.floor_requests() - 9

    first = app.sync(duckdb_warehouse)
    cost = app.cost()
    again = app.sync(duckdb_warehouse)

    assert ("finished", "finished") == (first.outcome, again.outcome)
    assert cost <= left + 4
    assert app.cost() <= 4
    assert_equal_to_truth(app.simulator, duckdb_warehouse)
