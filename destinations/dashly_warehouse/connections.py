"""One small interface to every warehouse, without dlt where it can be: `import dlt` costs 0.4 to 0.9 s."""

import itertools
import re
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from dashly_warehouse.errors import DestinationUnavailable
from dashly_warehouse.failures import database_failure, duckdb_failure, is_held
from dashly_warehouse.specs import DestinationSpec

if TYPE_CHECKING:
    from pyarrow import RecordBatchReader

Row = tuple[Any, ...]
Sleep = Callable[[float], bool | None]
"""How to wait so many seconds; True gives up."""

# A running sync holds the DuckDB file only while it loads, 0.1 to 1 s a slice.
WAIT_SECONDS = 5.0
CONNECT_TIMEOUT_SECONDS = 10

_WRITERS = frozenset({"COPY", "COPY_DATABASE", "EXPORT", "ATTACH", "PREPARE"})
"""Statements of DuckDB that write elsewhere, or let the next one do it."""
_HUGE = frozenset({"HUGEINT", "UHUGEINT"})
_COPIES = re.compile(r"(\s|--[^\n]*\n|/\*.*?\*/)*copy\b", re.IGNORECASE | re.DOTALL)

# What Postgres accepts after DECLARE … CURSOR FOR
_CAN_STREAM = re.compile(r"\s*\(?\s*(select|with|values|table)\b", re.IGNORECASE)


