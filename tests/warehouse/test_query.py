"""What `query` shows, byte for byte, and what it says when it cannot."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import duckdb
import pytest
from tests.conftest import Warehouse

from dashly_warehouse.connections import Connection, connect
from dashly_warehouse.destinations import DestinationUnavailable, parse_destination
from dashly_warehouse.errors import QueryError
from dashly_warehouse.query import Format, QueryResult, run_query, write_result

CREATE = """
create table dashly.users (
    id varchar, name varchar, visits bigint, score double precision, is_vip boolean, props {json},
    created_at timestamptz
)
"""
INSERT = """
insert into dashly.users values
    ('1490617632347999912', 'Анна "Аня" [bold]', 3, 0.5, true, '{"sum": 10.10, "plan": "Pro"}',
        '2026-01-02 03:04:05.000678+03'),
    ('2', null, null, null, false, null, null),
    ('3', 'two
lines, one comma', 12, 2.25, null, '[1, 2]', '2026-01-02 00:00:00+00')
"""


class Terminal(io.StringIO):
    """A stream that says that a person looks at it."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def filled(warehouse: Warehouse) -> Warehouse:
    if warehouse.kind == "duckdb":
        with duckdb.connect(warehouse.location) as connection:
            connection.execute("create schema dashly")
    else:
        warehouse.sql("create schema dashly")
    warehouse.sql(CREATE.format(json="json" if warehouse.kind == "duckdb" else "jsonb"))
    warehouse.sql(INSERT)
    return warehouse


@pytest.fixture
def connection(filled: Warehouse) -> Iterator[Connection]:
    with connect(parse_destination(filled.destination), "dashly") as opened:
        yield opened


def written(connection: Connection, sql: str, format: Format, max_rows: int | None = None) -> str:  # noqa: A002
    stream = io.StringIO(newline="")
    write_result(run_query(connection, sql), format, stream, max_rows)
    return stream.getvalue()


def test_a_table_for_people_byte_for_byte(connection: Connection) -> None:
    expected = dedent("""\
        ╭─────────────────────┬────────┬────────┬────────────────────────────┬─────────────────────╮
        │ id                  │ visits │ is_vip │ props                      │ created_at          │
        ├─────────────────────┼────────┼────────┼────────────────────────────┼─────────────────────┤
        │ 1490617632347999912 │      3 │ true   │ {"sum":10.10,"plan":"Pro"} │ 2026-01-02 00:04:05 │
        │ 2                   │        │ false  │                            │                     │
        │ 3                   │     12 │        │ [1,2]                      │ 2026-01-02 00:00:00 │
        ╰─────────────────────┴────────┴────────┴────────────────────────────┴─────────────────────╯
        3 rows
    """)

    assert (
        written(connection, "select id, visits, is_vip, props, created_at from users order by id;", "table") == expected
    )


def test_a_table_shows_text_as_it_is_on_one_line(connection: Connection) -> None:
    expected = dedent("""\
        ╭──────────────────────┬───────╮
        │ name                 │ score │
        ├──────────────────────┼───────┤
        │ Анна "Аня" [bold]    │   0.5 │
        │ two lines, one comma │  2.25 │
        ╰──────────────────────┴───────╯
        2 rows
    """)

    assert written(connection, "select name, score from users where id <> '2' order by id", "table") == expected


def test_a_table_says_when_rows_were_cut(connection: Connection) -> None:
    found = written(connection, "select id from users order by id", "table", max_rows=1)

    assert found.endswith("\n1 row, and there are more: --format csv writes them all\n")
    assert "│ 2 " not in found


def test_a_terminal_too_narrow_shows_a_value_on_each_line(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    write_result(
        run_query(connection, "select id, name, props, created_at from users where id <> '3' order by id"),
        "table",
        stream,
    )

    assert stream.getvalue() == dedent("""\
                id  1490617632347999912
              name  Анна "Аня" [bold]
             props  {"sum":10.10,"plan":"Pro"}
        created_at  2026-01-02 00:04:05

                id  2
              name
             props
        created_at
        2 rows
    """)


def test_json_is_an_array_of_objects(connection: Connection) -> None:
    found = written(connection, "select * from users order by id", "json")

    assert json.loads(found) == [
        {
            "id": "1490617632347999912",
            "name": 'Анна "Аня" [bold]',
            "visits": 3,
            "score": 0.5,
            "is_vip": True,
            "props": {"sum": 10.10, "plan": "Pro"},
            "created_at": "2026-01-02T00:04:05.000678Z",
        },
        {"id": "2", "name": None, "visits": None, "score": None, "is_vip": False, "props": None, "created_at": None},
        {
            "id": "3",
            "name": "two\nlines, one comma",
            "visits": 12,
            "score": 2.25,
            "is_vip": None,
            "props": [1, 2],
            "created_at": "2026-01-02T00:00:00Z",
        },
    ]
    assert '"props": {"sum":10.10,"plan":"Pro"}' in found
    assert found.startswith('[\n {"id": "1490617632347999912", "name": "Анна \\"Аня\\" [bold]", "visits": 3,')
    assert found.endswith("}\n]\n")


def test_json_of_nothing_is_an_empty_array(connection: Connection) -> None:
    assert written(connection, "select * from users where false", "json") == "[]\n"


def test_json_keeps_both_of_two_columns_with_one_name(connection: Connection) -> None:
    assert written(connection, "select 1 as a, 2 as a", "json") == '[\n {"a": 1, "a_2": 2}\n]\n'


def test_sums_and_averages_are_numbers(connection: Connection) -> None:
    sql = "select sum(visits) as total, cast(1.5 as decimal(9, 2)) as half, cast('NaN' as real) as nan from users"

    assert json.loads(written(connection, sql, "json")) == [{"total": 15, "half": 1.5, "nan": None}]


def test_csv_is_rfc_4180(connection: Connection) -> None:
    found = written(connection, "select id, name, is_vip, created_at from users order by id", "csv")

    assert found == (
        "id,name,is_vip,created_at\r\n"
        '1490617632347999912,"Анна ""Аня"" [bold]",true,2026-01-02T00:04:05.000678Z\r\n'
        "2,,false,\r\n"
        '3,"two\nlines, one comma",,2026-01-02T00:00:00Z\r\n'
    )


def test_nothing_in_a_cell_steers_the_terminal() -> None:
    stream = io.StringIO()
    write_result(QueryResult(("body",), iter([("\x1b[31mred\x07",)])), "table", stream)

    assert "\x1b" not in stream.getvalue()
    assert "\x07" not in stream.getvalue()


def test_an_unknown_table_suggests_the_known(connection: Connection) -> None:
    with pytest.raises(QueryError) as caught:
        run_query(connection, "select * from userz")

    assert "userz" in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.mend == "Did you mean users? Tables: users"
    assert caught.value.exit_code == 2


def test_an_empty_dataset_says_what_fills_it(filled: Warehouse) -> None:
    with connect(parse_destination(filled.destination), "other") as connection, pytest.raises(QueryError) as caught:
        run_query(connection, "select * from users")

    assert "The dataset other is empty: fill it with `dashly-sync run`" in caught.value.mend


def test_a_mistake_in_the_sql_is_told_in_one_line(connection: Connection) -> None:
    with pytest.raises(QueryError, match=r"^syntax error at or near \"selec\"$"):
        run_query(connection, "selec 1")


def test_an_unknown_column_is_told_with_the_databases_hint(connection: Connection) -> None:
    with pytest.raises(QueryError, match=r"nam.*users\.?.?name|nam.*\"name\""):
        run_query(connection, "select nam from users")


def test_an_error_in_a_later_row_is_a_query_error_too(connection: Connection) -> None:
    with pytest.raises(QueryError, match=r"(?i)invalid input syntax|could not convert"):
        list(run_query(connection, "select cast(name as int) from users where visits is not null").rows)


@pytest.mark.parametrize("sql", ["insert into users (id) values ('9')", "delete from users", "drop table users"])
def test_nothing_can_be_changed(filled: Warehouse, connection: Connection, sql: str) -> None:
    with pytest.raises(QueryError, match="`query` only reads"):
        list(run_query(connection, sql).rows)
    connection.close()

    assert filled.count("users") == 3


@pytest.mark.parametrize(
    "sql", ["explain select 1", "with one as (select 1 as n) select * from one", "values (1)", "(select 1)"]
)
def test_statements_other_than_select_work(connection: Connection, sql: str) -> None:
    assert len(list(run_query(connection, sql).rows)) >= 1


def test_large_answers_arrive_whole_and_a_connection_serves_many_queries(connection: Connection) -> None:
    count = 100_001
    series = run_query(connection, f"select n from generate_series(1, {count}) as t(n)")

    assert sum(row[0] for row in series.rows) == count * (count + 1) // 2
    assert list(run_query(connection, "select count(*) from users").rows) == [(3,)]


def test_a_percent_sign_is_just_a_percent_sign(connection: Connection) -> None:
    assert list(run_query(connection, "select id from users where name like '%lines%'").rows) == [("3",)]
    assert connection.execute("select id from users where visits > %s order by 1", [5]) == [("3",)]


def test_a_named_destination_answers_too(monkeypatch: pytest.MonkeyPatch, postgres_uri: str) -> None:
    monkeypatch.setenv("DESTINATION__LAKE__DESTINATION_TYPE", "postgres")
    monkeypatch.setenv("DESTINATION__LAKE__CREDENTIALS", str(parse_destination(postgres_uri).uri))
    with connect(parse_destination("lake"), "dashly") as connection:
        assert written(connection, "select 1 as n, 'a' as s", "csv") == "n,s\r\n1,a\r\n"
        assert connection.tables() == []


def test_a_duckdb_file_that_does_not_exist_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(
        DestinationUnavailable, match=r"no DuckDB file .*missing.duckdb yet. Fill it first: dashly-sync run"
    ):
        connect(parse_destination(f"duckdb:///{tmp_path}/missing.duckdb"), "dashly")

    assert list(tmp_path.glob("*.duckdb")) == []


def test_a_query_imports_neither_dlt_nor_the_other_database(tmp_path: Path) -> None:
    file = tmp_path / "w.duckdb"
    duckdb.connect(str(file)).close()
    program = dedent(f"""
        import sys
        from dashly_warehouse.connections import connect
        from dashly_warehouse.destinations import parse_destination
        from dashly_warehouse.query import run_query, write_result
        assert not {{"dlt", "duckdb", "psycopg2", "rich", "pandas"}} & set(sys.modules), sys.modules.keys()
        with connect(parse_destination("duckdb:///{file}"), "dashly") as connection:
            write_result(run_query(connection, "select 1 as n"), "csv", sys.stdout)
        assert not {{"dlt", "psycopg2", "rich", "pandas"}} & set(sys.modules)
    """)

    assert (
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "n\n1\n"
    )
