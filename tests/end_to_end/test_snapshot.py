"""`--snapshot`: a notebook that keeps the copy open and the sync that publishes it never meet."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.conftest import Warehouse
from tests.promises.conftest import VirtualApp

from dashly_state.clock import VirtualClock
from dashly_sync.publishing import EVERY_SECONDS, Publisher
from dashly_sync.run import Run, RunLimits
from dashly_sync.settings import Settings
from dashly_sync.signals import StopSignal
from dashly_warehouse.errors import DestinationConfigError

NOTEBOOK = """
import sys, threading, duckdb
look = "select count(*) from dashly.conversation_metrics"
connection, seen, ends = duckdb.connect(sys.argv[1], read_only=True), set(), threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), ends.set())).start()
print(connection.execute(look).fetchall()[0][0], flush=True)
while not ends.wait(0.01):
    seen.add(connection.execute(look).fetchall()[0][0])
print(sorted(seen), flush=True)
"""


class Notebook:
    """A process of its own that keeps the copy open and asks it again and again, through a view."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self._process = process
        self.first = int(process.stdout.readline())

    def close(self) -> str:
        """Everything that it has seen since."""
        return self._process.communicate("\n", timeout=60)[0].strip()


@contextmanager
def notebook(file: Path) -> Iterator[Notebook]:
    command = [sys.executable, "-c", NOTEBOOK, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Notebook(process)
        finally:
            process.kill()


@pytest.fixture
def app(duckdb_warehouse: Warehouse, tmp_path: Path) -> VirtualApp:
    made = VirtualApp(duckdb_warehouse, tmp_path / "state", users=6, conversations=5, events_per_user=2.0)
    made.settings = replace(made.settings, snapshot=tmp_path / "read.duckdb")
    return made


def test_a_notebook_reads_on_while_a_run_loads_and_publishes(app: VirtualApp, tmp_path: Path) -> None:
    app.sync()
    with notebook(tmp_path / "read.duckdb") as opened:
        assert 5 == opened.first
        app.simulator.life.start_conversation(app.simulator.life.add_user())

        record, _ = app.sync()

        assert ("finished", []) == (record.outcome, record.notices)
        with notebook(tmp_path / "read.duckdb") as opened_later:
            assert 6 == opened_later.first
        assert "[5]" == opened.close()


def test_a_copy_that_cannot_be_made_fails_no_run(app: VirtualApp, tmp_path: Path) -> None:
    """The rows are what counts. The next run makes it good."""
    in_the_way = tmp_path / ".read.duckdb.partial"
    in_the_way.mkdir()

    record, _ = app.sync()
    in_the_way.rmdir()
    record_later, _ = app.sync()

    assert ["finished", "finished"] == [record.outcome, record_later.outcome]
    assert [f"no new snapshot {tmp_path}/read.duckdb: Is a directory; there is none yet. The rows are loaded, "] == [
        notice.removesuffix("the next run tries again") for notice in record.notices
    ]
    assert [] == record_later.notices
    assert (tmp_path / "read.duckdb").exists()


def test_what_can_never_be_a_copy_is_refused_before_a_request_is_made(app: VirtualApp, tmp_path: Path) -> None:
    app.settings = replace(app.settings, snapshot=tmp_path / "missing" / "read.duckdb")

    with pytest.raises(DestinationConfigError, match=f"mkdir -p {tmp_path}/missing"):
        Run(app.settings, RunLimits(()), StopSignal())

    assert 0 == app.simulator.requests.total


def test_a_long_run_publishes_now_and_then(duckdb_warehouse: Warehouse, tmp_path: Path) -> None:
    """The first copy of all at once, then every ten minutes, and after the last load."""
    duckdb_warehouse.sql("create table users as select 1 as id")
    file, clock = tmp_path / "read.duckdb", VirtualClock()
    publisher = Publisher(Settings(destination=duckdb_warehouse.destination, snapshot=file), clock)
    published = []
    for seconds, is_last in ((60, False), (60, False), (EVERY_SECONDS - 60, False), (60, False), (60, True)):
        before = file.stat().st_ino if file.exists() else None
        clock.advance(seconds)
        assert [] == publisher.after_load(is_last=is_last)
        published.append(file.stat().st_ino != before)

    assert [True, False, True, False, True] == published
