"""What a power cut leaves of dlt's working files stops no run: the destination and the journal have what they knew.

The ledger and the journal mend themselves: `tests/state`. A package that was cut off: `test_upgrade.py`.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.conftest import Warehouse
from tests.end_to_end.conftest import Account, assert_equal_to_truth

FILES = {"state.json": b"", "schemas/dashly.schema.json": b'{"na', "load/.version": b"\x84}dL"}


def test_damaged_working_files_are_made_anew(account: Callable[..., Account], duckdb_warehouse: Warehouse) -> None:
    """Cut off, empty or nonsense: the next run costs what it would have cost."""
    app = account(users=6, conversations=5, events_per_user=5.0)
    app.sync(duckdb_warehouse)
    for name, content in FILES.items():
        (file,) = app.state_dir.glob(f"pipelines/*/dashly/{name}")
        file.write_bytes(content)
        app.cost()
        record = app.sync(duckdb_warehouse)

        assert ("finished", 4) == (record.outcome, app.cost()), name
    assert_equal_to_truth(app.simulator, duckdb_warehouse)
