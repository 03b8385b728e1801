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

_ARROW_TYPES = {
    TEXT: pa.string(),
    JSON: pa.string(),
    BOOL: pa.bool_(),
    INTEGER: pa.int64(),
    DOUBLE: pa.float64(),
    TIME: pa.timestamp("us", tz="UTC"),
}
_DUCKDB = "dlt.destinations.duckdb"


class RowBatches:
    """Gathers the rows of pages, in their order.

    Args:
        as_arrow: Hand the tables of `dashly.tables` on as Arrow tables, not as lists of dicts.
    """

    def __init__(self, as_arrow: bool) -> None:
        self._as_arrow = as_arrow
        self._rows: dict[tuple[str, str], list[dict[str, Any]]] = {}

    def of(self, pages: Iterator[PageRows]) -> Iterator[PageRows]:
        """Yields a batch whenever a table has enough rows, and what is left at the end."""
        for page in pages:
            for resource, tables in page.by_resource.items():
                for table, rows in tables.items():
                    gathered = self._rows.setdefault((resource, table), [])
                    gathered.extend(rows)
                    if len(gathered) >= ENOUGH_ROWS:
                        yield self._batch(resource, table)
        for resource, table in list(self._rows):
            yield self._batch(resource, table)

    def nothing(self, table: str) -> Any:
        """Returns what makes dlt create the table when it has no rows yet."""
        return arrow_table(TABLES[table], []) if self._as_arrow else dlt.mark.materialize_table_schema()

    def _batch(self, resource: str, table: str) -> PageRows:
        rows: Any = self._rows.pop((resource, table))
        if self._as_arrow and table in TABLES:
            rows = arrow_table(TABLES[table], rows)
        return PageRows({resource: {table: rows}})


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
