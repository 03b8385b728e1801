"""`push` at the command line: what it says, what it asks, and how it ends."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable

import pytest
from tests.command_line.conftest import App, Shell

USERS = 4


@pytest.fixture
def served(app: Callable[..., App], shell: Shell) -> App:
    """An app whose users are in the table `scores` of the shell's warehouse."""
    found = app(users=USERS, conversations=0)
    shell.environ |= {**found.environ, "DASHLY_DESTINATION": "duckdb:///warehouse.duckdb"}
    warehouse = shell.warehouse()
    warehouse.sql("create table scores (id text, plan text, health integer)")
    for row in found.simulator.truth.rows("users"):
        warehouse.sql(f"insert into scores values ('{row['id']}', 'pro', 7)")
    return found


@pytest.mark.soak
def test_a_dry_run_shows_what_would_change_and_costs_nothing(served: App, shell: Shell) -> None:
    shown = shell.run("push", "props", "--table", "scores", "--id", "id", "--limit", "2", "--dry-run", "--diff")

    assert (0, "") == (shown.exit, shown.stderr)
    *changes, sentence = shown.stdout.splitlines()
    assert 2 == len(changes)
    assert all(re.fullmatch(r"\d+  health: 7, plan: pro", change) for change in changes), changes
    assert "Push 'props scores' would send the properties of 2 rows: 2 requests. Nothing was sent." == sentence
    assert 0 == served.cost()


@pytest.mark.soak  # without the command: tests/end_to_end/test_push.py
@pytest.mark.usefixtures("served")
def test_bad_rows_end_in_the_table_with_a_reason_and_the_exit_is_well(shell: Shell) -> None:
    shell.warehouse().sql("insert into scores values (null, 'pro', 1), ('77', 'pro', 1)")

    ended = shell.run("push", "props", "--table", "scores", "--id", "id", "--json")

    assert 0 == ended.exit, ended.stderr
    numbers = ended.json
    assert (USERS, 1, 1, USERS + 1) == tuple(numbers[key] for key in ("sent", "refused", "unsendable", "requests"))
    assert "push_dead_letters; dashly-sync push props --name 'props scores' --retry sends them again" in ended.stderr
    letters = shell.warehouse().rows("push_dead_letters", ["status", "reason"], "status")
    assert ["refused", "unsendable"] == [letter["status"] for letter in letters]
    assert "the id is NULL" == letters[1]["reason"]


def test_messages_are_asked_about_and_a_script_says_yes(served: App, shell: Shell) -> None:
    command = ("push", "messages", "--query", "select id, 'Hi' as body from scores", "--id", "id", "--key", "id")

    asked = shell.run(*command)
    assert (2, "") == (asked.exit, asked.stdout)
    assert f"would send a message for each of {USERS} rows: {USERS} requests. Nobody is there to ask" in asked.stderr
    assert 0 == served.cost()

    sent = shell.run(*command, "--yes")
    assert (0, USERS) == (sent.exit, served.cost()), sent.stderr
    assert re.fullmatch(rf"Done: {USERS} rows sent in {USERS} requests, .* s\.", sent.last_line)


@pytest.mark.soak
@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--id", "id"], "Say --query or --table"),
        (["--table", "scores"], "Say --id COLUMN"),
        (["--table", "scores", "--id", "uid"], "no column 'uid'"),
        (["--table", "scores", "--id", "id", "--map", "plan"], "COLUMN=KEY"),
        (["--table", "scores", "--query", "select 1", "--id", "id"], "give one of them"),
        (["--query", "delete from scores", "--id", "id"], "only reads"),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_is_sent(
    served: App, shell: Shell, words: list[str], reason: str
) -> None:
    ended = shell.run("push", "props", *words)

    assert (2, "") == (ended.exit, ended.stdout)
    assert reason in ended.stderr
    assert 0 == served.cost()


@pytest.mark.soak
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"])
def test_a_signal_ends_it_after_the_call_under_way(
    number: signal.Signals, code: int, app: Callable[..., App], shell: Shell
) -> None:
    """What was answered is written down: the next push sends the rest, and nothing is uncertain."""
    served = app(users=10, conversations=0, latency_seconds=0.3)
    shell.environ |= {**served.environ, "DASHLY_DESTINATION": "duckdb:///warehouse.duckdb"}
    shell.warehouse().sql("create table scores (id text, plan text)")
    for row in served.simulator.truth.rows("users"):
        shell.warehouse().sql(f"insert into scores values ('{row['id']}', 'pro')")
    command = (
        "push",
        "events",
        "--query",
        "select id, 'Paid' as event, '2026-01-02' as created from scores",
        "--id",
        "id",
    )
    started = shell.start(*command)
    served.wait_for_requests(3, started)

    stopped = started.send(number)

    spent = served.cost()
    assert code == stopped.exit, stopped.stderr
    assert f"Stopped by a signal: {spent} rows sent in {spent} requests" in stopped.stdout
    rest = shell.run(*command)
    assert (0, 10 - spent) == (rest.exit, served.cost())
    assert "uncertain" not in rest.stdout
