"""`status --html`: one page that needs nothing else, and says what `--json` says."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from tests.command_line.conftest import App, Shell

from dashly_state.budget import RateLimit
from dashly_sync.settings import Settings, resolve_settings
from dashly_sync.status import Status, read_status
from dashly_sync.status_detail import ChildCounts, Detail, ListSpan, read_detail
from dashly_sync.status_page import render_page
from dashly_sync.verdict import Level, judge

HERE = ("--to", "duckdb:///warehouse.duckdb")
LIMIT = RateLimit(60, 60.0)
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
HOSTILE = "<script>alert('1')</script> & \"quoted\" ]]>"


def run(minutes_ago: float, outcome: str = "finished", **values: Any) -> dict[str, Any]:
    began = NOW - timedelta(minutes=minutes_ago)
    ended = None if outcome == "running" else began + timedelta(minutes=1)
    numbers = {"requests": 9, "reread": 0, "records": 100, "waited_seconds": 0.0, "backlog": 0, "error": None}
    return {"started_at": began, "finished_at": ended, "outcome": outcome, **numbers, **values}


def status(runs: list[dict[str, Any]], **backlog: int) -> Status:
    return Status("duckdb:///w.duckdb", [("users", 7, NOW)], backlog, runs, None, NOW)


def parsed(page: str) -> ElementTree.Element:
    """The page as XML, which it is as well."""
    return ElementTree.fromstring(page.partition("\n")[2])  # noqa: S314 - our own


def words(page: str) -> str:
    return " ".join(" ".join(parsed(page).itertext()).split())


@pytest.fixture(scope="module")
def page(synced: tuple[App, Shell]) -> tuple[str, Status, Detail]:
    settings = Settings(destination=f"duckdb:///{synced[1].folder}/warehouse.duckdb", state_dir=synced[1].state)
    found = read_status(settings)
    detail = read_detail(settings, found.read_at)
    return render_page(found, detail, LIMIT), found, detail


def test_the_command_writes_it_beside_what_it_prints(synced: tuple[App, Shell]) -> None:
    app, shell = synced
    app.cost()
    file = shell.folder / "status.html"

    ended = shell.run("status", *HERE, "--json", "--html", file.name)

    assert (0, "", 0) == (ended.exit, ended.stderr, app.cost())
    text = words(file.read_text(encoding="utf-8"))
    assert "Well" in text
    for name, table in ended.json["tables"].items():
        assert name in text
        assert table["rows"] >= 0
    assert f"rows {sum(table['rows'] for table in ended.json['tables'].values()):,} in" in text
    newest = ended.json["runs"][0]
    assert f"{newest['outcome']} {newest['requests']:,} {newest['records']:,} {newest['backlog']:,}" in text
    assert f"of {ended.json['budget']['limit']:,} are used" in text
    assert ended.json["recheck"]["because"] in text
    file.unlink()


def test_it_asks_nothing_of_anywhere(page: tuple[str, Status, Detail]) -> None:
    """No address, no script, no other file; and the browser is told to allow none."""
    text = page[0]

    assert [] == re.findall(r"https?:|url\(|@import|<script|<link|<img|\ssrc=|\shref=|\son\w+=", text)
    assert "default-src 'none'; style-src 'unsafe-inline'" in text


def test_whoever_cannot_see_it_is_told(page: tuple[str, Status, Detail]) -> None:
    root = parsed(page[0])

    assert "en" == root.get("lang")
    assert [] == [
        picture for picture in root.iter("svg") if picture.get("role") != "img" or not picture.get("aria-label")
    ]
    assert len(list(root.iter("svg"))) == 5 + len(page[2].days)
    assert 1 == len(list(root.iter("h1")))


def test_its_pictures_show_the_rows_that_there_are(page: tuple[str, Status, Detail], synced: tuple[App, Shell]) -> None:
    text, found, detail = page
    rows = {name: count for name, count, _ in found.tables}
    truth = synced[0].simulator.truth

    assert sum(one.whole for one in detail.children if one.stream == "events") == len(list(truth.rows("users")))
    assert f"events: {rows['users']:,} whole, 0 missing, 0 gone" in text
    assert {"users", "conversations"} == {span.name for span in detail.lists}
    assert [[], []] == [list(span.gaps) for span in detail.lists]
    assert f"<title>{found.read_at.date()}: {detail.days['events'][-1]:,}</title>" in text
    assert all(sum(counts) <= rows[table] for table, counts in detail.days.items())


def test_what_others_wrote_is_text() -> None:
    runs = [run(5, "failed", error=HOSTILE)]
    hostile = replace(status(runs), destination=HOSTILE, tables=[(HOSTILE, 1, NOW)])
    detail = Detail([ListSpan(HOSTILE, NOW, NOW, [])], [ChildCounts(HOSTILE, 1, 0, 0)])

    text = render_page(hostile, detail, LIMIT)

    assert "<script" not in text
    assert HOSTILE in "".join(parsed(text).itertext())


def test_before_the_first_run_it_says_how_to_start(tmp_path: Path) -> None:
    settings = resolve_settings({"destination": f"duckdb:///{tmp_path}/none.duckdb"})
    found = read_status(settings)

    text = render_page(found, read_detail(settings, found.read_at), LIMIT)

    assert "yet: start with `dashly-sync run`." in words(text)


@pytest.mark.parametrize(
    ("runs", "backlog", "level", "says"),
    [
        ([], {}, Level.EMPTY, "Nothing has been synced into duckdb:///w.duckdb yet"),
        ([run(5)], {}, Level.WELL, "The last run ended 4 min ago, and nothing is known to be missing."),
        ([run(5, "time limit")], {"parts": 1}, Level.BEHIND, "still to be read: the children of 1 parent."),
        ([run(5, "running")], {}, Level.BEHIND, "The last run began 5 min ago, and goes on or was cut off."),
        ([run(5, "failed", error="no")], {}, Level.FAILING, "The last run failed 4 min ago: no"),
        ([run(5, "failed", error="b"), run(9, "failed")], {}, Level.FAILING, "failed 4 min ago, as did 1 before it: b"),
        ([run(15 * n) for n in (1, 2, 3, 4)], {}, Level.WELL, "nothing is known to be missing"),
        ([run(15 * n) for n in (4, 5, 6, 7)], {}, Level.BEHIND, "began 1 h ago; they used to come every 15 min."),
        ([run(15 * n) for n in (4, 5, 6)], {}, Level.WELL, "nothing is known to be missing"),
    ],
)
def test_one_sentence_says_how_it_is(
    runs: list[dict[str, Any]], backlog: dict[str, int], level: Level, says: str
) -> None:
    verdict = judge(status(runs, **backlog))

    assert (level, True) == (verdict.level, says in verdict.sentence), verdict


def test_an_unread_part_of_a_list_is_drawn_and_said() -> None:
    runs = [run(5, "request limit")]
    gap = (NOW - timedelta(days=3), None)
    detail = Detail([ListSpan("users", NOW - timedelta(days=3), NOW, [gap])], [ChildCounts("events", 3, 2, 1)])

    text = render_page(replace(status(runs, events=2), unread=["users"]), detail, LIMIT)

    assert "the children of 2 parents, a part of the list of users" in words(text)
    assert "not read yet, from 2026-10-29 12:00:00 UTC down to the end of the list" in words(text)
    assert ["span gap", "span gap"] == [
        one.get("class") for one in parsed(text).iter("rect") if "gap" in str(one.get("class"))
    ]
