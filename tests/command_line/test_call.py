"""`dashly-sync call`: any method of the API, its answer as JSON, and nothing sent that nobody agreed to."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from tests.command_line.conftest import SCRIPT, App, Shell

from dashly_simulator import Simulator, SimulatorSettings, serve
from dashly_sync.call_arguments import call_arguments, call_path

CHANNELS = ("call", "GET", "apps/$self_app/channels")


@pytest.fixture(scope="module")
def served() -> Iterator[App]:
    simulator = Simulator(SimulatorSettings(users=5, conversations=3, auth_token="app.1.s3cr3t+/of&mine"))
    with serve(simulator) as server:
        yield App(simulator, server)


@pytest.fixture
def here(served: App, shell: Shell) -> Iterator[tuple[App, Shell]]:
    """An app, and a shell that knows it."""
    shell.environ |= served.environ
    served.cost()
    yield served, shell
    served.simulator.faults.clear()


def user_of(app: App) -> str:
    return str(next(iter(app.simulator.truth.rows("users")))["id"])


def test_an_answer_is_printed_as_it_came(here: tuple[App, Shell]) -> None:
    """Envelope and all, and on stdout nothing else."""
    app, shell = here
    ended = shell.run("call", "get", "/apps/$self_app/users", "count=2")

    assert 0 == ended.exit
    assert {"status", "next_after"} == ended.json["meta"].keys()
    assert 2 == len(ended.json["data"]["users"])
    assert all(isinstance(user["id"], str) for user in ended.json["data"]["users"])
    assert f"The next page: after={json.loads(ended.stdout, parse_float=str)['meta']['next_after']}\n" == ended.stderr
    assert 1 == app.cost()


def test_a_write_takes_effect_once_it_is_agreed_to(here: tuple[App, Shell]) -> None:
    app, shell = here
    shell.folder.joinpath("params.json").write_text('{"цена": 7,\n "n": null}', encoding="utf-8")
    path = f"users/{user_of(app)}/events"
    ended = shell.run("call", "POST", path, "event=Слон & co", "params:=@params.json", "--yes")
    (event,) = (row for row in app.simulator.truth.rows("events") if row["name"] == "Слон & co")

    assert (0, {"id": event["id"]}, "") == (ended.exit, ended.json["data"], ended.stderr)
    assert '{"цена": 7, "n": null}' == app.simulator.requests.log[-1].params["params"]


def test_a_write_that_nobody_can_be_asked_about_is_not_sent(here: tuple[App, Shell]) -> None:
    app, shell = here
    ended = shell.run("call", "POST", "users/7/events", f"event={'a' * 100}", "by_user_id=true")

    assert (2, "", 0) == (ended.exit, ended.stdout, app.cost())
    assert f"POST {app.server.base_url}/users/7/events with id_as_string=true, event=aaa" in ended.stderr
    assert "…, by_user_id=true. Nobody is there to ask: say --yes" in ended.stderr


def test_what_the_api_refuses_is_said_with_its_reason(here: tuple[App, Shell]) -> None:
    app, shell = here
    refused = shell.run("call", "GET", "users/12345")
    wrong = shell.run("call", "POST", f"users/{user_of(app)}/events", "--yes")

    assert (3, "", 3, "") == (refused.exit, refused.stdout, wrong.exit, wrong.stdout)
    assert "400 LookupError: One of provided ids is not found: user" in refused.stderr
    assert 'fields {"event":["This field is required."]}' in wrong.stderr


def test_a_write_without_an_answer_has_an_exit_code_of_its_own(here: tuple[App, Shell]) -> None:
    """8: whoever repeats what failed must not repeat this."""
    app, shell = here
    app.simulator.faults.queue("cut")
    ended = shell.run("call", "POST", f"users/{user_of(app)}/events", "event=once", "--yes")

    assert (8, "", 1) == (ended.exit, ended.stdout, app.cost())
    assert "It may have taken effect: look in Dashly before you send it again" in ended.stderr
    assert 1 == sum(row["name"] == "once" for row in app.simulator.truth.rows("events"))


def test_the_token_is_shown_nowhere_even_if_the_api_repeats_it(here: tuple[App, Shell]) -> None:
    app, shell = here
    token = app.simulator.settings.auth_token
    user = user_of(app)
    shell.folder.joinpath("token").write_text(token)
    tracked = shell.run("call", "POST", f"users/{user}/events", "event=@token", "--yes")
    echoed = shell.run("call", "GET", f"users/{user}/events", "count=1")
    refused = shell.run("call", "GET", f"users/{user}", DASHLY_AUTH_TOKEN=f"{token}x")

    assert (0, 0, 3) == (tracked.exit, echoed.exit, refused.exit)
    assert "***" == echoed.json["data"][0]["type"]["name"]
    for ended in (tracked, echoed, refused):
        assert "s3cr3t" not in ended.stdout + ended.stderr


@pytest.mark.soak
def test_on_a_terminal_it_asks_and_indents(here: tuple[App, Shell]) -> None:
    app, shell = here
    path = f"users/{user_of(app)}/events"
    declined = on_a_terminal(shell, "n\n", "call", "POST", path, "event=declined")
    agreed = on_a_terminal(shell, "y\n", "call", "POST", path, "event=agreed")
    raw = on_a_terminal(shell, "", *CHANNELS, "--raw")

    assert (0, 0, 0) == (declined[0], agreed[0], raw[0])
    assert "Do it? [y/N]: " in declined[1]
    assert "Nothing was sent." in declined[1]
    assert '{\r\n  "meta": {\r\n    "status": 200' in agreed[1]
    assert '{"meta": {"status": 200}' in raw[1]
    assert ["agreed"] == [row["name"] for row in app.simulator.truth.rows("events") if row["name"].endswith("eed")]


def on_a_terminal(shell: Shell, typed: str, *arguments: str) -> tuple[int, str]:
    """The exit code and everything shown, of a command that has a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [SCRIPT, *arguments], cwd=shell.folder, env=shell.environ, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    os.write(ours, typed.encode())
    shown = b""
    while select.select([ours], [], [], 30)[0]:
        try:
            shown += os.read(ours, 65536)
        except OSError:  # EIO: nobody has the other end any more
            break
    os.close(ours)
    return process.wait(30), shown.decode()


