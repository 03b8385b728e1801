"""What the page of `status --html` draws and the command does not print: coverage, and rows over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from dashly.endpoints import CHILDREN, LISTS
from dashly.values import from_microseconds
from dashly_state.coverage import Coverage
from dashly_sync.memory import open_warehouse, read_memory
from dashly_sync.settings import Settings
from dashly_warehouse.connections import Connection

DAYS = 30
DAY_OF = {
    "users": "last_seen_at",
    "events": "created_at",
    "conversations": "created_at",
    "parts": "created_at",
    "part_attachments": "created_at",
    "active_users": "sampled_at",
}
"""The column whose day a row counts for: its own time, so that a hole in what was read is a hole in the picture."""
_LIST_TIMES = {"users": "last_seen_at", "conversations": "updated_at"}
"""What the lists are in the order of."""


@dataclass(frozen=True, slots=True)
class ListSpan:
    """How much of a list has been read.

    Attributes:
        name: Of the list.
        oldest: The oldest record that is held; None when there is none.
        newest: The newest position that was seen.
        gaps: What is known to be missing, newest first: from there down to there; None is the end of the list.
    """

    name: str
    oldest: datetime | None
    newest: datetime | None
    gaps: Sequence[tuple[datetime, datetime | None]]


@dataclass(frozen=True, slots=True)
class ChildCounts:
    """How many parents have had their children read whole, miss some, and are gone."""

    stream: str
    whole: int
    missing: int
    gone: int


@dataclass(frozen=True, slots=True)
class Detail:
    """What the page draws.

    Attributes:
        lists: How much of each is read.
        children: How many parents are read whole, by child resource.
        days: Rows of each of the last days, by table; the last one is the day of `read_at`.
    """

    lists: Sequence[ListSpan] = ()
    children: Sequence[ChildCounts] = ()
    days: Mapping[str, Sequence[int]] = field(default_factory=dict)


def read_detail(settings: Settings, read_at: datetime) -> Detail:
    """Returns what the settings' warehouse tells; nothing when it is not there yet.

    Args:
        settings: Which warehouse.
        read_at: Now.

    Raises:
        WarehouseError: It cannot be opened.
    """
    with open_warehouse(settings) as connection:
        if connection is None:
            return Detail()
        memory = read_memory(connection)
        if not {"sync_runs", "sync_progress"} <= memory.tables:
            return Detail()
        spans = [_span(connection, name, memory.coverage(name)) for name in LISTS if name in memory.tables]
        return Detail(
            lists=spans,
            children=[ChildCounts(*row) for row in connection.execute(_CHILDREN) if row[0] in CHILDREN],
            days={
                table: _rows_a_day(connection, table, column, read_at.date())
                for table, column in DAY_OF.items()
                if table in memory.tables
            },
        )


_CHILDREN = (
    "select stream, count(*) filter (where missing_before is null and gone_at is null), "
    "count(*) filter (where missing_before is not null and gone_at is null), "
    "count(*) filter (where gone_at is not null) from sync_progress group by stream order by stream"
)


def _span(connection: Connection, name: str, coverage: Coverage) -> ListSpan:
    sql = f"select min({_LIST_TIMES[name]}) from {name} where _deleted_at is null"  # noqa: S608
    newest = None if coverage.newest is None else from_microseconds(coverage.newest)
    begun = [walk for walk in coverage.gaps if walk.low is not None or walk.top is not None]
    gaps = [
        (
            from_microseconds(walk.low if walk.low is not None else walk.top or 0),
            None if walk.floor is None else from_microseconds(walk.floor),
        )
        for walk in begun
    ]
    return ListSpan(name, connection.execute(sql)[0][0], newest, gaps)


def _rows_a_day(connection: Connection, table: str, column: str, today: date) -> list[int]:
    """Returns the live rows of each of the last days; the last one is today."""
    days = [today - timedelta(days=back) for back in reversed(range(DAYS))]
    sql = (
        f"select cast({column} at time zone 'UTC' as date), count(*) from {table} "  # noqa: S608
        f"where {column} >= %s and _deleted_at is null group by 1"
    )
    found: dict[date, int] = dict(connection.execute(sql, [f"{days[0]} 00:00:00+00"]))
    return [found.get(day, 0) for day in days]
