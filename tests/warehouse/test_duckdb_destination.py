"""DuckDB has a memory limit while it loads, and no commit comes upon it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pytest
from dlt.destinations.exceptions import DatabaseTransientException

from dashly_warehouse.destinations import dlt_destination
from dashly_warehouse.holding import Hold
from dashly_warehouse.specs import parse_destination

LIMIT_SHOWN = "976.5 KiB"
ROWS = 20_000
TWENTY_COLUMNS = ", ".join(f"'{number}-' || n || repeat('x', 50) as c{number}" for number in range(20))
FILL = f"create table wide as select {TWENTY_COLUMNS} from range({ROWS}) as numbers(n)"

Opened = Callable[[Any], tuple[Any, Hold]]


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    """What opens a client of the destination, and the hold on its file, with a limit of 1 MB."""

    def open_client(destination: Callable[[str], Any]) -> tuple[Any, Hold]:
        path = tmp_path / "warehouse.duckdb"
        pipeline = dlt.pipeline("roomy", str(tmp_path), destination=destination(str(path)), dataset_name="main")
        return pipeline.sql_client(), Hold(parse_destination(f"duckdb:///{path}"), memory_limits=("1MB",))

    return open_client


def ours(path: str) -> Any:
    return dlt_destination(parse_destination(f"duckdb:///{path}"))


def limit_of(client: Any) -> str:
    with client.native_connection.cursor() as beside:
        return str(beside.execute("select current_setting('memory_limit')").fetchone()[0])


def test_a_commit_has_the_memory_that_it_wants(opened: Opened, tmp_path: Path) -> None:
    """It writes more than the limit, which stands again when it is done; the rows are in the file."""
    client, hold = opened(ours)
    with hold, client:
        fill_and_commit(client)
        assert LIMIT_SHOWN == limit_of(client)

    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        assert (ROWS, ROWS) == connection.execute("select count(*), count(distinct c19) from wide").fetchone()


def test_without_our_client_the_commit_fails(opened: Opened) -> None:
    """So the test above can fail. The day this one does, `duckdb_destination` may go."""
    client, hold = opened(dlt.destinations.duckdb)
    with hold, client, pytest.raises(DatabaseTransientException, match="Failed to commit"):
        fill_and_commit(client)


def test_only_a_statement_of_a_transaction_is_limited(opened: Opened) -> None:
    """One outside commits by itself."""
    client, hold = opened(ours)
    with hold, client:
        with client.execute_query("select current_setting('memory_limit')") as cursor:
            outside = cursor.fetchone()[0]
        with client.begin_transaction(), client.execute_query("select current_setting('memory_limit')") as cursor:
            inside = cursor.fetchone()[0]
        after = limit_of(client)

    assert (LIMIT_SHOWN, LIMIT_SHOWN) == (inside, after)
    assert outside.endswith("GiB")


def test_what_fails_in_a_transaction_leaves_nothing_and_the_limit(opened: Opened) -> None:
    """The next transaction begins with the limit again."""
    client, hold = opened(ours)
    with hold, client:
        with pytest.raises(DatabaseTransientException):
            want_too_much(client)
        after = limit_of(client)
        client.execute_sql("create table numbers (n integer)")

    assert LIMIT_SHOWN == after


def fill_and_commit(client: Any) -> None:
    """Fills a table within a transaction, which is limited when it commits and not before."""
    connection = client.native_connection
    with client.begin_transaction():
        connection.execute("reset memory_limit")
        connection.execute(FILL)
        connection.execute("set memory_limit = '1MB'")


def want_too_much(client: Any) -> None:
    """Makes a table, and then fails in a statement of the same transaction."""
    with client.begin_transaction():
        client.execute_sql("create table numbers (n integer)")
        client.execute_sql("select * from (select random() as r from range(1000000)) order by r")
