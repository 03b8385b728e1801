"""`dashly-sync simulator`: a server to try everything against."""

from __future__ import annotations

import re
import signal

import pytest
import requests
from tests.command_line.conftest import Shell, Started

SMALL = ("simulator", "--users", "5", "--conversations", "3", "--port", "0")


def exports(started: Started) -> dict[str, str]:
    """What the two lines say that a user pastes into a shell."""
    assert started.process.stdout is not None
    lines = [started.process.stdout.readline() for _ in range(2)]
    found = [re.fullmatch(r"export (\w+)=(\S+)\n", line) for line in lines]
    return {line[1]: line[2] for line in found if line is not None}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_it_says_what_to_export_serves_and_ends_well(number: signal.Signals, shell: Shell) -> None:
    """The exports are all that a command needs; the closing sentence counts the requests."""
    started = shell.start(*SMALL)
    environ = exports(started)
    status = requests.get(
        f"{environ['DASHLY_BASE_URL']}/apps/$self_app/users", {"auth_token": environ["DASHLY_AUTH_TOKEN"]}, timeout=30
    ).status_code

    ended = started.send(number)

    assert 200 == status
    assert (0, "Served 1 requests.", "Serving; Ctrl-C ends it.\n") == (ended.exit, ended.last_line, ended.stderr)


@pytest.mark.parametrize("flag", [("--rate-limit", "sixty"), ("--users", "-1"), ("--users-dialect", "none")])
def test_a_choice_that_makes_no_sense_is_refused(flag: tuple[str, str], shell: Shell) -> None:
    ended = shell.run("simulator", *flag)

    assert (2, "") == (ended.exit, ended.stdout)
    assert "Traceback" not in ended.stderr


def test_a_port_that_is_taken_is_refused(shell: Shell) -> None:
    started = shell.start(*SMALL)
    port = exports(started)["DASHLY_BASE_URL"].removesuffix("/v1").rpartition(":")[2]

    ended = shell.run("simulator", "--port", port)

    assert (2, "") == (ended.exit, ended.stdout)
    assert f"--port {port}: Address already in use" in ended.stderr
    assert 0 == started.send(signal.SIGTERM).exit