class Connection(ABC):
    """An open warehouse whose default schema is the dataset. Times come back in UTC, JSON as text.

    Attributes:
        dataset: The schema that holds the tables.
        columns: Column names of the last statement.
        json_columns: Which of them, by position, hold JSON text.
    """

    def __init__(self, dataset: str) -> None:
        self.dataset = dataset
        self.columns: tuple[str, ...] = ()
        self.json_columns: frozenset[int] = frozenset()

    @abstractmethod
    def run(self, sql: str, params: Sequence[Any] = (), *, stream: bool = False) -> None:
        """Executes `sql`; its rows wait to be fetched. Placeholders are `%s` in every database.

        Args:
            sql: One statement.
            params: Values for the placeholders. Without them a `%` is just a `%`.
            stream: Whether the server should keep the rows until they are fetched.
        """

    @abstractmethod
    def fetch(self, count: int) -> list[Row]:
        """The next rows of the last statement, at most `count`; an empty list at the end."""

    @abstractmethod
    def arrow(self, sql: str, count: int) -> "RecordBatchReader":
        """The answer to a statement in batches of `count` rows at most, each column of the type that it has there."""

    def writes_files(self, sql: str) -> bool:
        """Whether the SQL would write to a file of the server or of this machine, which a read-only session allows."""
        return _COPIES.match(sql) is not None

    @abstractmethod
    def close(self) -> None:
        """Lets go of the warehouse."""

    def execute(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        """All rows of a statement; empty for one that returns none."""
        self.run(sql, params)
        rows: list[Row] = []
        while self.columns and (chunk := self.fetch(10_000)):
            rows += chunk
        return rows

    def tables(self) -> list[str]:
        """The names of the tables and views of the dataset, in order."""
        sql = "select table_name from information_schema.tables where table_schema = %s order by 1"
        return [str(row[0]) for row in self.execute(sql, [self.dataset])]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def connect(
    spec: DestinationSpec,
    dataset: str,
    read_only: bool = True,
    wait_seconds: float = WAIT_SECONDS,
    sleep: Sleep = time.sleep,
) -> Connection:
    """An open connection to the warehouse.

    Args:
        spec: Which warehouse.
        dataset: The schema in which table names are looked up. It need not exist yet.
        read_only: Whether the database itself refuses to change anything.
        wait_seconds: How long to wait for a DuckDB file that another process holds.
        sleep: How to wait.

    Raises:
        DestinationUnavailable: With the cause and the mend.
    """
    if spec.kind == "duckdb":
        return DuckDbConnection(spec, dataset, read_only, wait_seconds, sleep)
    if spec.kind == "postgres":
        return PostgresConnection(spec, dataset, read_only)
    return DltConnection(spec, dataset)


class DuckDbConnection(Connection):
    """A DuckDB file, opened for as long as the object lives: no sync can load meanwhile."""

    def __init__(
        self,
        spec: DestinationSpec,
        dataset: str,
        read_only: bool,
        wait_seconds: float,
        sleep: Sleep,
    ) -> None:
        super().__init__(dataset)
        self._connection = open_duckdb(spec, read_only, wait_seconds, sleep)
        self._connection.execute("set timezone = 'UTC'")
        self._connection.execute("set enable_progress_bar = false")  # DuckDB draws it on stdout, into the answer
        known = "select 1 from information_schema.schemata where schema_name = ? and catalog_name = current_database()"
        if self._connection.execute(known, [dataset]).fetchone():
            self._connection.execute(f"set schema = '{dataset}'")

    def run(self, sql: str, params: Sequence[Any] = (), *, stream: bool = False) -> None:  # noqa: ARG002
        """See `Connection.run`. DuckDB hands rows out as they are fetched in any case."""
        if params:
            self._connection.execute(sql.replace("%s", "?"), list(params))
        else:
            self._connection.execute(sql)
        description = self._connection.description or []
        self.columns = tuple(str(column[0]) for column in description)
        self.json_columns = frozenset(i for i, column in enumerate(description) if str(column[1]) == "JSON")

    def fetch(self, count: int) -> list[Row]:
        """See `Connection.fetch`."""
        return list(self._connection.fetchmany(count))

    def arrow(self, sql: str, count: int) -> "RecordBatchReader":
        """See `Connection.arrow`. `execute` would hold the whole answer in memory twice."""
        relation = self._connection.sql(sql)
        if relation is None:
            raise ValueError("this statement has no answer to write")
        return _doubles_for_huge_integers(relation).to_arrow_reader(count)

    def writes_files(self, sql: str) -> bool:
        """See `Connection.writes_files`; with what else DuckDB does outside its file, behind `explain analyze` too."""
        import duckdb

        try:
            statements = duckdb.extract_statements(sql)
        except duckdb.Error:
            return False  # it cannot be run either, and says why when it is
        words = set(re.findall(r"\w+", sql.lower()))
        explained = any(one.type == duckdb.StatementType.EXPLAIN for one in statements)
        return any(one.type.name in _WRITERS for one in statements) or (explained and {"analyze", "copy"} <= words)

    def close(self) -> None:
        """See `Connection.close`."""
        self._connection.close()


class PostgresConnection(Connection):
    """A Postgres session; read-only ones stream through a cursor on the server, others commit every statement."""

    def __init__(self, spec: DestinationSpec, dataset: str, read_only: bool) -> None:
        import psycopg2
        from psycopg2 import extras, sql

        super().__init__(dataset)
        self._first: list[Row] = []
        timeout = {} if "connect_timeout=" in str(spec.uri) else {"connect_timeout": CONNECT_TIMEOUT_SECONDS}
        try:
            self._connection = psycopg2.connect(spec.uri, **timeout)
        except psycopg2.Error as error:
            raise database_failure(error, spec) from None
        extras.register_default_json(self._connection, loads=str)
        extras.register_default_jsonb(self._connection, loads=str)
        self._connection.set_session(readonly=read_only, autocommit=True)
        self._cursor = self._connection.cursor()
        self._cursor.execute(sql.SQL("set search_path to {}, public").format(sql.Identifier(dataset)))
        self._cursor.execute("set time zone 'UTC'")
        self._connection.autocommit = not read_only

    def run(self, sql: str, params: Sequence[Any] = (), *, stream: bool = False) -> None:
        """See `Connection.run`."""
        streams = stream and not self._connection.autocommit and _CAN_STREAM.match(sql)
        self._renew_cursor("dashly_sync" if streams else None)
        self._cursor.execute(sql, list(params) or None)
        self._first = self._cursor.fetchmany(1) if streams else []  # only a fetch tells a server-side cursor's columns
        description = self._cursor.description or ()
        self.columns = tuple(column.name for column in description)
        self.json_columns = frozenset(i for i, column in enumerate(description) if column.type_code in (114, 3802))

    def fetch(self, count: int) -> list[Row]:
        """See `Connection.fetch`."""
        first, self._first = self._first, []
        return [*first, *self._cursor.fetchmany(count - len(first))]

    def arrow(self, sql: str, count: int) -> "RecordBatchReader":
        """See `Connection.arrow`."""
        from dashly_warehouse.arrow_rows import reader, schema_of

        self.run(sql, stream=True)
        if not self.columns:
            raise ValueError("this statement has no answer to write")
        return reader(schema_of(self._cursor.description), lambda: self.fetch(count))

    def close(self) -> None:
        """See `Connection.close`."""
        self._connection.close()

    def _renew_cursor(self, name: str | None) -> None:
        self._cursor.close()
        if not self._connection.autocommit:
            self._connection.rollback()
        self._cursor = self._connection.cursor(name)
        self._first = []


class DltConnection(Connection):
    """Any other destination of dlt that speaks SQL, through dlt's own client."""

    def __init__(self, spec: DestinationSpec, dataset: str) -> None:
        import dlt

        from dashly_warehouse.destinations import dlt_destination

        super().__init__(dataset)
        self._folder = tempfile.TemporaryDirectory()
        pipeline = dlt.pipeline(
            "dashly_look", destination=dlt_destination(spec), dataset_name=dataset, pipelines_dir=self._folder.name
        )
        try:
            self._client = pipeline.sql_client()
            self._client.open_connection()
        except Exception as error:  # each of dlt's thirty destinations fails in its own way
            self._folder.cleanup()
            raise database_failure(error, spec) from None
        self._cursor: Any = None

    def run(self, sql: str, params: Sequence[Any] = (), *, stream: bool = False) -> None:  # noqa: ARG002
        """See `Connection.run`."""
        self._release()
        self._context = self._client.execute_query(sql, *params)
        self._cursor = self._context.__enter__()
        self.columns = tuple(str(column[0]) for column in self._cursor.description or [])

    def fetch(self, count: int) -> list[Row]:
        """See `Connection.fetch`."""
        return list(self._cursor.fetchmany(count))

    def arrow(self, sql: str, count: int) -> "RecordBatchReader":
        """See `Connection.arrow`. dlt's cursor knows how; the first rows tell the types."""
        import pyarrow

        self.run(sql)
        tables = self._cursor.iter_arrow(count)
        first = next(tables, pyarrow.table({name: [] for name in self.columns}))
        rest = (table.cast(first.schema) for table in tables)
        batches = (batch for table in itertools.chain([first], rest) for batch in table.to_batches())
        return pyarrow.RecordBatchReader.from_batches(first.schema, batches)

    def close(self) -> None:
        """See `Connection.close`."""
        self._release()
        self._client.close_connection()
        self._folder.cleanup()

    def _release(self) -> None:
        if self._cursor is not None:
            self._context.__exit__(None, None, None)
            self._cursor = None


def open_duckdb(
    spec: DestinationSpec, read_only: bool, wait_seconds: float, sleep: Sleep
) -> Any:  # a DuckDBPyConnection; duckdb is imported when one is opened, not before
    """A DuckDB connection, waiting for whoever has the file; the wait doubles from 50 ms to 1 s.

    Raises:
        DestinationUnavailable: With the cause and the mend.
    """
    import duckdb

    path = spec.path or Path()
    _check_header(path, spec)
    waited, pause = 0.0, 0.05
    while True:
        try:
            return duckdb.connect(str(path), read_only=read_only)
        except duckdb.Error as error:
            if not is_held(error) or waited >= wait_seconds:
                raise database_failure(error, spec) from None
        gives_up = sleep(pause)
        waited, pause = wait_seconds if gives_up else waited + pause, min(pause * 2, 1.0)


def _doubles_for_huge_integers(relation: Any) -> Any:
    """The answer with sums of integers as doubles, as DuckDB itself writes them to Parquet; to Arrow, as decimals."""
    if not _HUGE.intersection(map(str, relation.types)):
        return relation
    columns = []
    for number, (name, kind) in enumerate(zip(relation.columns, map(str, relation.types), strict=True), start=1):
        quoted = '"' + name.replace('"', '""') + '"'
        columns.append(f"#{number}{'::double' if kind in _HUGE else ''} as {quoted}")  # two may have the same name
    return relation.project(", ".join(columns))


def _check_header(path: Path, spec: DestinationSpec) -> None:
    """Nothing, for a DuckDB file or none at all. DuckDB itself would fetch an extension for a SQLite file."""
    try:
        with path.open("rb") as file:
            header = file.read(12)
    except OSError:
        return  # missing or not readable: DuckDB says it in words that we know
    if header[8:] != b"DUCK":
        unknown = DestinationUnavailable(f"{path} is not a DuckDB file")
        raise duckdb_failure("not a valid DuckDB", spec) or unknown
