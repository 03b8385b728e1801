"""`dashly-sync status`: what the warehouse holds, without a request."""

from __future__ import annotations

import re

import pytest
from tests.command_line.conftest import App, Shell, equals_golden

HERE = ("--to", "duckdb:///warehouse.duckdb")


def test_before_the_first_run_it_says_how_to_start(shell: Shell) -> None:
    """Without a token, without a warehouse: exit 0, and nothing is made."""
    ended = shell.run("status", *HERE)

    sentence = "EMPTY: Nothing has been synced into duckdb:///warehouse.duckdb yet: start with `dashly-sync run`."
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
    text = re.sub(r"run ended \d.*? ago", "run ended N s ago", text)
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


@pytest.mark.soak
def test_status_of_a_postgres(synced: tuple[App, Shell], shell: Shell, postgres_uri: str) -> None:
    """The same sentence, table for table the same rows, and the same metrics."""
    app, on_duckdb = synced
    shell.environ |= {**app.environ, "DASHLY_DESTINATION": postgres_uri}

    run = shell.run("run", "--metrics-file", "m.prom")
    ended = shell.run("status", "--json", "--max-age", "2h", "--openmetrics", "again.prom")

    tables = on_duckdb.run("status", *HERE, "--json").json["tables"]
    assert (0, "", 0, "") == (run.exit, run.stderr, ended.exit, ended.stderr)
    assert "well" == ended.json["level"]
    assert {"seconds": 7200.0, "exceeded": False} == ended.json["max_age"]
    for name in ("users", "events", "parts"):
        assert tables[name]["rows"] == ended.json["tables"][name]["rows"]
    by_run, by_status = ((shell.folder / name).read_text().splitlines() for name in ("m.prom", "again.prom"))
    assert len(by_run) == len(by_status)
