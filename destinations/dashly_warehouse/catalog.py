"""What really is in the dataset: its tables with their columns, and on Postgres its indexes. One query."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import dlt
    from dlt.destinations.sql_client import SqlClientBase

_COLUMNS = "select 'column', table_name, column_name from information_schema.columns where table_schema = %s"
_INDEXES = " union all select 'index', tablename, indexname from pg_indexes where schemaname = %s"


@dataclass(frozen=True)
class Catalog:
    """The tables of a dataset.

    Attributes:
        columns: The column names of each table that exists.
        indexes: The names of all indexes; empty on DuckDB, where we make none.
    """

    columns: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    indexes: set[str] = field(default_factory=set)

    def has(self, table: str, *columns: str) -> bool:
        """Whether the table exists with all these columns."""
        return table in self.columns and self.columns[table].issuperset(columns)


def read_catalog(client: "SqlClientBase[Any]", *, with_indexes: bool) -> Catalog:
    """The catalog of the client's dataset; an empty one when the dataset does not exist."""
    sql = _COLUMNS + (_INDEXES if with_indexes else "")
    rows = client.execute_sql(sql, *[client.dataset_name] * (2 if with_indexes else 1)) or []
    catalog = Catalog()
    for kind, table, name in rows:
        if kind == "column":
            catalog.columns[table].add(name)
        else:
            catalog.indexes.add(name)
    return catalog


def database_of(pipeline: "dlt.Pipeline") -> str:
    """`duckdb`, `postgres`, or whatever else the pipeline loads into."""
    destination = pipeline.destination
    return destination.destination_type.rpartition(".")[2] if destination else ""
