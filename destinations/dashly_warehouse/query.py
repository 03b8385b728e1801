"""Asking the warehouse, and showing the answer. Imports neither dlt nor pandas, so that a query starts at once."""

import csv
import difflib
import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, TextIO

from dashly_warehouse.connections import Connection, Row
from dashly_warehouse.errors import QueryError
from dashly_warehouse.failures import first_line

if TYPE_CHECKING:
    from rich.table import Table

Format = Literal["table", "json", "csv"]

CHUNK_ROWS = 2_000  # DuckDB works in vectors of 2,048
TABLE_MAX_ROWS = 50
_CELL_MAX_CHARACTERS = 60
_GRID_MAX_WIDTH = 100_000

# How both databases name a table that they do not find
_UNKNOWN_TABLE = re.compile(r'Table with name (?P<duckdb>\S+) does not exist|relation "(?P<postgres>[^"]+)" does not')
_HINT = re.compile(r"^(?:HINT:\s*|(?=Did you mean|Candidate bindings))(?P<hint>.+)$", re.MULTILINE)
_JSON_SPACE = re.compile(r'("(?:\\.|[^"\\])*")|\s+')
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


@dataclass(frozen=True)
class QueryResult:
    """The answer to a query; the rows can be taken once, while the connection is open.

    Attributes:
        columns: Column names, in order.
        rows: Tuples in the same order, fetched from the database as they are taken. JSON is text, times are in UTC.
        json_columns: Which columns, by position, hold JSON text.
    """

    columns: tuple[str, ...]
    rows: Iterator[Row]
    json_columns: frozenset[int] = frozenset()


def run_query(connection: Connection, sql: str) -> QueryResult:
    """The answer to one statement, a chunk of it in memory at a time.

    Args:
        connection: From `connect(spec, dataset)`, which lets nothing change.
        sql: What a person wrote; table names are looked up in the dataset.

    Raises:
        QueryError: The database refuses it. Rows that fail later raise it while they are taken.
    """
    check_reads_only(connection, sql)
    try:
        connection.run(sql.strip().rstrip(";"), stream=True)
    except Exception as error:  # the drivers' classes, without importing the driver that is not used
        raise query_error(error, connection) from None
    return QueryResult(connection.columns, _rows(connection), connection.json_columns)


def write_result(result: QueryResult, format: Format, stream: TextIO, max_rows: int | None = None) -> int:  # noqa: A002
    """Writes the answer to `stream`.

    Args:
        result: What `run_query` returned.
        format: `table` for people; `json`, an array of objects; `csv` as RFC 4180 has it, with a header.
        stream: Where to. Its width counts only when it is a terminal.
        max_rows: How many rows at most; by default 50 for a table, and all for programs.

    Returns:
        How many rows were written.
    """
    if max_rows is None and format == "table":
        max_rows = TABLE_MAX_ROWS
    write: Callable[[QueryResult, TextIO, int | None], int] = {
        "table": _write_table,
        "json": _write_json,
        "csv": _write_csv,
    }[format]
    return write(result, stream, max_rows)


def check_reads_only(connection: Connection, sql: str) -> None:
    """Nothing, when the statement asks; the warehouse refuses to be changed, but DuckDB writes files all the same.

    Raises:
        QueryError: It copies, exports or attaches.
    """
    if connection.writes_files(sql):
        raise QueryError(
            "`query` only reads, and this writes a file or opens another database",
            "--output FILE writes the answer to a file, as --format parquet, csv or json",
        )


def _rows(connection: Connection) -> Iterator[Row]:
    try:
        while connection.columns and (chunk := connection.fetch(CHUNK_ROWS)):
            yield from chunk
    except Exception as error:  # see run_query
        raise query_error(error, connection) from None


def query_error(error: Exception, connection: Connection) -> QueryError:
    """What the database said about the SQL of a person, with the mend."""
    text = str(error)
    unknown = _UNKNOWN_TABLE.search(text)
    if unknown:
        return QueryError(
            first_line(text).rstrip("!"), _known_tables(unknown["duckdb"] or unknown["postgres"], connection)
        )
    if re.search(r"read-only (mode|transaction)", text):
        return QueryError(
            first_line(text).rstrip("!"), "`query` only reads; change data with the database's own client"
        )
    hint = _HINT.search(text)
    return QueryError(first_line(text).rstrip("!"), hint["hint"].strip() if hint else "")


def _known_tables(unknown: str, connection: Connection) -> str:
    tables = [name for name in connection.tables() if not name.startswith("_dlt_")]
    if not tables:
        return f"The dataset {connection.dataset} is empty: fill it with `dashly-sync run`, or name another (--dataset)"
    near = difflib.get_close_matches(unknown.rpartition(".")[2], tables, n=1)
    return (f"Did you mean {near[0]}? " if near else "") + f"Tables: {', '.join(tables)}"


def _write_csv(result: QueryResult, stream: TextIO, max_rows: int | None) -> int:
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(result.columns)
    count = 0
    for row in islice(result.rows, max_rows):
        writer.writerow([_csv_value(value) for value in row])
        count += 1
    return count


