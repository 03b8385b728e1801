"""An answer as Parquet: the same columns, types and rows from DuckDB and from Postgres, in little memory."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from textwrap import dedent

import duckdb
import pyarrow as pa
import pytest
from pyarrow import parquet
from tests.conftest import Warehouse

from dashly_warehouse.connections import Connection, connect
from dashly_warehouse.errors import QueryError
from dashly_warehouse.parquet import write_parquet
from dashly_warehouse.specs import parse_destination

CREATE = """
create table dashly.users (
    id varchar, visits bigint, score double precision, is_vip boolean, props {json}, created_at timestamptz, born date,
    price decimal(9, 2), local timestamp, code smallint
)
"""
INSERT = """
insert into dashly.users values
    ('1490617632347999912', 3, 0.5, true, '{"sum": 10.10}', '2026-01-02 03:04:05.000678+03', '2001-02-03', 1.50,
        '2026-01-02 03:04:05', 7),
    ('2', null, null, null, null, null, null, null, null, null)
"""


@pytest.fixture
def connection(warehouse: Warehouse) -> Iterator[Connection]:
    if warehouse.kind == "duckdb":
        with duckdb.connect(warehouse.location) as opened:
            opened.execute("create schema dashly")
    else:
        warehouse.sql("create schema dashly")
    warehouse.sql(CREATE.format(json="json" if warehouse.kind == "duckdb" else "jsonb"))
    warehouse.sql(INSERT)
    with connect(parse_destination(warehouse.destination), "dashly") as connected:
        yield connected


def written(connection: Connection, sql: str, max_rows: int | None = None) -> pa.Table:
    file = io.BytesIO()
    count = write_parquet(connection, sql, file, max_rows)
    table = parquet.read_table(io.BytesIO(file.getvalue()))
    assert count == table.num_rows
    return table


def test_types_and_values_are_those_of_the_warehouse(connection: Connection) -> None:
    found = written(connection, "select * from users order by length(id) desc;")

    assert {
        "id": pa.string(),
        "visits": pa.int64(),
        "score": pa.float64(),
        "is_vip": pa.bool_(),
        "props": pa.string(),
        "created_at": pa.timestamp("us", tz="UTC"),
        "born": pa.date32(),
        "price": pa.decimal128(9, 2),
        "local": pa.timestamp("us"),
        "code": pa.int16(),
    } == {field.name: field.type for field in found.schema}
    first, second = found.to_pylist()
    assert '{"sum": 10.10}' == first.pop("props")
    assert {
        "id": "1490617632347999912",
        "visits": 3,
        "score": 0.5,
        "is_vip": True,
        "created_at": datetime(2026, 1, 2, 0, 4, 5, 678, tzinfo=UTC),
        "born": date(2001, 2, 3),
        "price": Decimal("1.50"),
        "local": datetime(2026, 1, 2, 3, 4, 5),  # noqa: DTZ001 - the column has no zone
        "code": 7,
    } == first
    assert {"2", None} == set(second.values())


def test_sums_and_averages_are_doubles_on_both(connection: Connection) -> None:
    found = written(connection, "select sum(visits) as total, avg(visits) as mean, count(*) as n from users")

    assert [{"total": 3.0, "mean": 3.0, "n": 2}] == found.to_pylist()
    assert [pa.float64(), pa.float64(), pa.int64()] == found.schema.types


def test_two_columns_of_one_name_are_both_there(connection: Connection) -> None:
    found = written(connection, "select 1 as a, 2 as a, sum(visits) as a from users")

    assert [{"a": 1, "a_2": 2, "a_3": 3.0}] == found.to_pylist()


def test_no_rows_are_a_table_with_columns(connection: Connection) -> None:
    found = written(connection, "select id, created_at from users where false")

    assert (0, ["id", "created_at"]) == (found.num_rows, found.column_names)


@pytest.mark.parametrize("most", [1, 60_000])
def test_no_more_rows_than_wanted(connection: Connection, most: int) -> None:
    found = written(connection, "select n from generate_series(1, 100001) as t(n)", most)

    assert most == found.num_rows == found["n"][-1].as_py()


@pytest.mark.parametrize("sql", ["selec 1", "select * from userz", "delete from users", "select interval '1 day' as i"])
def test_what_cannot_be_written_is_told(connection: Connection, sql: str) -> None:
    with pytest.raises(QueryError):
        written(connection, sql)


@pytest.mark.parametrize(
    "sql",
    [
        "copy users to '{file}'",
        " -- first\n/* then */ COPY (select 1) to '{file}'",
        "select 1; copy users to '{file}'",
        "explain analyze copy users to '{file}'",
        "prepare it as copy users to '{file}'; execute it",
        "attach '{file}' as other",
        "export database '{file}'",
    ],
)
def test_no_file_is_written_but_the_answers_own(duckdb_warehouse: Warehouse, sql: str) -> None:
    duckdb_warehouse.sql("create table users as select 1 as id")
    file = f"{duckdb_warehouse.location}.out"

    with (
        connect(parse_destination(duckdb_warehouse.destination), "dashly") as connection,
        pytest.raises(QueryError, match=r"`query` only reads.*--output FILE"),
    ):
        written(connection, sql.format(file=file))

    assert [duckdb_warehouse.location] == [
        str(path)
        for path in parse_destination(duckdb_warehouse.destination).path.parent.glob("*duckdb*")  # type: ignore[union-attr]
    ]


def test_a_copy_is_refused_on_postgres_too(postgres_uri: str) -> None:
    with (
        connect(parse_destination(postgres_uri), "public") as connection,
        pytest.raises(QueryError, match=r"`query` only reads"),
    ):
        written(connection, "/* mine */ copy (select 1) to program 'cat'")


def test_a_destination_that_dlt_names_answers_too(monkeypatch: pytest.MonkeyPatch, postgres_uri: str) -> None:
    monkeypatch.setenv("DESTINATION__LAKE__DESTINATION_TYPE", "postgres")
    monkeypatch.setenv("DESTINATION__LAKE__CREDENTIALS", str(parse_destination(postgres_uri).uri))
    with connect(parse_destination("lake"), "dashly") as connection:
        assert [{"n": 1, "s": "a"}] == written(connection, "select 1 as n, 'a' as s").to_pylist()
        assert 0 == written(connection, "select 1 as n where false").num_rows


def test_a_large_answer_takes_little_memory(duckdb_warehouse: Warehouse) -> None:
    """1.2 million rows, 50 MB of text, of which a group is held at a time."""
    duckdb_warehouse.sql("select 1")
    program = dedent(f"""
        from dashly_warehouse.connections import connect
        from dashly_warehouse.parquet import write_parquet
        from dashly_warehouse.specs import parse_destination
        import pyarrow.parquet
        def held():
            return int(open("/proc/self/statm").read().split()[1]) * 4096
        class Sink:
            closed, most, size = False, 0, 0
            def write(self, data):
                self.most, self.size = max(self.most, held()), self.size + len(data)
            def flush(self): ...
            def close(self): ...
            def tell(self): return self.size
        sink, sql = Sink(), "select i, md5(i::varchar) as m from range({{}}) as t(i)"
        with connect(parse_destination("{duckdb_warehouse.destination}"), "dashly") as connection:
            write_parquet(connection, sql.format(60_000), sink)
            before, sink.most = sink.most, 0
            assert write_parquet(connection, sql.format(1_200_000), sink) == 1_200_000
        print((sink.most - before) // 2**20)
    """)

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert int(ended.stdout) < 40
