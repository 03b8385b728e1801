"""What a slice of 50 rows costs to merge into a table that is there already, as it grows.

    .venv/bin/python -m tests.benchmarks.bench_merge              # 50 thousand, 1 and 5 million rows
    .venv/bin/python -m tests.benchmarks.bench_merge --quick
    .venv/bin/python -m tests.benchmarks.bench_merge --rows 1000 50000

Each slice brings 50 events of which 40 are held and 10 are new, scattered over the whole table, as dlt, the indexes and
`settle` of a run take them. Prints the median of seven slices in seconds: dlt's load, what we do after it, and the CPU
of this process for the whole slice, its extraction and normalisation among it.
"""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dlt
from tests.benchmarks.measuring import Bench, Meter, middle, show, show_heads
from tests.benchmarks.warehouses import postgres

from dashly.batches import arrow_table
from dashly.tables import TABLES
from dashly_state.directory import StateDirectory
from dashly_sync.libraries import prepare_libraries
from dashly_sync.settings import Settings
from dashly_sync.warehouse_pipeline import open_pipeline
from dashly_warehouse.keys import ensure_keys
from dashly_warehouse.settle import settle

SLICES = 7
HELD, NEW = 40, 10
START = datetime(2026, 1, 1, tzinfo=UTC)
FILL = """
insert into dashly.events (id, user_id, type_id, name, created_at, props, _synced_at{more})
select cast(n as text), cast(n % 100000 as text), cast(n % 40 as text), 'Order placed',
       timestamptz '2026-01-01 00:00:00+00' + n * interval '1 second', '{{"sum": 1290, "currency": "EUR"}}',
       timestamptz '2026-01-01 00:00:00+00'{values}
from generate_series({first}, {last}) as numbers(n)
"""


class Table:
    """The events table of one warehouse, as large as it is told to be."""

    def __init__(self, destination: str, place: Path) -> None:
        self.kind = destination.partition(":")[0]
        settings = Settings(auth_token="x", destination=destination, state_dir=place)
        self._pipeline, self._spec = open_pipeline(settings, StateDirectory(place))
        self._rows = 0
        self._moment = datetime.now(UTC)
        self.load([0])

    def grow_to(self, rows: int) -> None:
        """Fills the table up by SQL; row 0 is there already."""
        own = self.kind == "postgresql"
        sql = FILL.format(
            first=self._rows + 1,
            last=rows,
            more=", _dlt_load_id, _dlt_id" if own else "",
            values=", '0', 'filled ' || n" if own else "",
        )
        with self._pipeline.sql_client() as client:
            client.execute_sql(sql)
            client.execute_sql("analyze")
        self._rows = rows

    def slice_seconds(self) -> tuple[float, float]:
        """Merges a slice; returns how long dlt's load took, and indexes and `settle`."""
        step = self._rows // HELD
        held = [n * step + self._rows % 7 for n in range(HELD)]
        new = [self._rows + 1 + n for n in range(NEW)]
        self._rows += NEW
        return self.load(held + new)

    def load(self, numbers: list[int]) -> tuple[float, float]:
        """Loads events of these numbers, and returns the seconds of both steps."""
        self._moment += timedelta(seconds=1)
        rows: Any = [
            {
                "id": str(n),
                "user_id": str(n % 100_000),
                "type_id": str(n % 40),
                "name": "Order placed",
                "created_at": START + timedelta(seconds=n),
                "props": '{"sum": 1290, "currency": "EUR"}',
                "_synced_at": self._moment,
            }
            for n in numbers
        ]
        if self.kind == "duckdb":
            rows = arrow_table(TABLES["events"], rows)
        resource = dlt.resource(rows, name="events", **TABLES["events"].hints())
        self._pipeline.extract(resource)
        self._pipeline.normalize()
        began = time.perf_counter()
        self._pipeline.load()
        loaded = time.perf_counter()
        ensure_keys(self._pipeline)
        settle(self._pipeline, self._moment)
        return loaded - began, time.perf_counter() - loaded


def main() -> None:
    """Measures, prints and stores."""
    bench = Bench("merge", __doc__)
    bench.options.add_argument("--rows", type=int, nargs="+", default=[50_000, 1_000_000, 5_000_000])
    chosen = bench.chosen(rows=[1_000, 50_000])
    prepare_libraries()
    show_heads(("database", "rows held", "load s", "indexes and settle s", "CPU s"))
    figures: dict[str, Any] = {}
    with postgres() as server, tempfile.TemporaryDirectory() as place:
        for number, destination in enumerate((f"duckdb:///{place}/merge.duckdb", server.uri)):
            table = Table(destination, Path(place) / str(number))
            figures[table.kind] = {}
            for rows in sorted(chosen.rows):
                table.grow_to(rows)
                figures[table.kind][str(rows)] = found = slices(table)
                show(table.kind, f"{rows:,}", *found.values())
    bench.store(figures)


def slices(table: Table) -> dict[str, float]:
    """Returns the median of several slices: seconds of both steps, and CPU of this process."""
    seconds, cpu = [], []
    for _ in range(SLICES):
        with Meter() as meter:
            seconds.append(table.slice_seconds())
        cpu.append(meter.cpu_seconds)
    load, after = (middle(each) for each in zip(*seconds, strict=True))
    return {"load_seconds": load, "after_seconds": after, "cpu_seconds": middle(cpu)}


if __name__ == "__main__":
    main()
