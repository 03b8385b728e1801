"""What past runs left in a warehouse that tells what the next one costs: backlog, averages, rows. SQL, no request."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from dashly.endpoints import CHILDREN, LISTS
from dashly.held import progress_of
from dashly.paging import PAGE_RECORDS
from dashly.tables import SYNC_PROGRESS
from dashly_state.progress import Progress
from dashly_sync.memory import Memory, read_memory
from dashly_warehouse.connections import Connection
from dashly_warehouse.verify import count_live

ENOUGH_PARENTS = 20
"""Parents that were read whole, from which on their average says more than a sample of the API."""


@dataclass(frozen=True, slots=True)
class Pending:
    """Parents alike whose children are known to be missing.

    Attributes:
        parents: How many there are.
        held: Children held of each.
        counted: Children that the API counts of each; None where it does not say.
        was_read_whole: Whether only what came later is missing.
    """

    parents: int
    held: int
    counted: int | None
    was_read_whole: bool

    def pages(self, average: float) -> float:
        """Returns the requests for one of them: a page at least.

        Args:
            average: Pages of a parent of which nothing is known.

        Example:
            >>> Pending(1, 50, 120, False).pages(1.0), Pending(1, 0, None, False).pages(1.7)
            (2.0, 1.7)
        """
        if self.counted is not None:
            return float(max(1, math.ceil((self.counted - self.held) / PAGE_RECORDS)))
        return 1.0 if self.was_read_whole else max(1.0, average - self.held // PAGE_RECORDS)


@dataclass(frozen=True, slots=True)
class History:
    """What is known of one warehouse.

    Attributes:
        memory: dlt's state.
        live: Live rows, by list.
        known: Parents that have been met, by child resource.
        pending: What is known to be missing, by child resource.
        average_pages: Pages of a parent that was read whole, by child resource; absent where too few were.
        unchecked: Requests to read again what was read whole before the moment that was asked for, by child resource.
    """

    memory: Memory = field(default_factory=Memory)
    live: dict[str, int] = field(default_factory=dict)
    known: dict[str, int] = field(default_factory=dict)
    pending: dict[str, list[Pending]] = field(default_factory=dict)
    average_pages: dict[str, float] = field(default_factory=dict)
    unchecked: dict[str, int] = field(default_factory=dict)

    def waiting(self, stream: str) -> int:
        """Returns how many parents have children known to be missing."""
        return sum(group.parents for group in self.pending.get(stream, ()))


def read_history(connection: Connection | None, unchecked_before: datetime) -> History:
    """Returns what the warehouse tells; nothing for an empty or absent one.

    Args:
        connection: Open for reading; None for a warehouse that does not exist yet.
        unchecked_before: Parents read whole later are not read again.
    """
    memory = read_memory(connection)
    if connection is None or SYNC_PROGRESS.name not in memory.tables:
        return History(memory)
    averages = {name: _average(connection, name) for name in CHILDREN}
    return History(
        memory,
        live={name: count_live(connection, name) for name in LISTS if name in memory.tables},
        known={name: pages_to_read(connection, name, "gone_at is null", [])[0] for name in CHILDREN},
        pending={name: _pending(connection, name) for name in CHILDREN},
        average_pages={name: average for name, average in averages.items() if average is not None},
        unchecked={name: pages_to_read(connection, name, _UNCHECKED, [unchecked_before])[1] for name in CHILDREN},
    )


def read_known(connection: Connection | None, stream: str, parent_ids: Sequence[str]) -> dict[str, Progress]:
    """Returns what is known of those of the parents that have been met before."""
    if connection is None or SYNC_PROGRESS.name not in connection.tables() or not parent_ids:
        return {}
    columns, marks = list(SYNC_PROGRESS.types), ", ".join(["%s"] * len(parent_ids))
    sql = f"select {', '.join(columns)} from sync_progress where stream = %s and parent_id in ({marks})"  # noqa: S608
    rows = connection.execute(sql, [stream, *parent_ids])
    found = (progress_of(dict(zip(columns, row, strict=True))) for row in rows)
    return {progress.parent_id: progress for progress in found}


def pages_to_read(connection: Connection, stream: str, where: str, params: Sequence[object]) -> tuple[int, int]:
    """Returns how many parents a condition on `sync_progress` holds for, and the requests to read them whole again."""
    sql = f"select count(*), coalesce(sum({_PAGES}), 0) from sync_progress where stream = %s and {where}"  # noqa: S608
    parents, pages = connection.execute(sql, [stream, *params])[0]
    return int(parents), int(pages)


_PAGES = f"greatest(1, ceil(rows_held / {PAGE_RECORDS}.0))"
_UNCHECKED = "checked_at < %s and missing_before is null and gone_at is null"
_GROUPS = (
    "select count(*), rows_held, parent_count, checked_at is not null from sync_progress "
    "where stream = %s and missing_before is not null group by 2, 3, 4"
)


def _average(connection: Connection, stream: str) -> float | None:
    parents, pages = pages_to_read(connection, stream, "missing_before is null and gone_at is null", [])
    return pages / parents if parents >= ENOUGH_PARENTS else None


def _pending(connection: Connection, stream: str) -> list[Pending]:
    rows = connection.execute(_GROUPS, [stream])
    return [Pending(int(n), int(held), counted, bool(whole)) for n, held, counted, whole in rows]
