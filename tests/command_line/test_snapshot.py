"""`--snapshot`: who reads the copy and who syncs never meet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
from tests.command_line.conftest import App, Shell

HERE = ("--to", "duckdb:///warehouse.duckdb", "--snapshot", "read.duckdb")
LOOK = "select count(*) from dashly.conversation_metrics"


def count(notebook: duckdb.DuckDBPyConnection) -> int:
    """What a notebook sees: this process, which keeps the copy open, next to those of the commands."""
    return int(notebook.execute(LOOK).fetchall()[0][0])


def test_a_notebook_reads_on_while_runs_load_and_publish(app: Callable[..., App], shell: Shell) -> None:
    """Through a view, from before the run to after it; whoever opens the copy anew sees what is new."""
    served = app(users=6, conversations=5, events_per_user=2.0)
    shell.environ |= served.environ
    assert 0 == shell.run("run", *HERE).exit
    for _ in range(3):
        served.simulator.life.start_conversation(served.simulator.life.add_user())

    with duckdb.connect(str(shell.folder / "read.duckdb"), read_only=True) as notebook:
        run = shell.start("run", *HERE)
        while run.process.poll() is None:
            assert 5 == count(notebook)
        ended = run.wait()
        looked = shell.run("query", LOOK, "--to", "duckdb:///read.duckdb", "--format", "csv")

        assert (0, "") == (ended.exit, ended.stderr)
        assert 5 == count(notebook)
        assert ("8", "") == (looked.last_line.strip(), looked.stderr)
    status = shell.run("status", "--to", "duckdb:///read.duckdb", "--json")
    assert ["finished", "finished"] == [one["outcome"] for one in status.json["runs"]]


def test_a_copy_that_cannot_be_made_fails_no_run(app: Callable[..., App], shell: Shell) -> None:
    """The rows are what counts: exit 0, one notice, and the copy from before is still there."""
    served = app(users=3, conversations=2, events_per_user=2.0)
    shell.environ |= served.environ
    assert 0 == shell.run("run", *HERE).exit
    (shell.folder / ".read.duckdb.partial").mkdir()  # what cannot be written over

    ended = shell.run("run", *HERE)

    assert 0 == ended.exit
    assert "notice: no new snapshot read.duckdb: " in ended.stderr
    assert "the one before stays. The rows are loaded" in ended.stderr
    with duckdb.connect(str(shell.folder / "read.duckdb"), read_only=True) as notebook:
        assert 2 == count(notebook)


def test_a_copy_that_can_never_be_is_refused_before_a_request_is_made(app: Callable[..., App], shell: Shell) -> None:
    served = app(users=3, conversations=2)
    shell.environ |= served.environ

    ended = shell.run("run", "--to", "duckdb:///warehouse.duckdb", DASHLY_SNAPSHOT="missing/read.duckdb")
    checked = shell.run("check", "--to", "duckdb:///warehouse.duckdb", "--snapshot", "warehouse.duckdb")

    assert (2, "") == (ended.exit, ended.stdout)
    assert f"mkdir -p {Path(shell.folder, 'missing')}" in ended.stderr
    assert 2 == checked.exit
    assert "FAIL  snapshot: the snapshot" in checked.stdout
    assert 2 == served.cost()
