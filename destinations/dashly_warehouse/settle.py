"""Tombstones for rows that the API no longer returns: they stay, and get `_deleted_at`.

That a row is gone has to be proven. A conversation comes with all its tags, so a later snapshot without one proves it;
so does a list that was read whole without the row, or the API's word that it does not know the id.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dashly_warehouse.catalog import Catalog, database_of, read_catalog

if TYPE_CHECKING:
    import dlt
    from dlt.destinations.sql_client import SqlClientBase


@dataclass(frozen=True)
class Proof:
    """Why a row is known to be gone, in SQL over `child` and `parent`.

    Attributes:
        stamp: Since when; goes to `_deleted_at`.
        holds: What has to be true of the two rows.
        touched: Parents for which that may be news since the parameter.
        columns: Of the parent, that the SQL needs.
    """

    stamp: str
    holds: str
    touched: str
    columns: tuple[str, ...]


SNAPSHOT = Proof(
    "parent._synced_at", "child._synced_at < parent._synced_at", "parent._synced_at >= %s", ("_synced_at",)
)
"""The parent comes with all its rows, and came again later than this one."""
READ_WHOLE = Proof(
    "parent._synced_at", "child._synced_at < parent.checked_at", "parent._synced_at >= %s", ("_synced_at", "checked_at")
)
"""The parent's children were read from the newest to the oldest, and this one was not among them."""
UNKNOWN_TO_API = Proof(
    "parent.gone_at", "child._synced_at < parent.gone_at", "parent._synced_at >= %s", ("_synced_at", "gone_at")
)
"""The API said that it does not know the id."""
ORPHANED = Proof("parent._deleted_at", "parent._deleted_at is not null", "parent._deleted_at >= %s", ("_deleted_at",))
"""The parent is gone, and its rows with it."""


@dataclass(frozen=True)
class Rule:
    """Which rows of a table a parent can prove to be gone.

    Attributes:
        table: Where the rows are.
        parent: Where the proof is.
        key: The column of `parent` that identifies it.
        foreign_key: The column of `table` that refers to it.
        proof: Why the row is gone.
        only: When given, a column of either and the value that it must have.
    """

    table: str
    parent: str
    key: str
    foreign_key: str
    proof: Proof = SNAPSHOT
    only: tuple[str, str] | None = None


RULES = (
    Rule("conversation_tags", "conversations", "id", "conversation_id"),
    Rule("user_props", "users", "id", "user_id", only=("child.origin", "users")),
    Rule("user_props", "user_details", "user_id", "user_id", only=("child.origin", "user_details")),
    Rule("part_attachments", "parts", "id", "part_id"),
    Rule("parts", "sync_progress", "parent_id", "conversation_id", READ_WHOLE, ("parent.stream", "parts")),
    Rule("events", "sync_progress", "parent_id", "user_id", READ_WHOLE, ("parent.stream", "events")),
    Rule("conversations", "sync_progress", "parent_id", "id", UNKNOWN_TO_API, ("parent.stream", "parts")),
    Rule("users", "sync_progress", "parent_id", "id", UNKNOWN_TO_API, ("parent.stream", "events")),
)
"""What a slice proves by itself. `user_props` is fed by two endpoints with different sets of properties, hence a rule
for each origin: the user list, which is silent about most properties, must not bury what `GET /users/{id}` has told."""

CASCADE = (
    Rule("conversation_tags", "conversations", "id", "conversation_id", ORPHANED),
    Rule("parts", "conversations", "id", "conversation_id", ORPHANED),
    Rule("part_attachments", "parts", "id", "part_id", ORPHANED),
    Rule("user_props", "users", "id", "user_id", ORPHANED),
    Rule("user_details", "users", "id", "user_id", ORPHANED),
    Rule("events", "users", "id", "user_id", ORPHANED),
)
"""What goes with a parent, in the order in which one leads to the next."""

SETTLED_PARENTS = frozenset(rule.parent for rule in RULES if rule.parent != "parts")
"""The tables whose `_synced_at` is asked for at every slice, and deserves an index."""


def settle(
    pipeline: "dlt.Pipeline",
    since: datetime,
    listed_since: Mapping[str, datetime] | None = None,
    *,
    read_again: bool = True,
) -> dict[str, int]:
    """Marks the rows that are known to be gone by what was synced at or after `since`.

    The cost follows the number of those parents on Postgres; DuckDB scans the tables that they are joined to. Safe to
    repeat: a marked row is left alone, and one that comes back is loaded anew without `_deleted_at`.

    Args:
        pipeline: A pipeline whose slice has been loaded.
        since: The beginning of that slice, with a time zone.
        listed_since: By table, a moment since which every row that still exists was synced: a list was read whole.
        read_again: Whether children were read whole of whom there may be rows that were not among them. DuckDB looks
            for these in the whole table.

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
        catalog = read_catalog(client, with_indexes=False)
        with client.begin_transaction():  # a parent must not be marked without what goes with it
            for table, moment in (listed_since or {}).items():
                if catalog.has(table, "_synced_at", "_deleted_at"):
                    marked[table] = _bury_unlisted(client, table, moment, max(moment, since))
            rules = (rule for rule in RULES if read_again or rule.proof is not READ_WHOLE)
            _apply(client, _applicable(rules, catalog), since, marked)
            if any(marked.get(rule.parent) for rule in CASCADE):
                _apply(client, _applicable(CASCADE, catalog), since, marked)
    return marked


def _bury_unlisted(client: "SqlClientBase[Any]", table: str, moment: datetime, stamp: datetime) -> int:
    """Marks the rows that were not synced since `moment`, as gone at `stamp`."""
    name = client.make_qualified_table_name(table)
    sql = f"update {name} set _deleted_at = %s where _synced_at < %s and _deleted_at is null returning 1"  # noqa: S608
    return len(client.execute_sql(sql, stamp, moment) or [])


def _apply(client: "SqlClientBase[Any]", rules: Iterable[Rule], since: datetime, marked: dict[str, int]) -> None:
    for rule in rules:
        table, parent = (client.make_qualified_table_name(name) for name in (rule.table, rule.parent))
        rows = client.execute_sql(_tombstone_sql(rule, table, parent), since, *([rule.only[1]] if rule.only else []))
        marked[rule.table] = marked.get(rule.table, 0) + len(rows or [])


def _applicable(rules: Iterable[Rule], catalog: Catalog) -> Iterator[Rule]:
    for rule in rules:
        child = [rule.only[0].removeprefix("child.")] if rule.only and rule.only[0].startswith("child.") else []
        if catalog.has(rule.table, rule.foreign_key, "_synced_at", "_deleted_at", *child) and catalog.has(
            rule.parent, rule.key, *rule.proof.columns
        ):
            yield rule


def _tombstone_sql(rule: Rule, table: str, parent: str) -> str:
    """One statement that both databases understand; names come from the rules, values are parameters."""
    condition = f" and {rule.only[0]} = %s" if rule.only else ""
    return (
        f"update {table} as child set _deleted_at = {rule.proof.stamp} from {parent} as parent "  # noqa: S608
        f"where parent.{rule.key} = child.{rule.foreign_key} and {rule.proof.touched} "
        f"and {rule.proof.holds} and child._deleted_at is null{condition} returning 1"
    )
