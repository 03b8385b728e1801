"""What `query` does: ask the warehouse, and write the answer where it is wanted, in the shape that is wanted."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal, TextIO

from dashly_sync.settings import Settings, UsageError
from dashly_warehouse.connections import Connection, connect
from dashly_warehouse.parquet import write_parquet
from dashly_warehouse.query import Format, run_query, write_result
from dashly_warehouse.replacement import replacing
from dashly_warehouse.specs import parse_destination

Shape = Format | Literal["parquet"]
SHAPES: tuple[Shape, ...] = ("table", "json", "csv", "parquet")


def answer(
    settings: Settings, sql: str, shape: Shape | None, output: Path | None, max_rows: int | None, stdout: TextIO
) -> int:
    """Writes the answer to `sql` and returns how many rows it has.

    Args:
        settings: Which warehouse.
        sql: One statement.
        shape: What the name of `output` ends in when None; a table otherwise.
        output: A file, which holds what it held before until all is written; stdout when None.
        max_rows: How many rows at most; by default 50 for a table, and all for programs.
        stdout: Where to without `output`.

    Raises:
        UsageError: The file cannot be written, or parquet would go to a terminal.
        WarehouseError: The warehouse cannot be opened, or refuses the SQL.
    """
    shape = shape or shape_of(output)
    if shape == "parquet" and output is None and stdout.isatty():
        raise UsageError("parquet is nothing to look at: name a file, as in --output users.parquet, or a pipe")
    with connect(parse_destination(settings.destination), settings.dataset_name) as warehouse:
        if output is None:
            return _write(warehouse, sql, shape, stdout, max_rows)
        with whole_file(output) as file, io.TextIOWrapper(file, encoding="utf-8", newline="") as text:
            return _write(warehouse, sql, shape, text, max_rows)


def shape_of(output: Path | None) -> Shape:
    """Returns what a file of this name holds.

    Example:
        >>> shape_of(Path("users.parquet")), shape_of(Path("users.txt")), shape_of(None)
        ('parquet', 'table', 'table')
    """
    ending = "" if output is None else output.suffix.lower().removeprefix(".")
    return next((shape for shape in SHAPES if shape == ending), "table")


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Opens a file for writing that takes the place of `path` when all is written.

    Raises:
        UsageError: It cannot be written; `path` is as it was.
    """
    try:
        with replacing(path) as partial, partial.open("wb") as file:
            yield file
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from None


def _write(warehouse: Connection, sql: str, shape: Shape, to: TextIO, max_rows: int | None) -> int:
    if shape == "parquet":
        return write_parquet(warehouse, sql, to.buffer, max_rows)
    return write_result(run_query(warehouse, sql), shape, to, max_rows)