def _write_json(result: QueryResult, stream: TextIO, max_rows: int | None) -> int:
    names = [json.dumps(name, ensure_ascii=False) for name in distinct(result.columns)]
    stream.write("[")
    count = 0
    for row in islice(result.rows, max_rows):
        values = [_json_value(value, i in result.json_columns) for i, value in enumerate(row)]
        record = ", ".join(f"{name}: {value}" for name, value in zip(names, values, strict=True))
        stream.write((",\n " if count else "\n ") + "{" + record + "}")
        count += 1
    stream.write("\n]\n" if count else "]\n")
    return count


def _write_table(result: QueryResult, stream: TextIO, max_rows: int | None) -> int:
    rows = list(islice(result.rows, max_rows))
    is_cut = next(result.rows, None) is not None
    if result.columns:
        _print_grid(result, rows, stream)
    stream.write(f"{len(rows)} row{'' if len(rows) == 1 else 's'}")
    stream.write(", and there are more: --format csv writes them all\n" if is_cut else "\n")
    return len(rows)


def _print_grid(result: QueryResult, rows: Sequence[Row], stream: TextIO) -> None:
    """A grid as wide as its content; on a terminal too narrow for it, one line for each value instead."""
    from rich.console import Console

    cells = [[_cell(value, i in result.json_columns) for i, value in enumerate(row)] for row in rows]
    grid = _grid(result.columns, cells, _numeric_columns(rows))
    # rich must not ask for a terminal: on a "dumb" one it would insist on 80 columns
    console = Console(file=stream, width=_GRID_MAX_WIDTH, force_terminal=False, color_system=None)
    if stream.isatty() and console.measure(grid).maximum > shutil.get_terminal_size().columns:
        stream.write("\n".join(_record_lines(result.columns, row) for row in cells))
    else:
        console.print(grid)


def _record_lines(columns: Sequence[str], row: Sequence[str]) -> str:
    """One row, a line for each value.

    >>> print(_record_lines(["id", "name"], ["1", "Anna"]), end="")
      id  1
    name  Anna
    """
    margin = max(len(name) for name in columns)
    return "".join(f"{name:>{margin}}  {cell}".rstrip() + "\n" for name, cell in zip(columns, row, strict=True))


def _grid(columns: Sequence[str], rows: Sequence[Sequence[str]], numeric: frozenset[int]) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.ROUNDED)
    for i, name in enumerate(columns):
        table.add_column(Text(name), justify="right" if i in numeric else "left", no_wrap=True)
    for row in rows:
        table.add_row(*[Text(cell) for cell in row])  # Text, so that a message with [brackets] is no markup
    return table


def _numeric_columns(rows: Sequence[Row]) -> frozenset[int]:
    """The positions of columns that hold numbers; True is none."""
    return frozenset(i for row in rows for i, value in enumerate(row) if type(value) in (int, float, Decimal))


def _cell(value: Any, is_json: bool) -> str:
    """A value as one short line for people: no microseconds, no JSON spaces, nothing that steers a terminal.

    >>> _cell(datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC), False)
    '2026-01-02 03:04:05'
    >>> _cell('{"a": [1, 2]}', True)
    '{"a":[1,2]}'
    """
    if value is None:
        return ""
    if isinstance(value, datetime):
        return _utc(value).strftime("%Y-%m-%d %H:%M:%S")
    if is_json or isinstance(value, dict | list):
        text = _compact(value)
    else:
        text = str(value).lower() if isinstance(value, bool) else str(value)
    text = _CONTROL.sub(" ", text)
    return text if len(text) <= _CELL_MAX_CHARACTERS else text[: _CELL_MAX_CHARACTERS - 1] + "…"


def _compact(value: Any) -> str:
    """JSON on one line without spaces; text is not parsed, so that no number loses a digit.

    >>> _compact('{"a b": 1490617632.34799990, "c": [1, 2]}')
    '{"a b":1490617632.34799990,"c":[1,2]}'
    """
    if isinstance(value, str):
        return _JSON_SPACE.sub(lambda match: match[1] or "", value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def _csv_value(value: Any) -> Any:
    if isinstance(value, datetime):
        return _iso(value)
    if isinstance(value, dict | list):
        return _compact(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return value


def _json_value(value: Any, is_json: bool) -> str:
    """A value as JSON; stored JSON becomes a part of it."""
    if is_json and isinstance(value, str):
        return _compact(value)
    if isinstance(value, float) and value - value != 0:
        return "null"  # NaN and the infinities, which JSON does not have
    return json.dumps(value, ensure_ascii=False, default=_json_default)


def _json_default(value: Any) -> Any:
    """Times in ISO 8601 with Z; decimals as numbers where a double holds them, otherwise as text like all the rest."""
    if isinstance(value, datetime):
        return _iso(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal) and Decimal(repr(float(value))) == value:
        return int(value) if value == value.to_integral_value() else float(value)
    return str(value)


def _iso(value: datetime) -> str:
    """ISO 8601; one without a zone, which no column of ours is, stays without.

    >>> _iso(datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC))
    '2026-01-02T03:04:05.000678Z'
    """
    return _utc(value).isoformat().replace("+00:00", "Z")


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC) if value.tzinfo else value


def distinct(names: Sequence[str]) -> list[str]:
    """Names of which none repeats, for an object must not have a key twice.

    >>> distinct(["id", "name", "id"])
    ['id', 'name', 'id_2']
    """
    found: list[str] = []
    for name in names:
        candidate, number = name, 2
        while candidate in found:
            candidate, number = f"{name}_{number}", number + 1
        found.append(candidate)
    return found
