"""The source's tables, empty, for tests that write their rows themselves: no load, no dlt columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dlt
from tests.conftest import Warehouse

from dashly.tables import TABLES
from dashly_warehouse.business_hours import BusinessHours
from dashly_warehouse.destinations import dlt_destination, parse_destination
from dashly_warehouse.views import Model, ViewReport, create_views, read_models

TYPES = {"text": "varchar", "timestamp": "timestamptz", "double": "double precision", "bool": "boolean"}
HOURS = BusinessHours.parse("mon-fri 09:00-18:00 Europe/Berlin")


def make_empty_tables(warehouse: Warehouse, names: Sequence[str] = tuple(TABLES)) -> None:
    """Makes the tables with the columns and types that a run gives them."""
    statements = [f"create schema if not exists {warehouse.dataset}"]
    for name in names:
        columns = TABLES[name].columns().items()
        kinds = ", ".join(f"{column} {TYPES.get(hints['data_type'], hints['data_type'])}" for column, hints in columns)
        statements.append(f"create table {warehouse.dataset}.{name} ({kinds})")
    warehouse.sql("; ".join(statements))


def build_views(
    warehouse: Warehouse,
    hours: BusinessHours = HOURS,
    models: list[Model] | None = None,
    destination: str | None = None,
) -> ViewReport:
    """Creates the views of the dataset as a run does."""
    spec = parse_destination(destination or warehouse.destination)
    pipeline = dlt.pipeline("views", destination=dlt_destination(spec), dataset_name=warehouse.dataset)
    with pipeline.sql_client() as client:
        return create_views(client, warehouse.kind, hours, read_models() if models is None else models)


def insert(warehouse: Warehouse, table: str, *rows: dict[str, Any]) -> None:
    """Adds rows; what a row leaves out is null."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    values = ", ".join("(" + ", ".join(_literal(row.get(name)) for name in names) + ")" for row in rows)
    warehouse.sql(f"insert into {table} ({', '.join(names)}) values {values}")


def _literal(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = str(value).replace("'", "''")
    return f"'{text}'"
