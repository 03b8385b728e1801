"""`dashly-sync query`: an answer for people or programs, and no way to change anything."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from pyarrow import parquet
from tests.command_line.conftest import App, Shell, equals_golden

from dashly_sync.answers import SHAPES, Shape, answer
from dashly_sync.settings import Settings, UsageError
from dashly_warehouse.connections import connect
from dashly_warehouse.errors import QueryError
from dashly_warehouse.specs import parse_destination

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


def test_a_file_is_named_and_its_ending_says_the_shape(synced: tuple[App, Shell]) -> None:
    """Nothing on stdout, stderr says how much there is; what stood in the file before is gone."""
    _, shell = synced
    file = shell.folder / "answer.parquet"
    file.write_text("old")

    ended = shell.run("query", SQL, *HERE, "--output", file.name)

    assert (0, "", "3 rows in answer.parquet\n") == (ended.exit, ended.stdout, ended.stderr)
    found = parquet.read_table(file)
    assert ["id", "name", "email", "last_seen_at", "props"] == found.column_names
    assert (3, "timestamp[us, tz=UTC]") == (found.num_rows, str(found.schema.field("last_seen_at").type))
    file.unlink()


class Out(io.TextIOWrapper):
    """What stdout is: a pipe or as a terminal."""

    def __init__(self, *, is_terminal: bool = False) -> None:
        self.bytes = io.BytesIO()
        super().__init__(self.bytes, encoding="utf-8", newline="")
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


@pytest.fixture
def settings(synced: tuple[App, Shell]) -> Settings:
    return Settings(destination=f"duckdb:///{synced[1].folder}/warehouse.duckdb")


@pytest.mark.parametrize("shape", SHAPES)
def test_a_file_holds_what_would_be_printed(shape: Shape, settings: Settings, tmp_path: Path) -> None:
    printed, file = Out(), tmp_path / f"answer.{shape}"

    answer(settings, SQL, shape, None, None, printed)
    count = answer(settings, SQL, None, file, None, Out(is_terminal=True))

    printed.flush()
    assert (3, printed.bytes.getvalue()) == (count, file.read_bytes())


def test_a_query_that_fails_leaves_the_file_as_it_was(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "answer.csv"
    file.write_text("old")

    with pytest.raises(QueryError):
        answer(settings, "select cast(name as int) from users", None, file, None, Out())
    with pytest.raises(UsageError, match=r"missing/answer\.csv cannot be written: No such file or directory"):
        answer(settings, SQL, None, tmp_path / "missing" / "answer.csv", None, Out())

    assert ("old", ["answer.csv"]) == (file.read_text(), [one.name for one in tmp_path.glob("*answer*")])


def test_parquet_is_not_shown_on_a_terminal(settings: Settings) -> None:
    with pytest.raises(UsageError, match="parquet is nothing to look at"):
        answer(settings, SQL, "parquet", None, None, Out(is_terminal=True))


def test_nothing_else_is_in_an_answer_that_takes_long(settings: Settings) -> None:
    """DuckDB would draw a progress bar on stdout after two seconds."""
    with connect(parse_destination(settings.destination), "dashly") as warehouse:
        assert [(False,)] == warehouse.execute("select current_setting('enable_progress_bar')::boolean")
