"""Indexes that dlt does not make, and the growth that it does not prune.

On Postgres dlt makes no primary key and no index on one: a merge of 50 rows into 5 million took 0.7 s and grew with the
table, with an index of our own 0.07 s, flat. DuckDB gains nothing from one (0.20 s with and without), so it gets none.
"""

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from dashly_warehouse.catalog import Catalog, database_of, read_catalog
from dashly_warehouse.settle import SETTLED_PARENTS

if TYPE_CHECKING:
    import dlt
    from dlt.common.schema.typing import TTableSchema
    from dlt.destinations.sql_client import SqlClientBase

MAIN_TIMES = ("created_at", "updated_at", "last_seen_at")
"""What people filter by. Any other column gets an index with the hint `x-index: True`."""

_NAME_MAX_LENGTH = 63  # Postgres cuts identifiers there

# The schema version at which each pipeline's indexes were last found complete.
_settled_at: "WeakKeyDictionary[dlt.Pipeline, str]" = WeakKeyDictionary()


@dataclass(frozen=True)
class Index:
    """An index that should be there."""

    table: str
    columns: tuple[str, ...]
    is_unique: bool = False

    @property
    def name(self) -> str:
        """A name that is the same in every run and short enough for Postgres to keep.

        >>> Index("parts", ("conversation_id",)).name
        'parts_conversation_id_idx'
        >>> len(Index("t" * 60, ("a", "b"), is_unique=True).name)
        63
        """
        full = "_".join([self.table, *self.columns, "key" if self.is_unique else "idx"])
        if len(full) <= _NAME_MAX_LENGTH:
            return full
        digest = hashlib.sha256(full.encode()).hexdigest()[:8]
        return f"{full[: _NAME_MAX_LENGTH - 9]}_{digest}"


@dataclass(frozen=True)
class KeyReport:
    """What `ensure_keys` did.

    Attributes:
        created: Names of the indexes that were made.
        duplicated: Tables that hold a primary key twice, and therefore got no unique index.
    """

    created: tuple[str, ...] = ()
    duplicated: tuple[str, ...] = ()


@dataclass(frozen=True)
class PruneReport:
    """How much `prune_dlt_history` deleted."""

    state_rows: int = 0
    loads: int = 0
    packages: int = 0


def ensure_keys(pipeline: "dlt.Pipeline") -> KeyReport:
    """Makes true that every table on Postgres has its indexes; call it after a load.

    A unique index on the primary key of each table that merges, an index on each parent's id and on the main times.
    Costs nothing while the schema stays as it is, one catalog query when it changed.
    """
    if database_of(pipeline) != "postgres":
        return KeyReport()
    schema = pipeline.default_schema
    if _settled_at.get(pipeline) == schema.version_hash:
        return KeyReport()
    with pipeline.sql_client() as client:
        catalog = read_catalog(client, with_indexes=True)
        wanted = [index for table in schema.data_tables() for index in wanted_indexes(table)]
        missing = [index for index in wanted if index.name not in catalog.indexes and _fits(index, catalog)]
        made = {index: _create(client, index) for index in missing}
    _settled_at[pipeline] = schema.version_hash
    return KeyReport(
        created=tuple(index.name for index, is_made in made.items() if is_made),
        duplicated=tuple(index.table for index, is_made in made.items() if not is_made),
    )


def wanted_indexes(table: "TTableSchema") -> list[Index]:
    """The indexes that a table of a dlt schema deserves: its key, its parents, its times.

    An index that only repeats the beginning of another one is left out. A table that does not merge may repeat its
    key within one load, so that its key is no unique index.
    """
    found: list[Index] = []
    for index in _candidates(table):
        if not any(other.columns[: len(index.columns)] == index.columns for other in found):
            found.append(index)
    return found


