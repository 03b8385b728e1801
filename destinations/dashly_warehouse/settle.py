"""Tombstones for rows that their parent no longer has.

A conversation comes with all its tags and a user with all properties, so a snapshot of the parent that was synced later
than one of its rows proves that the row is gone. The row stays and gets `_deleted_at`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from dashly_warehouse.catalog import Catalog, database_of, read_catalog

if TYPE_CHECKING:
    import dlt


@dataclass(frozen=True)
class Rule:
    """One table whose rows are a part of their parent's snapshot.

    Attributes:
        table: Where the rows are.
        parent: Where the snapshots are.
        key: The column of `parent` that identifies it.
        foreign_key: The column of `table` that refers to it.
        origin: When given, only rows whose `origin` column says so come from this parent.
    """

    table: str
    parent: str
    key: str
    foreign_key: str
    origin: str | None = None


RULES = (
    Rule("conversation_tags", "conversations", "id", "conversation_id"),
    Rule("user_props", "users", "id", "user_id", origin="users"),
    Rule("user_props", "user_details", "user_id", "user_id", origin="user_details"),
)
"""Only tables that the API always sends whole inside their parent.

Parts and events are missing: they come in pages of their own, so that one that was not seen lately is not gone.
`user_props` is fed by two endpoints with different sets of properties, hence a rule for each origin: the user list,
which is silent about most properties, must not bury what `GET /users/{id}` has told.
"""

SETTLED_PARENTS = frozenset(rule.parent for rule in RULES)
"""The tables whose `_synced_at` is asked for at every slice, and deserves an index."""


def settle(pipeline: "dlt.Pipeline", since: datetime) -> dict[str, int]:
    """Marks the rows that vanished from the parents that were synced at or after `since`.

    The cost follows the number of those parents, not the size of the tables. Safe to repeat: a marked row is left
    alone, and one that comes back is loaded anew without `_deleted_at`.

    Args:
        pipeline: A pipeline whose slice has been loaded.
        since: The beginning of that slice, with a time zone.

    Returns:
        How many rows were marked, for each table that exists. Empty for a database other than DuckDB and Postgres.

    Raises:
        ValueError: `since` has no time zone.
    """
    if since.tzinfo is None:
        raise ValueError(f"since must have a time zone, got {since.isoformat()}")
    if database_of(pipeline) not in ("duckdb", "postgres"):
        return {}
    marked: dict[str, int] = {}
    with pipeline.sql_client() as client:
        for rule in _applicable(read_catalog(client, with_indexes=False)):
            table, parent = (client.make_qualified_table_name(name) for name in (rule.table, rule.parent))
            rows = client.execute_sql(
                _tombstone_sql(rule, table, parent), since, *([rule.origin] if rule.origin else [])
            )
            marked[rule.table] = marked.get(rule.table, 0) + len(rows or [])
    return marked


def _applicable(catalog: Catalog) -> Iterator[Rule]:
    for rule in RULES:
        origin = ["origin"] if rule.origin else []
        if catalog.has(rule.table, rule.foreign_key, "_synced_at", "_deleted_at", *origin) and catalog.has(
            rule.parent, rule.key, "_synced_at"
        ):
            yield rule


def _tombstone_sql(rule: Rule, table: str, parent: str) -> str:
    """One statement that both databases understand; names come from `RULES`, values are parameters."""
    condition = " and child.origin = %s" if rule.origin else ""
    return (
        f"update {table} as child set _deleted_at = parent._synced_at from {parent} as parent "  # noqa: S608
        f"where parent.{rule.key} = child.{rule.foreign_key} and parent._synced_at >= %s "
        f"and child._synced_at < parent._synced_at and child._deleted_at is null{condition} returning 1"
    )
