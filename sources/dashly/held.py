"""What the destination already holds of each parent's children: `sync_progress` rows, written and read back.

The rows travel in the same load package as the children they speak of, so they come back, go away and are restored
with them. Works on every SQL destination that dlt knows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import dlt
from dlt.destinations.exceptions import DatabaseUndefinedRelation
from dlt.destinations.sql_client import SqlClientBase

from dashly.id_set import IdSet
from dashly.tables import SYNC_PROGRESS
from dashly.values import from_microseconds, json_text, microseconds
from dashly_state.coverage import Coverage, Walk
from dashly_state.progress import Progress, Told

_COLUMNS = tuple(SYNC_PROGRESS.types)
_BATCH = 1000
"""Pending parents a query: to open a DuckDB file costs more than to read a thousand rows of it."""
_ROWS_AT_ONCE = 2_000
"""Rows of an answer that are in memory at once."""


def progress_row(progress: Progress, now: datetime) -> dict[str, Any]:
    """Returns the row of `sync_progress`."""
    told, pending, walks = progress.told, progress.pending, progress.coverage.walks
    return {
        "stream": progress.stream,
        "parent_id": progress.parent_id,
        "parent_updated_at": from_microseconds(told.at),
        "parent_count": told.count,
        "parent_last_id": None if told.last_id is None else str(told.last_id),
        "newest_id": None if progress.newest_id is None else str(progress.newest_id),
        "rows_held": progress.held,
        "walks": json_text([walk.to_state() for walk in walks]) if walks else None,
        "missing_before": from_microseconds(progress.missing_before) if pending else None,
        "checked_at": None if progress.checked_at is None else from_microseconds(progress.checked_at),
        "gone_at": None if progress.gone_at is None else from_microseconds(progress.gone_at),
        "_synced_at": now,
    }


def progress_of(row: Mapping[str, Any]) -> Progress:
    """Returns the progress that `progress_row` wrote."""
    told = Told(microseconds_of(row["parent_updated_at"]) or 0, row["parent_count"], _whole(row["parent_last_id"]))
    walks = tuple(Walk(**walk) for walk in _parsed(row["walks"]) or ())
    return Progress(
        stream=row["stream"],
        parent_id=row["parent_id"],
        told=told,
        coverage=Coverage(_whole(row["newest_id"]), walks, microseconds_of(row["checked_at"])),
        missing_before=microseconds_of(row["missing_before"]) or 0,
        held=row["rows_held"],
        gone_at=microseconds_of(row["gone_at"]),
        known=True,
    )


@dataclass(frozen=True, slots=True)
class _Order:
    """A walk through `sync_progress` in batches, each beginning behind the last row of the one before."""

    where: str
    columns: tuple[str, str, str]
    direction: str
    beyond: str


_NEWEST_MISSING = _Order("missing_before >= %s", ("missing_before", "parent_id", "stream"), "desc", "<")
_LONGEST_UNCHECKED = _Order(
    "checked_at < %s and missing_before is null and gone_at is null", ("checked_at", "parent_id", "stream"), "asc", ">"
)


class MetParents:
    """Which parents a run may have met, so that pages of strangers, which a first load consists of, cost no query.

    Whoever asks a second time is paging through a list: only then the ids of all parents are fetched, 8 bytes each.
    """

    def __init__(self) -> None:
        self._ids: dict[str, IdSet] = {}
        self._whole: set[str] = set()

    def among(self, stream: str, ids: list[str], all_ids: Callable[[str], Iterable[str]]) -> list[str]:
        """Returns those of `ids` that the destination may have met before this call; from now on all of them may be."""
        met = self._ids.get(stream)
        if met is None:
            self._ids[stream] = IdSet(ids)
            return ids
        if stream not in self._whole:
            met.add(all_ids(stream))
            self._whole.add(stream)
        may_be_there = [one for one in ids if one in met]
        met.add(ids)
        return may_be_there


class DestinationProgress:
    """Looks progress up in the pipeline's destination; the connection is open only while a query runs.

    An open DuckDB file shuts out every reader, so it is not held between queries.

    Args:
        pipeline: Its destination is asked.
        access: Entered for each query; may wait until the destination can be opened.
        met: What this run knows of who is there; a run of several slices keeps one.
    """

    def __init__(
        self,
        pipeline: dlt.Pipeline,
        access: Callable[[], AbstractContextManager[Any]] = nullcontext,
        met: MetParents | None = None,
    ) -> None:
        self._pipeline, self._access = pipeline, access
        self._met = met or MetParents()
        self._client: SqlClientBase[Any] | None = None
        self._is_there = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever loaded: no row is there that progress does not know of."""
        return not self._in_schema()

    def known(self, stream: str, parent_ids: Iterable[str]) -> Mapping[str, Progress]:
        """Returns the progress of those of `parent_ids` that have been met before. Costs one query, or none."""
        ids = self._met.among(stream, list(dict.fromkeys(parent_ids)), self._all_ids)
        if not ids:
            return {}
        marks = ", ".join(["%s"] * len(ids))
        rows = self._rows(f"where stream = %s and parent_id in ({marks})", stream, *ids)
        return {row["parent_id"]: progress_of(row) for row in rows}

    def pending(self, streams: Iterable[str], since: int | None = None) -> Iterator[Progress]:
        """Yields the parents with children known to be missing, newest first, in batches of 1,000 a query."""
        return self._in_order(_NEWEST_MISSING, streams, from_microseconds(since or 0))

    def longest_unchecked(self, streams: Iterable[str], before: int) -> Iterator[Progress]:
        """Yields the complete parents whose children were read whole before that time, longest ago first."""
        return self._in_order(_LONGEST_UNCHECKED, streams, from_microseconds(before))

    def backlog(self, streams: Iterable[str], since: int | None = None) -> dict[str, int]:
        """Returns how many parents have children known to be missing, by stream. Costs one query."""
        names = list(streams)
        marks = ", ".join(["%s"] * len(names))
        clause = f"where missing_before >= %s and stream in ({marks}) group by stream"
        found = self._select("stream, count(*)", clause, from_microseconds(since or 0), *names) if names else ()
        counts = {row[0]: int(row[1]) for row in found}
        return {name: counts.get(name, 0) for name in names}

    def _all_ids(self, stream: str) -> Iterator[str]:
        return (row[0] for row in self._select("parent_id", "where stream = %s", stream))

    def _in_order(self, order: _Order, streams: Iterable[str], bound: datetime) -> Iterator[Progress]:
        names = list(streams)
        marks = ", ".join(["%s"] * len(names))
        where = f"where {order.where} and stream in ({marks})"
        by = ", ".join(f"{column} {order.direction}" for column in order.columns)
        rows = self._rows(f"{where} order by {by} limit {_BATCH}", bound, *names) if names else []
        while rows:
            yield from map(progress_of, rows)
            if len(rows) < _BATCH:
                return
            after = f"({', '.join(order.columns)}) {order.beyond} (%s, %s, %s)"
            last = [rows[-1][column] for column in order.columns]
            rows = self._rows(f"{where} and {after} order by {by} limit {_BATCH}", bound, *names, *last)

    def _rows(self, clause: str, *params: Any) -> list[dict[str, Any]]:
        found = self._select(", ".join(_COLUMNS), clause, *params)
        return [dict(zip(_COLUMNS, row, strict=True)) for row in found]

    def _select(self, columns: str, clause: str, *params: Any) -> Iterator[Sequence[Any]]:
        """Yields what a query of `sync_progress` finds; nothing when the table is not there yet."""
        self._is_there = self._is_there or self._in_schema()
        if not self._is_there:
            return
        self._client = self._client or self._pipeline.sql_client()  # 0.1 s, mostly for dlt's configuration
        with self._access(), self._client as client:
            table = client.make_qualified_table_name(SYNC_PROGRESS.name)
            try:
                with client.execute_query(f"select {columns} from {table} {clause}", *params) as cursor:  # noqa: S608
                    for rows in cursor.iter_fetch(_ROWS_AT_ONCE):
                        yield from rows
            except DatabaseUndefinedRelation:
                return

    def _in_schema(self) -> bool:
        """Whether the table has been created; dlt reads its schema from a file each time, which takes 0.02 s."""
        schema: str | None = self._pipeline.default_schema_name  # None before the first load, whatever dlt's types say
        return schema is not None and SYNC_PROGRESS.name in self._pipeline.schemas[schema].tables


def microseconds_of(moment: datetime | str | None) -> int | None:
    """Returns microseconds since 1970 of a timestamp that a destination gave back; some have no type for it."""
    return microseconds(moment.isoformat() if isinstance(moment, datetime) else moment)


def _whole(value: str | None) -> int | None:
    return None if value is None else int(value)


def _parsed(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value
