"""What ends a run halfway: it commits what it has, or was killed; either way the next run pays nothing twice."""

from __future__ import annotations

import re
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing

import pytest
from tests.command_line.conftest import App, Shell
from tests.end_to_end.conftest import assert_equal_to_truth

SLOW = {"latency_seconds": 0.25}
HALFWAY = 20


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"])
def test_a_signal_ends_the_run_after_a_clean_commit(
    number: signal.Signals, code: int, app: Callable[..., App], shell: Shell
) -> None:
    """Every answer that has come is in the warehouse, and both runs together cost what one does."""
    served, warehouse = app(**SLOW), shell.warehouse()
    shell.environ |= served.environ
    started = shell.start("run", "--to", warehouse.destination)
    served.wait_for_requests(HALFWAY, started)

    ended = started.send(number)

    spent = served.cost()
    sentence = (
        r"Stopped by a signal, everything read is loaded: (\d+) requests, \d+ rows, .*; left for the next run: .+\.\n"
    )
    said = re.fullmatch(sentence, ended.stdout)
    assert (code, "") == (ended.exit, ended.stderr)
    assert said is not None, ended.stdout
    assert spent == int(said[1]) < served.floor
    assert [("signal", spent)] == [(run["outcome"], run["requests"]) for run in warehouse.rows("sync_runs")]

    if number == signal.SIGTERM:  # once: it is the same code behind both
        after = shell.run("run", "--to", warehouse.destination)

        assert (0, "") == (after.exit, after.stderr)
        assert served.floor == spent + served.cost()
        assert_equal_to_truth(served.simulator, warehouse)


@pytest.mark.soak
def test_a_kill_costs_the_requests_in_flight_at_most(app: Callable[..., App], shell: Shell) -> None:
    """SIGKILL; a run that is started at once goes on from the journal, and the truth comes out."""
    served, warehouse = app(**SLOW), shell.warehouse()
    shell.environ |= served.environ
    started = shell.start("run", "--to", warehouse.destination)
    served.wait_for_requests(HALFWAY, started)

    killed = started.send(signal.SIGKILL)

    in_flight = served.simulator.requests.total - journal_pages(shell)
    assert -signal.SIGKILL == killed.exit
    assert in_flight <= 8

    after = shell.run("run", "--to", warehouse.destination)

    assert (0, "") == (after.exit, after.stderr)
    assert served.cost() <= served.floor + in_flight
    assert_equal_to_truth(served.simulator, warehouse)


def journal_pages(shell: Shell) -> int:
    """How many answers the killed run had written down."""
    total = 0
    for file in shell.state.glob("journal-*.sqlite"):
        with closing(sqlite3.connect(file)) as journal:
            total += journal.execute("select count(*) from pages").fetchone()[0]
    return total


def test_a_second_signal_ends_the_process_at_once(app: Callable[..., App], shell: Shell) -> None:
    """For whoever cannot wait for an answer that takes its time; the next run pays for it again."""
    served = app(latency_seconds=30.0)
    shell.environ |= served.environ
    started = shell.start("run", "--to", "duckdb:///warehouse.duckdb")
    served.wait_for_requests(1, started)
    began = time.monotonic()

    while started.process.poll() is None and time.monotonic() < began + 20:
        started.process.send_signal(signal.SIGINT)
        time.sleep(0.5)

    assert -signal.SIGINT == started.wait().exit
    assert time.monotonic() < began + 20


def test_a_signal_ends_the_waiting_for_the_rate_limit(app: Callable[..., App], shell: Shell) -> None:
    """Within a moment, not when the window opens; what was read is loaded."""
    served, warehouse = app(), shell.warehouse()
    shell.environ |= served.environ | {"DASHLY_RATE_LIMIT": "6/3600"}
    started = shell.start("run", "--to", warehouse.destination)
    served.wait_for_requests(6, started)

    ended = started.send(signal.SIGTERM)

    assert (143, "") == (ended.exit, ended.stderr)
    assert 6 == served.cost()
    assert 20 == warehouse.count("users")
