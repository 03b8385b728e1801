"""Whether the newest record of a table stands still for far longer than it ever did."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dashly.values import from_microseconds
from dashly_sync.memory import Memory
from dashly_warehouse.connections import Connection

TIMES = {"events": "created_at", "parts": "created_at", "conversations": "updated_at"}
"""The column that says when something happened, of the tables in which something happens all the time."""
LOOK_BACK_DAYS = 28
"""Four week-ends."""
LONGER_THAN_EVER = 2.0
"""A silence counts when it is so many times as long as the longest of the last four weeks."""
SHORTEST_SECONDS = 6 * 3600.0
"""Nobody is woken for less."""
FEWEST_HOURS = 100
"""In so many of the hours something happened: of fewer, chance makes a silence twice as long once a year or more."""
FEWEST_DAYS = 14
"""So far back the hours reach: two week-ends were among them."""


@dataclass(frozen=True, slots=True)
class Silence:
    """How long nothing has come into a table.

    Attributes:
        table: Which.
        newest: When the newest record happened.
        until: Until when the API was surely asked for newer ones.
        longest_before: Seconds of the longest silence in the weeks before, rounded up.
        hours: In how many hours of these weeks something happened.
        since: The first of them.
    """

    table: str
    newest: datetime
    until: datetime
    longest_before: float
    hours: int
    since: datetime

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return (self.until - self.newest).total_seconds()

    @property
    def is_unusual(self) -> bool:
        """Whether it is far longer than any before, and enough is known to say so.

        Example:
            >>> begin, day = datetime(2026, 11, 1), timedelta(days=1)
            >>> since, week_end = begin - 28 * day, 62 * 3600.0
            >>> [Silence("parts", begin, begin + n * day, week_end, 200, since).is_unusual for n in (4, 6)]
            [False, True]
        """
        known = self.hours >= FEWEST_HOURS and self.newest - self.since >= timedelta(days=FEWEST_DAYS)
        return known and self.seconds > max(SHORTEST_SECONDS, LONGER_THAN_EVER * self.longest_before)


def read_silences(connection: Connection, memory: Memory, good_run: datetime, now: datetime) -> Sequence[Silence]:
    """Returns how long nothing has come into each table that is asked for.

    Args:
        connection: Open for reading.
        memory: Of the warehouse.
        good_run: When the last good run began.
        now: What is dated later has a wrong clock.
    """
    return list(_silences(connection, memory, good_run, now))


def _silences(connection: Connection, memory: Memory, good_run: datetime, now: datetime) -> Iterator[Silence]:
    for table, column in TIMES.items():
        asked = _asked_at(connection, memory, table) if table in memory.tables else None
        hours = [] if asked is None else _hours(connection, table, column, now)
        if asked is not None and hours:
            gaps = [(later - hour).total_seconds() for (hour, _), (later, _) in itertools.pairwise(hours)]
            longest = max(gaps, default=0.0) + 3600.0
            yield Silence(table, hours[-1][1], min(asked, good_run), longest, len(hours), hours[0][0])


def _asked_at(connection: Connection, memory: Memory, table: str) -> datetime | None:
    """Returns when the API was last asked for rows of the table: of a list by its head, of children by any parent."""
    if table == "conversations":
        looked = memory.source.get("resources", {}).get(table, {}).get("looked_at")
        return None if looked is None else from_microseconds(int(looked))
    found: Any = connection.execute("select max(checked_at) from sync_progress where stream = %s", [table])
    asked: datetime | None = found[0][0]
    return asked


def _hours(connection: Connection, table: str, column: str, now: datetime) -> list[tuple[datetime, datetime]]:
    """Returns the hours in which something happened, each with its last moment, oldest first."""
    found: Any = connection.execute(f"select max({column}) from {table} where {column} <= %s", [now])  # noqa: S608
    if found[0][0] is None:
        return []
    begin = found[0][0] - timedelta(days=LOOK_BACK_DAYS)
    sql = (
        f"select date_trunc('hour', {column}), max({column}) from {table} "  # noqa: S608
        f"where {column} > %s and {column} <= %s group by 1 order by 1"
    )
    return [(hour, last) for hour, last in connection.execute(sql, [begin, now])]
