"""`dashly-sync verify`: says what is missing and why, tells it from what the API merely counts, and finds damage."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.conftest import Warehouse, make_warehouse
from tests.end_to_end.conftest import Account

from dashly_sync.cli import cli
from dashly_sync.exits import Exit
from dashly_sync.verify import Finding, Report, Verdict, verify

TINY = {"users": 20, "conversations": 15, "events_per_user": 20.0, "parts_per_conversation": 8.0}


@pytest.fixture(params=["duckdb", pytest.param("postgres", marks=pytest.mark.soak)])
def warehouse(request: pytest.FixtureRequest, tmp_path: Path) -> Warehouse:
    """DuckDB for every change; Postgres too in the soak."""
    return make_warehouse(request, tmp_path)


def found(report: Report, check: str, *verdicts: Verdict) -> list[Finding]:
    """The findings of one check that ended so."""
    return [one for one in report.findings if one.check == check and one.verdict in verdicts]


def bad(report: Report) -> list[tuple[str, Verdict]]:
    """What is not well."""
    return [(one.check, one.verdict) for one in report.findings if one.verdict in (Verdict.WAITING, Verdict.DEFECT)]


def test_all_is_there_after_a_run(account: Callable[..., Account], warehouse: Warehouse) -> None:
    """Costs one request, none offline; the numbers are those of the truth."""
    app = account(**TINY)
    app.sync(warehouse)
    app.cost()

    offline = verify(app.settings(warehouse), offline=True)
    free = app.cost()
    report = verify(app.settings(warehouse))

    assert (0, 1) == (free, app.cost())
    assert ([], Exit.DONE, Exit.DONE) == (bad(report), offline.exit, report.exit)
    parts = found(report, "parts", Verdict.WELL)[0]
    assert len(list(app.simulator.truth.rows("parts"))) == parts.numbers["children"]
    assert {"total": 20, "rows": 20} == found(report, "users", Verdict.WELL)[0].numbers
    assert report.sentence().endswith("everything is there.")


def test_the_backlog_counts_as_missing(account: Callable[..., Account], warehouse: Warehouse) -> None:
    """After a run that was cut off: what waits, in numbers, and that a run brings it."""
    app = account(**TINY)
    record = app.sync(warehouse, max_requests=12)

    report = verify(app.settings(warehouse), offline=True)

    waiting = {one.check: one.numbers for one in report.findings if one.verdict is Verdict.WAITING}
    truth = app.simulator.truth
    assert Exit.INCOMPLETE == report.exit
    assert record.backlog == {name: waiting[name]["parents"] for name in record.backlog if name in waiting}
    assert len(list(truth.rows("parts"))) - warehouse.count("parts") == waiting["parts"]["children"]
    assert "`dashly-sync run` brings it" in report.sentence()


def test_what_the_api_counts_and_does_not_list_is_not_missing(
    account: Callable[..., Account], duckdb_warehouse: Warehouse
) -> None:
    app = account(**TINY, parts_count="with_hidden")
    app.sync(duckdb_warehouse)

    report = verify(app.settings(duckdb_warehouse))

    counted = sum(row["parts_count"] for row in app.simulator.truth.rows("conversations"))
    note = found(report, "parts", Verdict.NOTE)[0]
    assert counted - duckdb_warehouse.count("parts") == note.numbers["children"]
    assert "that it does not list" in note.says
    assert (Exit.DONE, []) == (report.exit, bad(report))


def test_what_the_api_lists_and_does_not_count_is_not_missing(
    account: Callable[..., Account], duckdb_warehouse: Warehouse
) -> None:
    app = account(**TINY, parts_count="without_notes")
    app.sync(duckdb_warehouse)

    report = verify(app.settings(duckdb_warehouse))

    assert "that it does not count" in found(report, "parts", Verdict.NOTE)[0].says
    assert Exit.DONE == report.exit


@pytest.mark.parametrize(
    ("damage", "check", "rows"),
    [
        ("delete from parts where id in (select min(id) from parts where is_first = false)", "parts", 1),
        ("delete from events where id in (select min(id) from events)", "events", 1),
        ("delete from conversations where id in (select min(conversation_id) from parts)", "orphans", None),
        ("insert into users select * from users limit 2", "duplicates", 2),
    ],
)
def test_damage_is_a_defect(
    damage: str, check: str, rows: int | None, loaded: Callable[..., Account], duckdb_warehouse: Warehouse
) -> None:
    """Rows that were read and are gone, rows without their parent, rows twice: exit 6, with numbers and examples."""
    app = loaded(**TINY)
    duckdb_warehouse.sql(damage)

    report = verify(app.settings(duckdb_warehouse), offline=True)

    defect = found(report, check, Verdict.DEFECT)[0]
    assert Exit.INCOMPLETE == report.exit
    assert defect.examples
    if rows is not None:
        assert rows in defect.numbers.values()
    assert "`dashly-sync run --full`" in report.sentence()


@pytest.mark.soak
def test_a_full_run_mends_lost_rows(loaded: Callable[..., Account], duckdb_warehouse: Warehouse) -> None:
    """The mend that the closing sentence names is one."""
    app = loaded(**TINY)
    duckdb_warehouse.sql("delete from parts where id in (select min(id) from parts)")
    duckdb_warehouse.sql("delete from events where id in (select max(id) from events)")

    app.sync(duckdb_warehouse, full=True)

    assert [] == bad(verify(app.settings(duckdb_warehouse)))


def test_parents_that_nothing_is_known_of(loaded: Callable[..., Account], duckdb_warehouse: Warehouse) -> None:
    app = loaded(**TINY)
    duckdb_warehouse.sql("delete from sync_progress where stream = 'parts'")

    report = verify(app.settings(duckdb_warehouse), offline=True)

    unknown = found(report, "parts", Verdict.WAITING)[0]
    assert (15, "without a row in sync_progress" in unknown.says) == (unknown.numbers["parents"], True)


@pytest.mark.soak
def test_life_leaves_nothing_that_looks_like_damage(
    loaded: Callable[..., Account], duckdb_warehouse: Warehouse
) -> None:
    """Merged and erased users, deleted conversations, removed parts: notes at most."""
    app = loaded(**TINY, merged_users="gone")
    users = [row["id"] for row in app.simulator.truth.rows("users")]
    talks = [row["id"] for row in app.simulator.truth.rows("conversations")]
    life = app.simulator.life
    life.merge_users(users[5], into=users[7])
    life.user_visits(users[7], events=2)
    life.delete_user(users[9])
    life.delete_conversation(talks[-1])
    life.remove_part(next(row["id"] for row in app.simulator.truth.rows("parts")))
    app.sync(duckdb_warehouse)

    report = verify(app.settings(duckdb_warehouse))

    assert [] == bad(report)


def test_the_list_has_more_than_is_here(loaded: Callable[..., Account], duckdb_warehouse: Warehouse) -> None:
    app = loaded(**TINY)
    app.simulator.life.user_visits(app.simulator.life.add_user(), events=1)

    report = verify(app.settings(duckdb_warehouse))

    assert {"total": 21, "rows": 20} == found(report, "users", Verdict.WAITING)[0].numbers


def test_an_api_that_does_not_answer_is_a_note(loaded: Callable[..., Account], duckdb_warehouse: Warehouse) -> None:
    """What the warehouse says of itself stands, and the token shows nowhere."""
    settings = replace(loaded(**TINY).settings(duckdb_warehouse), auth_token="app.1.wrong-token")

    report = verify(settings)

    note = found(report, "users", Verdict.NOTE)[0]
    assert (Exit.DONE, True) == (report.exit, "401" in note.says)
    assert "wrong-token" not in json.dumps(report.to_json())


def test_an_empty_warehouse_is_not_complete(account: Callable[..., Account], warehouse: Warehouse) -> None:
    """Also without a token; nothing is made."""
    settings = replace(account(**TINY).settings(warehouse), auth_token="")

    report = verify(settings)

    assert Exit.INCOMPLETE == report.exit
    assert "holds no tables yet. Start with `dashly-sync run`." in report.sentence()


def test_the_command(
    loaded: Callable[..., Account], duckdb_warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line a check and a closing sentence; JSON for programs; the exit code tells."""
    loaded(**TINY)
    monkeypatch.setenv("DASHLY_DESTINATION", duckdb_warehouse.destination)

    ended = CliRunner().invoke(cli, ["verify", "--offline"])
    duckdb_warehouse.sql("delete from parts where id in (select min(id) from parts)")
    broken = CliRunner().invoke(cli, ["verify", "--offline", "--json"])

    assert (0, True) == (ended.exit_code, ended.stdout.rstrip().endswith("everything is there."))
    said: dict[str, Any] = json.loads(broken.stdout)
    assert (6, False) == (broken.exit_code, said["complete"])
    assert "defect" in {check["verdict"] for check in said["checks"]}
