"""`dashly-sync query`: an answer for people or programs, and no way to change anything."""

from __future__ import annotations

import io
import os
import pty
import subprocess

import pytest
from pyarrow import parquet
from tests.command_line.conftest import SCRIPT, App, Shell, equals_golden

HERE = ("--to", "duckdb:///warehouse.duckdb")
SQL = "select id, name, email, last_seen_at, props from users order by last_seen_at desc, id limit 3"


@pytest.mark.parametrize("shape", ["table", "json", "csv"])
def test_an_answer_reads_as_agreed(shape: str, synced: tuple[App, Shell]) -> None:
    """The whole of it on stdout, nothing else."""
    _, shell = synced

    ended = shell.run("query", SQL, *HERE, "--format", shape)

    assert (0, "") == (ended.exit, ended.stderr)
    equals_golden(f"query_{shape}", ended.stdout)


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("selekt 1", "syntax error"),
        ("select * from conversation", "Did you mean conversations?"),
        ("select 1; drop table users", "`query` only reads"),
        ("copy users to 'users.csv'", "--output FILE"),
    ],
)
def test_sql_that_cannot_be_run_is_the_users_mistake(sql: str, says: str, synced: tuple[App, Shell]) -> None:
    """Exit 2, one line, and the warehouse is as it was."""
    _, shell = synced
    before = (shell.folder / "warehouse.duckdb").read_bytes()

    ended = shell.run("query", sql, *HERE)

    assert (2, "") == (ended.exit, ended.stdout)
    assert says in ended.stderr
    assert 1 == len(ended.stderr.splitlines())
    assert before == (shell.folder / "warehouse.duckdb").read_bytes()


def test_a_pipe_that_closes_early_is_no_error(synced: tuple[App, Shell]) -> None:
    """As in `dashly-sync query … | head`."""
    _, shell = synced
    with shell.start("query", "select * from range(1000000)", *HERE, "--format", "csv").process as process:
        assert process.stdout is not None
        assert process.stderr is not None

        line = process.stdout.readline()
        process.stdout.close()

        assert "range\n" == line
        assert (0, "") == (process.wait(60), process.stderr.read())


@pytest.mark.parametrize("shape", ["table", "json", "csv", "parquet"])
def test_an_answer_goes_to_a_file_that_is_named_for_its_shape(shape: str, synced: tuple[App, Shell]) -> None:
    """stdout stays empty, stderr says how much there is; what stood in the file before is gone."""
    _, shell = synced
    file = shell.folder / f"answer.{shape}"
    file.write_text("old")

    ended = shell.run("query", SQL, *HERE, "--output", file.name)
    printed = shell.run("query", SQL, *HERE, "--format", shape)

    assert (0, "", f"3 rows in {file.name}\n") == (ended.exit, ended.stdout, ended.stderr)
    if shape == "parquet":
        found = parquet.read_table(file)
        assert ["id", "name", "email", "last_seen_at", "props"] == found.column_names
        assert (3, "timestamp[us, tz=UTC]") == (found.num_rows, str(found.schema.field("last_seen_at").type))
    else:
        with file.open(encoding="utf-8") as opened:
            assert printed.stdout == opened.read()
    file.unlink()


def test_a_query_that_fails_leaves_the_file_as_it_was(synced: tuple[App, Shell]) -> None:
    _, shell = synced
    file = shell.folder / "answer.csv"
    file.write_text("old")

    ended = shell.run("query", "select cast(id as bigint) / 0, cast(name as int) from users", *HERE, "-o", file.name)
    nowhere = shell.run("query", SQL, *HERE, "-o", "missing/answer.csv")

    assert (2, "old") == (ended.exit, file.read_text())
    assert 2 == nowhere.exit
    assert "missing/answer.csv cannot be written: No such file or directory" in nowhere.stderr
    assert [] == [one.name for one in shell.folder.iterdir() if "partial" in one.name]
    file.unlink()


def test_parquet_goes_to_a_pipe_and_to_no_terminal(synced: tuple[App, Shell]) -> None:
    _, shell = synced
    command = [str(SCRIPT), "query", SQL, *HERE, "--format", "parquet"]
    master, terminal = pty.openpty()

    piped = subprocess.run(command, cwd=shell.folder, env=shell.environ, capture_output=True, check=True)
    shown = subprocess.run(command, cwd=shell.folder, env=shell.environ, stdout=terminal, stderr=subprocess.PIPE)
    os.close(terminal)
    os.close(master)

    assert 3 == parquet.read_table(io.BytesIO(piped.stdout)).num_rows
    assert 2 == shown.returncode
    assert b"parquet is nothing to look at: name a file, as in --output users.parquet, or a pipe" in shown.stderr
