"""What `--to` may say, and that dlt can load into whatever it says."""

from pathlib import Path
from typing import Any

import dlt
import psycopg2
import pytest
from psycopg2.extensions import parse_dsn
from tests.conftest import Warehouse, postgres_admin, with_database

from dashly_warehouse.destinations import (
    DestinationConfigError,
    check_dataset_name,
    check_name_clash,
    dlt_destination,
    loader_file_format,
    parse_destination,
)

LOOPBACK: dict[str, str] = {"PGHOST": "db", "PGUSER": "etl"}


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("duckdb:///warehouse.duckdb", Path.cwd() / "warehouse.duckdb"),
        ("duckdb:///data/warehouse.duckdb", Path.cwd() / "data/warehouse.duckdb"),
        ("duckdb:////data/warehouse.duckdb", Path("/data/warehouse.duckdb")),
        ("  duckdb:////data/with space.db\n", Path("/data/with space.db")),
    ],
)
def test_three_slashes_are_relative_and_four_absolute(text: str, path: Path) -> None:
    spec = parse_destination(text)

    assert (spec.kind, spec.path, spec.display) == ("duckdb", path, text.strip())


@pytest.mark.parametrize(
    ("text", "uri", "display"),
    [
        ("postgresql://u:pw@h:5433/d", "postgresql://u:pw@h:5433/d", "postgresql://u@h:5433/d"),
        ("postgres://u:pw@h/d", "postgresql://u:pw@h:5432/d", "postgresql://u@h:5432/d"),
        ("postgresql://u:p%40s%2Fs@h/d", "postgresql://u:p%40s%2Fs@h:5432/d", "postgresql://u@h:5432/d"),
        (
            "postgresql://u:pw@h/d?sslmode=require",
            "postgresql://u:pw@h:5432/d?sslmode=require",
            "postgresql://u@h:5432/d",
        ),
        ("postgresql://u:@/d?host=/run/pg", "postgresql://u:@%2Frun%2Fpg:5432/d", "postgresql://u@/d?host=/run/pg"),
        (
            "postgresql://u@/d?host=/run/pg&port=6000&sslmode=disable",
            "postgresql://u:@%2Frun%2Fpg:6000/d?sslmode=disable",
            "postgresql://u@/d?host=/run/pg&port=6000",
        ),
        ("postgresql://u:pw@%2Frun%2Fpg/d", "postgresql://u:pw@%2Frun%2Fpg:5432/d", "postgresql://u@/d?host=/run/pg"),
        ("postgresql://u:pw@[::1]/d", "postgresql://u:pw@[::1]:5432/d", "postgresql://u@[::1]:5432/d"),
        ("postgresql:///d?user=u&password=pw", "postgresql://u:pw@db:5432/d", "postgresql://u@db:5432/d"),
        ("postgresql:///", "postgresql://etl:@db:5432/etl", "postgresql://etl@db:5432/etl"),
    ],
)
def test_every_libpq_uri_becomes_the_spelling_that_dlt_takes(text: str, uri: str, display: str) -> None:
    spec = parse_destination(text, environ=LOOPBACK)

    assert (spec.kind, spec.uri, spec.display) == ("postgres", uri, display)
    assert parse_dsn(spec.uri or "")["dbname"] == parse_dsn(text).get("dbname", "etl")


@pytest.mark.parametrize(
    ("text", "message", "mend"),
    [
        ("", "no destination is given", "duckdb:///FILE"),
        ("warehouse.duckdb", "is not understood", "duckdb:///FILE"),
        ("duckdb://warehouse.duckdb", "names no DuckDB file", "duckdb:///warehouse.duckdb"),
        ("duckdb:warehouse.duckdb", "names no DuckDB file", "duckdb:///warehouse.duckdb"),
        ("duckdb:///", "names no DuckDB file", "four for an absolute one"),
        ("duckdb:///:memory:", "gone when the run ends", "Name a file"),
        ("duckdb:///x.duckdb?token=s3cret", "takes no options", "Leave out what follows '?': duckdb:///x.duckdb"),
        ("mysql://u:s3cret@h/d", "scheme 'mysql' is not known", "postgresql://USER"),
        ("postgresql://u:s3cret@h1,h2/d", "more than one host", "accepts writes"),
        ("postgresql://u:s3@cret@h/d", "cannot be read", "@ is %40"),
        ("postgresql://u:s3/cret@h/d", "cannot be read", "/ is %2F"),
        ("postgresql://u:12/cret@h/d", "cannot be read", "/ is %2F"),
        ("postgresql://u:12?cret@h/d", "cannot be read", "? is %3F"),
        ("postgresql://u:s3cret@h/d?no_such_option=1", "cannot be read", "Percent-encode"),
    ],
)
def test_a_destination_that_cannot_be_meant_is_refused_with_the_mend(text: str, message: str, mend: str) -> None:
    with pytest.raises(DestinationConfigError) as caught:
        parse_destination(text)

    assert message in caught.value.message
    assert mend in caught.value.mend
    assert caught.value.exit_code == 2
    assert "cret" not in str(caught.value)


