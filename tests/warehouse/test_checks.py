"""Each way in which a destination does not work has a message and a mend, before a run and in the middle of one."""

import contextlib
import re
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dlt
import duckdb
import psycopg2
import pytest
from psycopg2.extensions import parse_dsn
from tests.conftest import Warehouse, postgres_admin, with_database

from dashly_warehouse.connections import connect
from dashly_warehouse.destinations import (
    DestinationConfigError,
    DestinationError,
    DestinationUnavailable,
    check_destination,
    dlt_destination,
    explain_failure,
    loader_file_format,
    parse_destination,
)
from dashly_warehouse.failures import duckdb_failure, postgres_failure

HOLD = (
    "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read(int(sys.argv[2]))"
)


@contextlib.contextmanager
def held(file: Path) -> Iterator[int]:
    """The file open in another process, whose id it gives."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(file), "1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    try:
        yield child.pid
    finally:
        child.communicate("x")


def failure(text: str, dataset: str = "dashly") -> DestinationError:
    with pytest.raises(DestinationError) as caught:
        check_destination(parse_destination(text), dataset)
    return caught.value


def test_a_destination_that_works_passes_and_nothing_is_left_behind(warehouse: Warehouse, tmp_path: Path) -> None:
    check_destination(parse_destination(warehouse.destination), "dashly")

    assert not (tmp_path / "warehouse.duckdb").exists()
    assert warehouse.tables() == []
    schemas = "select count(*) from information_schema.schemata where schema_name = 'dashly_staging'"
    assert warehouse.sql(schemas) == [(0,)]


def test_an_existing_duckdb_file_passes_unchanged(tmp_path: Path) -> None:
    file = tmp_path / "w.duckdb"
    duckdb.connect(str(file)).close()
    check_destination(parse_destination(f"duckdb:///{file}"), "dashly")

    with duckdb.connect(str(file)) as connection:
        assert connection.execute("from information_schema.schemata where schema_name = 'dashly'").fetchall() == []


def test_a_dataset_or_file_name_that_cannot_work_is_a_usage_error(tmp_path: Path) -> None:
    assert failure(f"duckdb:///{tmp_path}/dashly.duckdb").exit_code == 2
    assert failure(f"duckdb:///{tmp_path}/x.duckdb", "My Data").exit_code == 2


def test_a_held_duckdb_file_names_its_holder(tmp_path: Path) -> None:
    file = tmp_path / "w.duckdb"
    waits: list[float] = []
    with held(file) as pid, pytest.raises(DestinationUnavailable) as caught:
        connect(parse_destination(f"duckdb:///{file}"), "dashly", wait_seconds=2, sleep=waits.append)

    assert re.fullmatch(
        rf"the DuckDB file \S+/w.duckdb is held by another process: python\S* \(PID {pid}\)", caught.value.message
    )
    assert "Close what has the file open" in caught.value.mend
    assert caught.value.exit_code == 4
    assert waits[:3] == [0.05, 0.1, 0.2]
    assert 2 <= sum(waits) < 4


def test_a_duckdb_file_that_is_let_go_in_time_is_opened(tmp_path: Path) -> None:
    file = tmp_path / "w.duckdb"
    holding = contextlib.ExitStack()
    holding.enter_context(held(file))

    with connect(parse_destination(f"duckdb:///{file}"), "dashly", sleep=lambda _: holding.close()) as connection:
        assert connection.execute("select 1") == [(1,)]


def test_a_missing_directory_says_how_to_make_it(tmp_path: Path) -> None:
    error = failure(f"duckdb:///{tmp_path}/no/such/w.duckdb")

    assert error.message == f"the directory of {tmp_path}/no/such/w.duckdb does not exist"
    assert error.mend == f"Create it: mkdir -p {tmp_path}/no/such"
    assert isinstance(error, DestinationUnavailable)


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="needs a directory that even root cannot write to")
def test_a_directory_that_cannot_be_written_to_is_told() -> None:
    error = failure("duckdb:////sys/kernel/w.duckdb")

    assert error.message == "the DuckDB file /sys/kernel/w.duckdb cannot be written"
    assert "right to write" in error.mend


@pytest.mark.parametrize("content", [b"hello", b"SQLite format 3\x00" * 500, b"x" * 8 + b"DUCK" + b"y" * 20_000])
def test_a_file_that_is_no_duckdb_is_left_alone(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "w.duckdb"
    file.write_bytes(content)

    assert failure(f"duckdb:///{file}").message == f"{file} is not a DuckDB file, or is a damaged one"
    assert file.read_bytes() == content


def test_a_directory_in_place_of_the_file_is_told(tmp_path: Path) -> None:
    assert failure(f"duckdb:///{tmp_path}").mend == f"Name a file in it: {tmp_path}/warehouse.duckdb"


def test_a_file_of_a_newer_duckdb_says_to_update(tmp_path: Path) -> None:
    file = tmp_path / "w.duckdb"
    duckdb.connect(str(file)).close()
    raw = bytearray(file.read_bytes())
    raw[12:20] = struct.pack("<Q", 1500)  # the storage version, behind an 8-byte checksum and "DUCK"
    file.write_bytes(raw)
    with pytest.raises(duckdb.Error, match=r"computed checksum \d+") as caught:
        duckdb.connect(str(file))
    checksum = re.search(r"computed checksum (\d+)", str(caught.value))
    assert checksum is not None
    raw[:8] = struct.pack("<Q", int(checksum[1]))
    file.write_bytes(raw)

    assert "was made by a newer DuckDB" in failure(f"duckdb:///{file}").message
    assert "pip install -U duckdb" in failure(f"duckdb:///{file}").mend


def test_windows_words_for_a_held_file_are_known_too() -> None:
    spec = parse_destination("duckdb:///w.duckdb")
    text = (
        'IO Error: Cannot open file "w.duckdb": The process cannot access the file because it is being used by another '
        "process.\n\nFile is already open in \nC:\\Python\\python.exe (PID 77)"
    )
    found = duckdb_failure(text, spec)

    assert found is not None
    assert found.message.endswith("python.exe (PID 77)")


def test_a_refused_port_says_that_nothing_answers() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    error = failure(f"postgresql://etl:s3cret@127.0.0.1:{port}/lake")

    assert error.message.startswith(f"nothing answers at postgresql://etl@127.0.0.1:{port}/lake (")
    assert "s3cret" not in str(error)
    assert isinstance(error, DestinationUnavailable)


def test_a_socket_directory_without_a_server_says_that_nothing_answers(tmp_path: Path) -> None:
    assert "nothing answers at" in failure(f"postgresql://etl:@/lake?host={tmp_path}").message


def test_an_unknown_host_is_told() -> None:
    error = failure("postgresql://etl:s3cret@no-such-host.invalid/lake")

    assert error.message.startswith("the host of postgresql://etl@no-such-host.invalid:5432/lake is not known")


def test_a_missing_database_is_told(postgres_uri: str) -> None:
    error = failure(with_database(postgres_uri, "no_such_db"))

    assert "/no_such_db" in error.message
    assert "does not exist" in error.message
    assert error.mend.startswith("Create it (CREATE DATABASE")


def test_a_missing_user_is_told(postgres_uri: str) -> None:
    assert "CREATE ROLE" in failure(with_database(postgres_uri, "postgres", "nobody_here")).mend


@pytest.fixture
def role(postgres_uri: str) -> Iterator[str]:
    """The URI of a user who may log in to the test's database and no more."""
    database = str(parse_dsn(postgres_uri)["dbname"])
    name = f"reader_{database}"
    with postgres_admin(postgres_uri) as run:
        run(f"create role {name} login password 'S3cret#Pw'")
    yield with_database(postgres_uri, database, name, "S3cret#Pw")
    with postgres_admin(postgres_uri) as run:
        run(f"drop owned by {name}")
        run(f"drop role {name}")