def prune_dlt_history(pipeline: "dlt.Pipeline", keep: int = 50) -> PruneReport:
    """Deletes what dlt piles up at every load and never needs again: states, load rows, packages on the local disk.

    dlt restores a lost working directory from the newest state whose load has status 0. The newest `keep` of those stay
    together with their load rows, and so do the newest `keep` loads.

    Args:
        pipeline: One that nothing is running on.
        keep: How many of each to keep, at least 1.

    Raises:
        ValueError: `keep` is below 1: dlt could no longer restore.
    """
    if keep < 1:
        raise ValueError(f"keep must be at least 1, got {keep}")
    packages = prune_packages(pipeline, keep)
    if database_of(pipeline) not in ("duckdb", "postgres"):
        return PruneReport(packages=packages)
    with pipeline.sql_client() as client:
        catalog = read_catalog(client, with_indexes=False)
        if not (catalog.has("_dlt_loads") and catalog.has("_dlt_pipeline_state")):
            return PruneReport(packages=packages)
        states = _prune_states(client, pipeline.pipeline_name, keep)
        loads = _prune_loads(client, str(pipeline.default_schema_name), keep)
    return PruneReport(states, loads, packages)


def _candidates(table: "TTableSchema") -> Iterator[Index]:
    name, columns = str(table["name"]), table["columns"]
    key = tuple(column for column, hints in columns.items() if hints.get("primary_key"))
    if key:
        yield Index(name, key, is_unique=table.get("write_disposition") == "merge")
    for reference in table.get("references") or []:
        yield Index(name, tuple(reference["columns"]))
    for column, hints in columns.items():
        if column in MAIN_TIMES or hints.get("x-index") or (column == "_synced_at" and name in SETTLED_PARENTS):
            yield Index(name, (column,))


def _fits(index: Index, catalog: Catalog) -> bool:
    return catalog.has(index.table, *index.columns)


def _create(client: "SqlClientBase[Any]", index: Index) -> bool:
    """Creates an index; False when the table holds a key twice and cannot have a unique one."""
    from dlt.destinations.exceptions import DatabaseTerminalException
    from psycopg2.errors import UniqueViolation

    columns = ", ".join(client.escape_column_name(column) for column in index.columns)
    sql = (
        f"create {'unique ' if index.is_unique else ''}index if not exists {client.escape_column_name(index.name)} "
        f"on {client.make_qualified_table_name(index.table)} ({columns})"
    )
    try:
        client.execute_sql(sql)
    except DatabaseTerminalException as error:
        if not isinstance(error.dbapi_exception, UniqueViolation):
            raise
        return False
    return True


def prune_packages(pipeline: "dlt.Pipeline", keep: int = 1) -> int:
    """Deletes all but the newest `keep` of the loaded packages that dlt leaves on the local disk, 80 kB each.

    Returns:
        How many. Their names are load ids, which sort by time.
    """
    folder = Path(pipeline.working_dir) / "load" / "loaded"
    packages = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    for package in packages[:-keep]:
        shutil.rmtree(package, ignore_errors=True)
    return len(packages[:-keep])


def _prune_states(client: "SqlClientBase[Any]", pipeline_name: str, keep: int) -> int:
    states, loads = (client.make_qualified_table_name(name) for name in ("_dlt_pipeline_state", "_dlt_loads"))
    oldest = client.execute_sql(
        f"select l.load_id from {states} as s join {loads} as l on l.load_id = s._dlt_load_id "  # noqa: S608
        "where s.pipeline_name = %s and l.status = 0 order by l.load_id desc limit 1 offset %s",
        pipeline_name,
        keep - 1,
    )
    if not oldest:
        return 0
    sql = f"delete from {states} where pipeline_name = %s and _dlt_load_id < %s returning 1"  # noqa: S608
    return len(client.execute_sql(sql, pipeline_name, oldest[0][0]) or [])


def _prune_loads(client: "SqlClientBase[Any]", schema_name: str, keep: int) -> int:
    """Deletes load rows older than the newest `keep` of this schema, except those that a state still refers to."""
    states, loads = (client.make_qualified_table_name(name) for name in ("_dlt_pipeline_state", "_dlt_loads"))
    oldest = client.execute_sql(
        f"select load_id from {loads} where schema_name = %s order by load_id desc limit 1 offset %s",  # noqa: S608
        schema_name,
        keep - 1,
    )
    if not oldest:
        return 0
    sql = (
        f"delete from {loads} where schema_name = %s and load_id < %s "  # noqa: S608
        f"and load_id not in (select _dlt_load_id from {states}) returning 1"
    )
    return len(client.execute_sql(sql, schema_name, oldest[0][0]) or [])
