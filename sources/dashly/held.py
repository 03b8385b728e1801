"""What the destination already holds of each parent's children: `sync_progress` rows, written and read back.

The rows travel in the same load package as the children they speak of, so they come back, go away and are restored
with them. Works on every SQL destination that dlt knows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import dlt
from dlt.destinations.exceptions import DatabaseUndefinedRelation

from dashly.tables import SYNC_PROGRESS
from dashly.values import from_microseconds, json_text, microseconds
from dashly_state.coverage import Coverage, Walk
from dashly_state.progress import Progress, Told

_COLUMNS = tuple(SYNC_PROGRESS.types)
_BATCH = 200
"""Pending parents a query: three slices' worth of requests."""


def progress_row(progress: Progress, now: datetime) -> dict[str, Any]:
    """Returns the row of `sync_progress`."""
    told, pending = progress.told, progress.pending
    return {
        "stream": progress.stream,
        "parent_id": progress.parent_id,
        "parent_updated_at": from_microseconds(told.at),
        "parent_count": told.count,
        "parent_last_id": None if told.last_id is None else str(told.last_id),
        "newest_id": None if progress.newest_id is None else str(progress.newest_id),
        "rows_held": progress.held,
        "walks": json_text([walk.to_state() for walk in progress.coverage.walks]) if pending else None,
        "missing_before": from_microseconds(progress.missing_before) if pending else None,
        "checked_at": None if progress.checked_at is None else from_microseconds(progress.checked_at),
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
        coverage=Coverage(_whole(row["newest_id"]), walks),
        missing_before=microseconds_of(row["missing_before"]) or 0,
        held=row["rows_held"],
        checked_at=microseconds_of(row["checked_at"]),
        known=True,
    )


class DestinationProgress:
    """Looks progress up in the pipeline's destination; the connection is open only while a query runs.

    An open DuckDB file shuts out every reader, so it is not held between queries.
    """

    def __init__(self, pipeline: dlt.Pipeline) -> None:
        self._pipeline = pipeline

    def known(self, stream: str, parent_ids: Iterable[str]) -> Mapping[str, Progress]:
        """Returns the progress of those of `parent_ids` that have been met before. Costs one query."""
        ids = list(dict.fromkeys(parent_ids))
        if not ids:
            return {}
        marks = ", ".join(["%s"] * len(ids))
        rows = self._rows(f"where stream = %s and parent_id in ({marks})", stream, *ids)
        return {row["parent_id"]: progress_of(row) for row in rows}

    def pending(self, streams: Iterable[str], since: int | None = None) -> Iterator[Progress]:
        """Yields the parents with children known to be missing, newest first, in batches of 200 a query."""
        names = list(streams)
        marks = ", ".join(["%s"] * len(names))
        where = f"where missing_before >= %s and stream in ({marks})"
        order = f"order by missing_before desc, parent_id desc, stream desc limit {_BATCH}"
        first: Sequence[Any] = (from_microseconds(since or 0), *names)
        rows = self._rows(f"{where} {order}", *first) if names else []
        while rows:
            yield from map(progress_of, rows)
            if len(rows) < _BATCH:
                return
            last = [rows[-1][name] for name in ("missing_before", "parent_id", "stream")]
            rows = self._rows(f"{where} and (missing_before, parent_id, stream) < (%s, %s, %s) {order}", *first, *last)

    def backlog(self, streams: Iterable[str], since: int | None = None) -> dict[str, int]:
        """Returns how many parents have children known to be missing, by stream. Costs one query."""
        names = list(streams)
        marks = ", ".join(["%s"] * len(names))
        clause = f"where missing_before >= %s and stream in ({marks}) group by stream"
        found = self._select("stream, count(*)", clause, from_microseconds(since or 0), *names) if names else []
        counts = {row[0]: int(row[1]) for row in found}
        return {name: counts.get(name, 0) for name in names}

    def _rows(self, clause: str, *params: Any) -> list[dict[str, Any]]:
        found = self._select(", ".join(_COLUMNS), clause, *params)
        return [dict(zip(_COLUMNS, row, strict=True)) for row in found]

    def _select(self, columns: str, clause: str, *params: Any) -> Sequence[Sequence[Any]]:
        """Returns what a query of `sync_progress` finds; nothing when the table is not there yet."""
        schema: str | None = self._pipeline.default_schema_name  # None before the first load, whatever dlt's types say
        if schema is None or SYNC_PROGRESS.name not in self._pipeline.schemas[schema].tables:
            return ()
        with self._pipeline.sql_client() as client:
            table = client.make_qualified_table_name(SYNC_PROGRESS.name)
            try:
                found = client.execute_sql(f"select {columns} from {table} {clause}", *params)  # noqa: S608
            except DatabaseUndefinedRelation:
                return ()
        return found if found is not None else ()


def microseconds_of(moment: datetime | None) -> int | None:
    """Returns microseconds since 1970 of a timestamp that a destination gave back."""
    return None if moment is None else microseconds(moment.isoformat())


def _whole(value: str | None) -> int | None:
    return None if value is None else int(value)


def _parsed(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value