def hba_file(uri: str) -> Path:
    connection = psycopg2.connect(uri)
    try:
        with connection.cursor() as cursor:
            cursor.execute("show hba_file")
            return Path(cursor.fetchone()[0])
    finally:
        connection.close()


def test_a_wrong_password_is_told_without_repeating_it(postgres_uri: str, role: str) -> None:
    rules = hba_file(postgres_uri)
    if not rules.exists():
        pytest.skip("the given Postgres runs elsewhere")
    before = rules.read_text()
    user = str(parse_dsn(role)["user"])
    rules.write_text(f"local all {user} scram-sha-256\nhost all {user} all scram-sha-256\n{before}")
    try:
        with postgres_admin(postgres_uri) as run:
            run("select pg_reload_conf()")
        wrong, missing = failure(role.replace("S3cret", "Wr0ng")), failure(role.replace("S3cret%23Pw", ""))
    finally:
        rules.write_text(before)

    assert "refused the password or the user" in wrong.message
    assert "percent-encoded" in wrong.mend
    assert "Wr0ng" not in str(wrong)
    assert "wants a password" in missing.message


def test_a_missing_right_to_create_the_schema_names_the_grant(role: str) -> None:
    parts = parse_dsn(role)

    error = failure(role)

    assert f"user {parts['user']} may not create the schema dashly in" in error.message
    assert error.mend == f'As its owner: GRANT CREATE ON DATABASE "{parts["dbname"]}" TO "{parts["user"]}";'
    assert isinstance(error, DestinationUnavailable)


def test_the_named_grant_is_enough(postgres_uri: str, role: str) -> None:
    with postgres_admin(postgres_uri) as run:
        run(failure(role).mend.removeprefix("As its owner: "))

    check_destination(parse_destination(role), "dashly")


def test_a_schema_of_another_user_names_the_grant(postgres_uri: str, role: str) -> None:
    with postgres_admin(postgres_uri) as run:
        run("create schema dashly")
        run("create schema dashly_staging")
    error = failure(role)

    assert f'GRANT USAGE, CREATE ON SCHEMA dashly, dashly_staging TO "{parse_dsn(role)["user"]}";' in error.mend

    with postgres_admin(postgres_uri) as run:
        run(error.mend.removeprefix("As its owner: "))
        run("create table dashly.users (id text)")

    assert "holds tables of" in failure(role).message
    assert "REASSIGN OWNED BY" in failure(role).mend


