"""DuckDB and Postgres get the same: tables, columns in their order, types, keys and every value."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.conftest import Warehouse
from tests.end_to_end.conftest import Account

SAME_TYPE = {
    "character varying": "text",
    "varchar": "text",
    "jsonb": "json",
    "double": "double precision",
}
COLUMNS = (
    "select c.table_name, c.column_name, lower(c.data_type) from information_schema.columns as c "
    "join information_schema.tables as t on t.table_schema = c.table_schema and t.table_name = c.table_name "
    "where c.table_schema = 'dashly' and t.table_type = 'BASE TABLE' and c.table_name not like '\\_dlt%' escape '\\' "
    "and c.column_name not like '\\_dlt%' escape '\\' order by c.table_name, c.ordinal_position"
)
OF_THE_RUN = {"_synced_at", "sampled_at", "checked_at"}
"""When something was read differs between two syncs."""


def columns(warehouse: Warehouse) -> list[tuple[str, str, str]]:
    """Table, column and type in one spelling, in the order of the columns."""
    return [(table, column, SAME_TYPE.get(kind, kind)) for table, column, kind in warehouse.sql(COLUMNS)]


def values(warehouse: Warehouse, table: str) -> list[str]:
    """The table's rows without what is of the run, in an order that both databases agree on; jsonb orders its keys."""
    kept = ({name: value for name, value in row.items() if name not in OF_THE_RUN} for row in warehouse.rows(table))
    return sorted(json.dumps(row, sort_keys=True, default=str) for row in kept)


def test_two_syncs_of_one_account_are_equal_column_by_column(
    account: Callable[..., Account], duckdb_warehouse: Warehouse, postgres_uri: str, tmp_path: Path
) -> None:
    app = account(users=12, conversations=9, poison_text=True, unknown_fields=True)
    there = Warehouse("postgres", postgres_uri, "dashly", postgres_uri)
    app.sync(duckdb_warehouse)
    other: Any = replace(app, state_dir=tmp_path / "other")
    other.sync(there)

    tables = {table for table, _, _ in columns(there)} - {"sync_runs"}
    assert columns(duckdb_warehouse) == columns(there)
    for table in sorted(tables):
        assert values(duckdb_warehouse, table) == values(there, table), table
