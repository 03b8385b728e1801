"""Rows of the warehouse, on disk: it is let go of before the first request, so that a sync runs beside a push."""

from __future__ import annotations

import json
import pickle
import tempfile
from collections.abc import Iterator
from typing import Any, BinaryIO, Self

from dashly_warehouse.connections import Connection
from dashly_warehouse.query import CHUNK_ROWS, distinct, run_query

Row = dict[str, Any]


class Spool:
    """The answer to one statement, as Python values; JSON is parsed.

    The file has no name: nobody else can open it, and it is gone with the process. A million short rows: 50 MB.

    Attributes:
        columns: Their names, none twice.
        count: How many rows.
    """

    def __init__(self, columns: tuple[str, ...], file: BinaryIO) -> None:
        self.columns, self._file = columns, file
        self.count = 0

    @classmethod
    def of(cls, connection: Connection, sql: str) -> Self:
        """Returns the rows of a statement that only reads.

        Raises:
            QueryError: The database refuses it.
        """
        result = run_query(connection, sql)
        spool = cls(tuple(distinct(result.columns)), tempfile.TemporaryFile())  # noqa: SIM115 - closed by `close`
        chunk: list[tuple[Any, ...]] = []
        for row in result.rows:
            chunk.append(tuple(_plain(value, place in result.json_columns) for place, value in enumerate(row)))
            if len(chunk) == CHUNK_ROWS:
                spool._write(chunk)
                chunk = []
        spool._write(chunk)
        return spool

    def chunks(self) -> Iterator[list[Row]]:
        """Yields the rows, a few thousand at a time."""
        self._file.seek(0)
        left = self.count
        while left:
            chunk = pickle.load(self._file)  # noqa: S301 - our own, and nobody else's to write
            left -= len(chunk)
            yield [dict(zip(self.columns, row, strict=True)) for row in chunk]

    def close(self) -> None:
        """Removes the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, chunk: list[tuple[Any, ...]]) -> None:
        if chunk:
            pickle.dump(chunk, self._file, pickle.HIGHEST_PROTOCOL)
            self.count += len(chunk)


def _plain(value: Any, is_json: bool) -> Any:
    return json.loads(value) if is_json and isinstance(value, str) else value