def test_the_password_is_in_nothing_that_is_printed() -> None:
    spec = parse_destination("postgresql://u:p%40ss%2Fword@h/d")

    assert spec.password == "p@ss/word"
    for text in (repr(spec), str(spec), spec.display, spec.scrub(f"{spec.uri} p@ss/word"), spec.scrub("x://a:bcd@e")):
        assert not any(secret in text for secret in ("p@ss", "p%40ss", "word", "bcd"))


@pytest.mark.parametrize("name", ["dashly", "crm_2", "a"])
def test_plain_dataset_names_are_taken(name: str) -> None:
    check_dataset_name(name)


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("My-Data", "my_data"),
        ("a__b", "a_b"),
        ("2024", "dashly_2024"),
        ("данные", "dashly"),
        ("", "dashly"),
        ("x" * 60, "x" * 55),
    ],
)
def test_a_dataset_name_that_dlt_would_change_is_refused_with_one_that_works(name: str, better: str) -> None:
    with pytest.raises(DestinationConfigError, match=f"--dataset {better}$"):
        check_dataset_name(name)

    check_dataset_name(better)


@pytest.mark.parametrize("file", ["dashly.duckdb", "DASHLY.db", "dashly.v2.duckdb", "dashly", "dashly_staging.duckdb"])
def test_a_duckdb_file_named_like_the_dataset_is_refused(file: str) -> None:
    spec = parse_destination(f"duckdb:////data/{file}")

    with pytest.raises(
        DestinationConfigError, match=r"_warehouse\.duckdb\) or another dataset \(--dataset dashly_data\)"
    ):
        dlt_destination(spec, "dashly")
    check_name_clash(spec, "crm")


def load(warehouse: Warehouse, rows: list[dict[str, Any]]) -> None:
    spec = parse_destination(warehouse.destination)
    pipeline = dlt.pipeline("loads", destination=dlt_destination(spec, "dashly"), dataset_name="dashly")
    users = dlt.resource(
        rows,
        name="users",
        primary_key="id",
        write_disposition="merge",
        columns={"props": {"data_type": "json"}, "version": {"data_type": "bigint", "dedup_sort": "desc"}},
    )
    pipeline.run(users, loader_file_format=loader_file_format(spec))


def test_both_databases_receive_a_merge(warehouse: Warehouse) -> None:
    load(warehouse, [{"id": "1", "version": 1, "props": {"План": ""}}, {"id": "2", "version": 1, "props": None}])
    load(warehouse, [{"id": "1", "version": 3, "props": {"План": "x"}}, {"id": "1", "version": 2, "props": {}}])

    assert warehouse.rows("users", order_by="id") == [
        {"id": "1", "version": 3, "props": {"План": "x"}},
        {"id": "2", "version": 1, "props": None},
    ]


def test_a_password_with_special_characters_reaches_postgres_through_dlt(postgres_uri: str) -> None:
    user, password = "etl@home", "p@s:s/w?rd #%"
    with postgres_admin(postgres_uri) as run:
        run(f"create role \"{user}\" login superuser password '{password.replace('%', '%%')}'")
    try:
        uri = with_database(postgres_uri, str(parse_dsn(postgres_uri)["dbname"]), user, password)
        load(Warehouse("postgres", uri, "dashly", uri), [{"id": "1", "version": 1, "props": {}}])

        assert parse_destination(uri).password == password
        assert Warehouse("postgres", uri, "dashly", uri).count("users") == 1
    finally:
        with postgres_admin(postgres_uri) as run:
            run(f'drop owned by "{user}"')
            run(f'drop role "{user}"')


def test_a_name_configured_in_dlt_is_a_destination(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESTINATION__LAKE__DESTINATION_TYPE", "duckdb")
    monkeypatch.setenv("DESTINATION__LAKE__CREDENTIALS", str(tmp_path / "lake.duckdb"))
    warehouse = Warehouse("duckdb", "lake", "dashly", str(tmp_path / "lake.duckdb"))

    load(warehouse, [{"id": "1", "version": 1, "props": {"a": 1}}])

    assert loader_file_format(parse_destination("lake")) == "parquet"
    assert warehouse.rows("users") == [{"id": "1", "version": 1, "props": {"a": 1}}]


def test_a_name_that_dlt_does_not_know_is_refused() -> None:
    with pytest.raises(DestinationConfigError, match=r"no destination named 'lakehouse'.*destination_type"):
        dlt_destination(parse_destination("lakehouse"))


def test_the_converted_socket_form_is_what_psycopg2_takes(postgres_uri: str) -> None:
    connection = psycopg2.connect(parse_destination(postgres_uri).uri)

    assert connection.info.dbname == parse_dsn(postgres_uri)["dbname"]

    connection.close()
