"""`dashly-sync run` from outside: exit codes, what is on stdout and stderr, limits, and where the next run goes on."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from tests.command_line.conftest import App, Shell, equals_golden, rows_of
from tests.conftest import Warehouse
from tests.end_to_end.conftest import assert_equal_to_truth

DATA = (
    *("users", "user_props", "events", "event_types", "conversations", "conversation_tags", "parts"),
    *("part_attachments", "admins", "channels"),
)
"""All but `active_users`, which is a sample of the moment."""


def without_times(text: str) -> str:
    """The text with every duration the same."""
    return re.sub(r"\d+(\.\d+)? (s|min)\b", "N s", text)


def test_a_run_says_in_one_sentence_what_it_did_and_the_next_one_costs_four_requests(
    app: Callable[..., App], shell: Shell, warehouse: Warehouse
) -> None:
    """The result is on stdout, stderr stays silent unless something is wrong; `--json` swaps sentence and record."""
    served = app()
    shell.environ |= served.environ

    first = shell.run("run", "--to", warehouse.destination)

    assert (0, "") == (first.exit, first.stderr)
    assert served.floor == served.cost()
    assert_equal_to_truth(served.simulator, warehouse)
    equals_golden("run_finished", without_times(first.stdout))

    second = shell.run("run", "--to", warehouse.destination, "--json")

    assert 0 == second.exit
    assert 4 == served.cost() == second.json["requests"]
    assert "finished" == second.json["outcome"]
    assert {"events": 0, "parts": 0} == second.json["backlog"]
    assert re.fullmatch(r"Done: 4 requests, \d+ rows, .* s; nothing is known to be missing\.\n", second.stderr)
    assert ["finished", "finished"] == [row["outcome"] for row in warehouse.rows("sync_runs")]
    assert_equal_to_truth(served.simulator, warehouse)


def test_a_run_reports_to_nobody_but_the_api_and_the_warehouse(synced: tuple[App, Shell]) -> None:
    """Telemetry of dlt's would write an id into its data directory before it sends anything; there is no such id."""
    _, shell = synced

    assert [] == [file.name for file in shell.home.rglob(".anonymous_id")]
    assert ["warehouse.duckdb"] == [file.name for file in shell.folder.iterdir()]


def test_only_reads_what_is_named_and_the_lists_that_it_needs(app: Callable[..., App], shell: Shell) -> None:
    served, warehouse = app(), shell.warehouse()
    shell.environ |= served.environ

    ended = shell.run("run", "--to", warehouse.destination, "--only", "conversations, parts")

    assert (0, "") == (ended.exit, ended.stderr)
    assert {"conversations", "conversation_tags", "parts", "part_attachments"} <= set(warehouse.tables())
    assert not {"users", "events", "active_users"} & set(warehouse.tables())
    assert {"GET /apps/{id}/conversations", "GET /conversations/{id}/parts"} == set(
        served.simulator.requests.by_endpoint
    )
    truth = {row["id"] for row in served.simulator.truth.rows("parts")}
    assert truth == {row["id"] for row in warehouse.rows("parts", ["id"])}


@pytest.mark.soak
def test_runs_of_twenty_requests_end_with_what_one_run_brings(
    app: Callable[..., App], shell: Shell, synced: tuple[App, Shell]
) -> None:
    """No request is paid twice: all runs together cost what one does."""
    served, warehouse = app(), shell.warehouse()
    shell.environ |= served.environ
    spent: list[int] = []
    sentences: list[str] = []
    while not spent or spent[-1] == 20:
        ended = shell.run("run", "--to", warehouse.destination, "--max-requests", "20")
        assert (0, "") == (ended.exit, ended.stderr)
        spent.append(served.cost())
        sentences.append(ended.stdout)

    assert served.floor == sum(spent)
    assert sentences[0].startswith("Stopped at the request limit: 20 requests, ")
    assert sentences[-1].endswith("; nothing is known to be missing.\n")
    equals_golden("run_request_limit", without_times(sentences[0]))
    at_once = synced[1].warehouse()
    for table in DATA:
        assert rows_of(at_once, table) == rows_of(warehouse, table), table


def test_a_time_limit_ends_the_run_with_what_was_read(app: Callable[..., App], shell: Shell) -> None:
    """Exit 0, and the sentence says what is left."""
    served, warehouse = app(latency_seconds=0.6), shell.warehouse()
    shell.environ |= served.environ

    ended = shell.run("run", "--to", warehouse.destination, "--max-time", "2s")

    assert (0, "") == (ended.exit, ended.stderr)
    assert re.fullmatch(
        r"Stopped at the time limit: \d+ requests, \d+ rows, \S+ s; left for the next run: .*\.\n", ended.stdout
    ), ended.stdout
    assert served.cost() < served.floor
    assert warehouse.count("users") > 0


def test_since_reads_the_recent_part_and_says_that_the_rest_is_missing(app: Callable[..., App], shell: Shell) -> None:
    """A date for a first load that need not go back to the beginning; a later run without it fetches the rest."""
    served, warehouse = app(events_per_user=150.0), shell.warehouse()
    shell.environ |= served.environ

    ended = shell.run("run", "--to", warehouse.destination, "--since", "2026-10-25", "--json")

    recent = {row["id"] for row in served.simulator.truth.rows("events") if f"{row['created_at']:%F}" >= "2026-10-25"}
    held = {row["id"] for row in warehouse.rows("events", ["id"])}
    assert 0 == ended.exit
    assert served.cost() < served.floor
    assert set() == recent - held
    assert ended.json["backlog"]["events"] > 0
    assert "left for the next run: events of" in ended.stderr
