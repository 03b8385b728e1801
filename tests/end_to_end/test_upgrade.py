"""What an earlier version left goes on in this one: warehouse, dlt's state, schema and packages, journal and ledger.

`tests/samples/make.py` makes the samples of a version before it is released.
"""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import Warehouse
from tests.end_to_end.conftest import Account, assert_equal_to_truth
from tests.samples import make

SAMPLES = Path(__file__).parents[1] / "samples"


@pytest.mark.parametrize("sample", sorted(path.name for path in SAMPLES.glob("*.duckdb.gz")))
def test_a_load_that_an_earlier_version_began_is_finished(
    sample: str, account: Callable[..., Account], duckdb_warehouse: Warehouse
) -> None:
    """Each sample holds what 9 requests brought; the state directory is lost, which the warehouse makes up for."""
    Path(duckdb_warehouse.location).write_bytes(gzip.decompress((SAMPLES / sample).read_bytes()))
    app = account(**make.ACCOUNT)
    left = app.simulator.floor_requests() - 9

    first = app.sync(duckdb_warehouse)
    cost = app.cost()
    again = app.sync(duckdb_warehouse)

    assert ("finished", "finished") == (first.outcome, again.outcome)
    assert cost <= left + 4
    assert app.cost() <= 4
    assert_equal_to_truth(app.simulator, duckdb_warehouse)


@pytest.mark.parametrize("sample", sorted(path.name for path in SAMPLES.glob("*.tar.gz")))
def test_a_machine_on_which_an_earlier_version_was_killed_goes_on(
    sample: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pages are not asked for again, nor those of the package that it was loading; another look at the heads is."""
    monkeypatch.chdir(tmp_path)
    with tarfile.open(SAMPLES / sample) as archive:
        archive.extractall(filter="data")
    app = make.Interrupted(-1, make.die)

    record = make.run(app).carry_out()

    paid = make.COMMITTED + (make.FETCHED if "journal" in sample else 0)
    assert ("finished", None) == (record.outcome, record.error)
    assert app.simulator.requests.total <= app.simulator.floor_requests() - paid + 4
    file = tmp_path / "warehouse.duckdb"
    assert_equal_to_truth(app.simulator, Warehouse("duckdb", f"duckdb:///{file}", "dashly", str(file)))
