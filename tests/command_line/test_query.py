"""`dashly-sync query`: an answer for people or programs, and no way to change anything."""

from __future__ import annotations

import pytest
from tests.command_line.conftest import App, Shell, equals_golden

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
