"""Rows on their way to dlt: gathered by table until there are enough, as Arrow where the destination is DuckDB.

A page has 50 rows for up to ten tables, and handing dlt anything has a price of its own. From dicts dlt writes JSON
lines, reads them back, coerces each value and writes Parquet; from Arrow it writes Parquet at once. Postgres takes the
dicts: dlt's CSV makes empty strings null there, its Parquet makes `json` of `jsonb`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import dlt
import pyarrow as pa

from dashly.slices import PageRows
from dashly.tables import BOOL, DOUBLE, INTEGER, JSON, TABLES, TEXT, TIME, Table

ENOUGH_ROWS = 5000
"""Rows of one table that are handed on at once: what dlt gathers before it writes."""
_DICTS_AT_ONCE = 200
"""Rows that wait as dicts to become Arrow, which takes a tenth of the memory."""

_ARROW_TYPES = {
    TEXT: pa.string(),
    JSON: pa.string(),
    BOOL: pa.bool_(),
    INTEGER: pa.int64(),
    DOUBLE: pa.float64(),
    TIME: pa.timestamp("us", tz="UTC"),
}
_DUCKDB = "dlt.destinations.duckdb"


class _Gathered:
    """Rows of one table, in their order.

    Args:
        table: Make Arrow of them, with the columns of this table.
    """

    def __init__(self, table: Table | None) -> None:
        self._table = table
        self._dicts: list[dict[str, Any]] = []
        self._arrow: list[pa.Table] = []
        self.count = 0

    def add(self, rows: list[dict[str, Any]]) -> None:
        self.count += len(rows)
        self._dicts.extend(rows)
        if self._table is not None and len(self._dicts) >= _DICTS_AT_ONCE:
            self._arrow.append(arrow_table(self._table, self._dicts))
            self._dicts = []

    def whole(self) -> Any:
        """Returns all of them: an Arrow table, or a list of dicts."""
        if self._table is None:
            return self._dicts
        return pa.concat_tables([*self._arrow, arrow_table(self._table, self._dicts)])


class RowBatches:
    """Gathers the rows of pages, in their order.

    Args:
        as_arrow: Hand the tables of `dashly.tables` on as Arrow tables, not as lists of dicts.
    """

    def __init__(self, as_arrow: bool) -> None:
        self._as_arrow = as_arrow
        self._gathered: dict[tuple[str, str], _Gathered] = {}

    def of(self, pages: Iterator[PageRows]) -> Iterator[PageRows]:
        """Yields a batch whenever a table has enough rows, and what is left at the end."""
        for page in pages:
            for resource, tables in page.by_resource.items():
                for table, rows in tables.items():
                    gathered = self._of(resource, table)
                    gathered.add(rows)
                    if gathered.count >= ENOUGH_ROWS:
                        yield self._batch(resource, table)
        for resource, table in list(self._gathered):
            yield self._batch(resource, table)

    def nothing(self, table: str) -> Any:
        """Returns what makes dlt create the table when it has no rows yet."""
        return arrow_table(TABLES[table], []) if self._as_arrow else dlt.mark.materialize_table_schema()

    def _of(self, resource: str, table: str) -> _Gathered:
        if (resource, table) not in self._gathered:
            self._gathered[resource, table] = _Gathered(TABLES.get(table) if self._as_arrow else None)
        return self._gathered[resource, table]

    def _batch(self, resource: str, table: str) -> PageRows:
        return PageRows({resource: {table: self._gathered.pop((resource, table)).whole()}})


def takes_arrow(pipeline: dlt.Pipeline, schema: dlt.Schema) -> bool:
    """Returns whether the pipeline's destination is given Arrow tables.

    Not when its tables have dlt's `_dlt_id`, which Arrow rows lack: dicts filled them before, and go on doing so.
    """
    filled_by_dicts = any("_dlt_id" in schema.tables[name]["columns"] for name in TABLES.keys() & schema.tables.keys())
    return pipeline.destination is not None and pipeline.destination.destination_type == _DUCKDB and not filled_by_dicts


def arrow_table(table: Table, rows: list[dict[str, Any]]) -> pa.Table:
    """Returns the rows with all columns of the table; what a row does not have is null."""
    columns = table.columns().values()
    fields = [pa.field(one["name"], _ARROW_TYPES[one["data_type"]], nullable=one["nullable"]) for one in columns]
    return pa.Table.from_pylist(rows, schema=pa.schema(fields))


def _is_news(record: logging.LogRecord) -> bool:
    """Says no to dlt's warning, at each batch, that a JSON column comes as text: that is how it is meant."""
    return "when merging arrow schema with dlt schema" not in record.getMessage()


logging.getLogger("dlt").addFilter(_is_news)
