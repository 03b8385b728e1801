"""Counts in the warehouse that tell whether everything is there: children, parents, duplicates. SQL only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dashly_warehouse.connections import Connection

EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Count:
    """How many rows something is true of, and what it adds up to.

    Attributes:
        parents: Rows, mostly parents of children.
        children: What they add up to; 0 where only the rows count.
        examples: Ids of a few of them.
    """

    parents: int
    children: int = 0
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChildTable:
    """A table of children, and how their parents are known.

    Attributes:
        stream: Its rows in `sync_progress`.
        table: Where the children are.
        foreign_key: Their column with the parent's id.
        parent: The parents' table.
    """

    stream: str
    table: str
    foreign_key: str
    parent: str


@dataclass(frozen=True, slots=True)
class Children:
    """One table of children against what is known of their parents.

    Attributes:
        held: Parents whose progress is known, and rows in the table.
        waiting: Parents whose children were not read to the end yet, and how many more the API counts.
        lost: Parents whose children were read, and how many of those are not in the table.
        moved: The same where the newest one is there under another parent: a user was merged into another.
        not_listed: Parents of which the API counts more children than it lists, and how many more.
        not_counted: Parents of which the API counts fewer children than it lists, and how many fewer.
        unknown: Parents without a row in `sync_progress`.
    """

    held: Count
    waiting: Count
    lost: Count
    moved: Count
    not_listed: Count
    not_counted: Count
    unknown: Count


def count_children(connection: Connection, kind: ChildTable) -> Children:
    """What is there of one kind of children. `sync_progress` and the table have to exist; costs a scan of each."""
    known = _KNOWN.format(table=kind.table, foreign_key=kind.foreign_key)
    short = "missing_before is null and gone_at is null and present < rows_held"
    elsewhere = (
        f"exists (select 1 from {kind.table} as other where other.id = known.newest_id "  # noqa: S608
        f"and other.{kind.foreign_key} <> known.parent_id)"
    )
    counted = "missing_before is null and gone_at is null and parent_count is not null and checked_at is not null"

    def count(where: str, children: str) -> Count:
        return _count(connection, f"from ({known}) as known where {where}", "parent_id", children, [kind.stream])

    return Children(
        held=count("true", "present"),
        waiting=count("missing_before is not null", "greatest(coalesce(parent_count, 0) - present, 0)"),
        lost=count(f"{short} and not {elsewhere}", "rows_held - present"),
        moved=count(f"{short} and {elsewhere}", "rows_held - present"),
        not_listed=count(f"{counted} and parent_count > rows_held", "parent_count - rows_held"),
        not_counted=count(f"{counted} and parent_count < rows_held", "rows_held - parent_count"),
        unknown=_count(connection, _UNKNOWN.format(parent=kind.parent), "id", "0", [kind.stream]),
    )


def count_pending(connection: Connection) -> dict[str, int]:
    """How many parents have children known to be missing, by stream."""
    sql = "select stream, count(*) from sync_progress where missing_before is not null group by stream order by stream"
    return {str(stream): int(parents) for stream, parents in connection.execute(sql)}


def count_orphans(connection: Connection, table: str, foreign_key: str, parent: str) -> Count:
    """Live rows that name a parent which is not in its table at all; `children` counts the rows."""
    rest = _ORPHANS.format(table=table, foreign_key=foreign_key, parent=parent)
    return _count(connection, rest, "parent_id", "orphans")


def count_duplicates(connection: Connection, table: str, key: Sequence[str]) -> Count:
    """Keys that more than one row has; `children` counts the rows too many."""
    columns = ", ".join(key)
    name = " || ' ' || ".join(f"cast({column} as varchar)" for column in key)
    grouped = f"select {name} as name, count(*) as copies from {table} group by {columns} having count(*) > 1"  # noqa: S608
    return _count(connection, f"from ({grouped}) as twice", "name", "copies - 1")


def count_live(connection: Connection, table: str) -> int:
    """Rows that are not marked as deleted."""
    return int(connection.execute(f"select count(*) from {table} where _deleted_at is null")[0][0])  # noqa: S608


def tables_with_keys(connection: Connection, keys: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """Those of the tables that exist, with their keys."""
    present = set(connection.tables())
    return {table: key for table, key in keys.items() if table in present}


_KNOWN = """
select p.parent_id, p.newest_id, p.rows_held, p.parent_count, p.missing_before, p.checked_at, p.gone_at,
       coalesce(c.present, 0) as present
from sync_progress as p
left join (select {foreign_key} as parent_id, count(*) as present from {table} group by {foreign_key}) as c
on c.parent_id = p.parent_id
where p.stream = %s
"""
_UNKNOWN = """
from {parent} as parent
where _deleted_at is null
and not exists (select 1 from sync_progress as p where p.stream = %s and p.parent_id = parent.id)
"""
_ORPHANS = """
from (
    select child.{foreign_key} as parent_id, count(*) as orphans from {table} as child
    left join {parent} as parent on parent.id = child.{foreign_key}
    where parent.id is null and child.{foreign_key} is not null and child._deleted_at is null
    group by child.{foreign_key}
) as lost
"""


def _count(connection: Connection, rest: str, name: str, children: str, params: Sequence[str] = ()) -> Count:
    """Counts the rows of `rest`, which begins with `from`, and names a few when there are any."""
    sql = f"select count(*), coalesce(sum({children}), 0) {rest}"
    parents, total = connection.execute(sql, params)[0]
    if not parents:
        return Count(0)
    shown = connection.execute(f"select {name} {rest} order by {name} limit {EXAMPLES}", params)
    return Count(int(parents), int(total), tuple(str(row[0]) for row in shown))
