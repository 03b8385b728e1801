"""`dashly-sync status`: what the warehouse holds, without a request."""

from __future__ import annotations

import re

from tests.command_line.conftest import App, Shell, equals_golden

HERE = ("--to", "duckdb:///warehouse.duckdb")


def test_before_the_first_run_it_says_how_to_start(shell: Shell) -> None:
    """Without a token, without a warehouse: exit 0, and nothing is made."""
    ended = shell.run("status", *HERE)

    sentence = "No finished run in duckdb:///warehouse.duckdb yet: start one with `dashly-sync run`."
    assert (0, f"{sentence}\n", "") == (ended.exit, ended.stdout, ended.stderr)
    assert [] == list(shell.folder.iterdir())


def test_after_a_run_it_shows_tables_runs_and_budget(synced: tuple[App, Shell]) -> None:
    app, shell = synced
    app.cost()

    ended = shell.run("status", *HERE)

    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "YYYY-MM-DD hh:mm:ss", ended.stdout)
    text = re.sub(r"\d+(\.\d+)? (s|min \d+ s|min) ago", "N s ago", text)
    text = re.sub(r"\b(a few|\d+) (seconds?|minutes?) ago( *)", lambda found: "N ago".ljust(len(found[0])), text)
    text = re.sub(r"check is \d.*? old", "check is N s old", text)
    text = re.sub(r"budget: \d+ of", "budget: N of", text)
    assert (0, "", 0) == (ended.exit, ended.stderr, app.cost())
    equals_golden("status", re.sub(r"[─ ]+(?=[│╮╯┤┬┼┴])", " ", text))


def test_without_a_share_for_reading_again_it_says_never(synced: tuple[App, Shell]) -> None:
    _, shell = synced

    ended = shell.run("status", *HERE, "--reconcile-share", "0", "--json")

    assert (0, "") == (ended.exit, ended.stderr)
    assert ended.json["recheck"]["bound_seconds"] is ended.json["recheck"]["bound_days"] is None
    assert "never: --reconcile-share is 0" == ended.json["recheck"]["because"]


def test_status_as_json(synced: tuple[App, Shell]) -> None:
    app, shell = synced

    ended = shell.run("status", *HERE, "--json")

    found = ended.json
    assert (0, "") == (ended.exit, ended.stderr)
    assert app.simulator.settings.users == found["tables"]["users"]["rows"]
    assert {} == found["backlog"]
    assert ["finished"] == [run["outcome"] for run in found["runs"]]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", found["last_success_at"])
    assert found["recheck"]["bound_seconds"] / 86_400 <= found["recheck"]["bound_days"] <= 2.01
    assert found["recheck"]["oldest_checked_at"].endswith("Z")
    assert int(app.environ["DASHLY_RATE_LIMIT"].partition("/")[0]) == found["budget"]["limit"]