# ---- what is typed


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("", "empty part"),
        ("/", "empty part"),
        ("apps//users", "'/apps/$self_app/users'"),  # what a shell makes of "$self_app"
        ("users/7/", "empty part"),
        ("users/7?count=5", "KEY=VALUE behind it"),
        ("/v1/users/7", "--base-url"),
        ("https://api.example.org/v1/users/7", "--base-url"),
        ("users/../apps", "no path of the API"),
        ("users/7#events", "no path of the API"),
        ("users/a b", "no path of the API"),
    ],
)
def test_a_path_that_is_none_is_refused(written: str, says: str) -> None:
    with pytest.raises(click.UsageError, match="PATH") as raised:
        call_path(written, "$self_app")

    assert says in str(raised.value)


@pytest.mark.parametrize(
    ("written", "expected"),
    [("body=a=b", "a=b"), ("body=", ""), ("body:=[1, 2]", "[1, 2]"), ('body:={"a":"ü"}', '{"a": "ü"}')],
)
def test_an_argument_is_what_httpie_takes_it_for(written: str, expected: str) -> None:
    assert {"id_as_string": "true", "body": expected} == call_arguments([written])


@pytest.mark.parametrize(
    "written",
    [
        *("body", "=a", "bo dy=a", "body:=", "body:={", "body:=@none.json", "body=@none", "body=@.", "body=a\udcff"),
        *("auth_token=a", "AUTH_TOKEN=a", "id_as_string=false"),
    ],
)
def test_an_argument_that_makes_no_sense_is_the_users_mistake(written: str) -> None:
    with pytest.raises(click.UsageError):
        call_arguments(["id_as_string=true", written])


def test_a_file_that_is_no_text_cannot_be_sent(tmp_path: Path) -> None:
    tmp_path.joinpath("picture").write_bytes(b"\xff\xd8")

    with pytest.raises(click.UsageError, match=r"is no text in UTF-8; other files cannot be sent"):
        call_arguments([f"file=@{tmp_path}/picture"])