def test_a_read_only_server_is_told(postgres_uri: str, role: str) -> None:
    with postgres_admin(postgres_uri) as run:
        run(f"alter role {parse_dsn(role)['user']} set default_transaction_read_only = on")

    assert "is read-only" in failure(role).message


def test_a_named_destination_that_works_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESTINATION__LAKE__DESTINATION_TYPE", "duckdb")
    monkeypatch.setenv("DESTINATION__LAKE__CREDENTIALS", str(tmp_path / "lake.duckdb"))

    check_destination(parse_destination("lake"), "dashly")


def test_a_named_destination_without_credentials_says_where_they_belong() -> None:
    error = failure("postgres")

    assert isinstance(error, DestinationConfigError)
    assert "[destination.postgres.credentials]" in error.mend


def pipeline_into(text: str) -> dlt.Pipeline:
    return dlt.pipeline("fails", destination=dlt_destination(parse_destination(text)), dataset_name="dashly")


def explained(text: str, rows: Any, **hints: Any) -> DestinationError | None:
    spec = parse_destination(text)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever dlt makes of it is the subject
        pipeline_into(text).run(rows, table_name="users", loader_file_format=loader_file_format(spec), **hints)
    return explain_failure(caught.value, spec)


def test_a_load_into_a_held_file_is_explained(tmp_path: Path) -> None:
    with held(tmp_path / "w.duckdb") as pid:
        error = explained(f"duckdb:///{tmp_path}/w.duckdb", [{"id": 1}])

    assert isinstance(error, DestinationUnavailable)
    assert f"(PID {pid})" in error.message
    assert "the next run continues" in error.mend


def test_a_load_without_the_right_to_create_the_schema_is_explained(role: str) -> None:
    error = explained(role, [{"id": 1}])

    assert isinstance(error, DestinationUnavailable)
    assert "may not write to this dataset" in error.message
    assert "GRANT CREATE ON DATABASE" in error.mend
    assert "S3cret" not in str(error)


def test_a_load_into_a_missing_database_is_explained(postgres_uri: str) -> None:
    error = explained(with_database(postgres_uri, "no_such_db"), [{"id": 1}])

    assert isinstance(error, DestinationUnavailable)
    assert "does not exist" in error.message


def test_a_load_that_the_database_refuses_for_its_values_exits_4(postgres_uri: str) -> None:
    pipeline_into(postgres_uri).run([{"id": 1}], table_name="users", loader_file_format="insert_values")
    with postgres_admin(postgres_uri) as run:
        run("alter table dashly.users add constraint no_two check (id <> 2)")
    error = explained(postgres_uri, [{"id": 2}])

    assert error is not None
    assert "no_two" in error.message
    assert error.exit_code == 4


def test_a_failure_of_the_api_is_not_the_destinations(tmp_path: Path) -> None:
    def rows() -> Iterator[dict[str, int]]:
        yield {"id": 1}
        raise ConnectionError("the API is down")

    assert explained(f"duckdb:///{tmp_path}/w.duckdb", rows()) is None


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("FATAL:  sorry, too many clients already", "takes no connections at the moment"),
        ("FATAL:  the database system is starting up", "takes no connections at the moment"),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "etl"', "does not admit this machine or user"),
        ("ERROR:  cannot execute INSERT in a read-only transaction", "is read-only"),
        ("ERROR:  could not extend file: No space left on device", "is full"),
        ("server closed the connection unexpectedly", "broke the connection off"),
        ("ERROR:  must be owner of table users", "tables of another user"),
    ],
)
def test_what_postgres_says_in_the_middle_of_a_run_has_a_cause(text: str, cause: str) -> None:
    found = postgres_failure(text, parse_destination("postgresql://etl:s3cret@h/lake"))

    assert found is not None
    assert cause in found.message
    assert found.mend


@pytest.mark.parametrize("size", [0, 4096, 8192])
def test_what_a_full_disk_left_of_a_file_that_was_being_made_is_removed(size: int, tmp_path: Path) -> None:
    """DuckDB would refuse it ever after, and its headers were not even complete."""
    file = tmp_path / "w.duckdb"
    duckdb.connect(str(file)).close()
    file.write_bytes(file.read_bytes()[:size])

    check_destination(parse_destination(f"duckdb:///{file}"), "dashly")

    assert not file.exists()


def test_a_full_disk_of_postgres_is_known_in_any_language(postgres_uri: str) -> None:
    """By its SQLSTATE, 53100: the message may be in Russian."""
    connection = psycopg2.connect(postgres_uri)
    with pytest.raises(psycopg2.Error) as caught, connection.cursor() as cursor:
        cursor.execute("do $$ begin raise exception 'нет места' using errcode = '53100'; end $$")
    connection.close()

    explained = explain_failure(caught.value, parse_destination(postgres_uri))

    assert "53100" == caught.value.pgcode
    assert "is full" in str(explained)
    assert "Make room on the server" in str(explained)
