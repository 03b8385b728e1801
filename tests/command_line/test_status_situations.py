"""What `status` says first: healthy, behind, failing and stuck, each a small warehouse with a history of its own."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as textfile_collector
from tests.command_line.conftest import App, Shell
from tests.command_line.test_alerts import Channel, channel

from dashly_state.clock import VirtualClock
from dashly_sync.aftermath import Aftermath
from dashly_sync.backlog import stands_since
from dashly_sync.metrics import metrics_of
from dashly_sync.settings import Settings
from dashly_sync.status import Status, read_status
from dashly_sync.status_text import is_stale, print_json, print_status

__all__ = ["channel"]

COLUMNS = (
    "run_id, started_at, finished_at, outcome, requests, reread, records, slices, waited_seconds, backlog, error, "
    "_synced_at, _dlt_load_id, _dlt_id"
)
LASTED = 14
"""Minutes that each of the runs took."""


class Place:
    """A warehouse whose last run ended a minute ago, and whose runs can be told otherwise."""

    def __init__(self, file: Path, state_dir: Path) -> None:
        self.settings = Settings(destination=f"duckdb:///{file}", state_dir=state_dir)
        self._file = file
        ((last,),) = self.sql("select max(finished_at) from dashly.sync_runs")
        self.now: datetime = last.astimezone(UTC) + timedelta(minutes=1)

    def sql(self, *statements: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self._file)) as connection:
            for statement in statements[:-1]:
                connection.execute(statement)
            return connection.execute(statements[-1]).fetchall()

    def runs(self, *runs: tuple[float, str, int, str | None]) -> None:
        """Each began so many hours ago, with an outcome, a backlog and an error; nothing else is known of runs."""
        rows = ", ".join(
            f"('{number}', {self.ago(hours)}, {ended}, '{outcome}', 800, 0, 90, 9, 1.0, {left}, "
            f"{'null' if error is None else repr(error)}, {ended}, '', '')"
            for number, (hours, outcome, left, error) in enumerate(runs)
            for ended in [self.ago(hours - LASTED / 60)]
        )
        self.sql("delete from dashly.sync_runs", f"insert into dashly.sync_runs ({COLUMNS}) values {rows}")

    def ago(self, hours: float) -> str:
        """The moment so many hours ago, in SQL."""
        return f"timestamptz '{self.now - timedelta(hours=hours)}'"

    def misses(self, count: int) -> None:
        """So many users have events that are not read."""
        ids = f"select parent_id from dashly.sync_progress where stream = 'events' order by parent_id limit {count}"
        missing = "update dashly.sync_progress set missing_before = '2026-01-01' where stream = 'events'"
        self.sql(f"{missing} and parent_id in ({ids})")

    def status(self) -> Status:
        return read_status(self.settings, VirtualClock(self.now.timestamp()))


@pytest.fixture
def place(synced: tuple[App, Shell], tmp_path: Path) -> Place:
    file = tmp_path / "w.duckdb"
    shutil.copyfile(synced[1].folder / "warehouse.duckdb", file)
    return Place(file, tmp_path / "state")


def said(status: Status, max_age: float | None = None) -> list[str]:
    """The lines of `status` without its tables."""
    out = io.StringIO()
    print_status(status, max_age, out)
    return [line for line in out.getvalue().splitlines() if line[0] not in "╭│├╰"]


def test_healthy(place: Place) -> None:
    first, *_ = said(place.status())

    assert "WELL: The last run ended 1 min ago, and nothing is known to be missing." == first


def test_behind_says_when_it_is_done(place: Place) -> None:
    """Forty lists less every hour, ten left: a quarter of an hour after the last run."""
    place.misses(10)
    place.runs(*((hours, "time limit", round(40 * hours) - 20, None) for hours in (0.75, 1.75, 2.75, 3.75)))

    first, *lines = said(place.status())

    done = (place.now + timedelta(minutes=15)).strftime("%Y-%m-%d %H:%M")
    left = "still to be read: the children of 10 parents"
    assert f"BEHIND: The last run ended 31 min ago; {left}, done about {done} UTC." == first
    assert (
        f"Backlog: events of 10 parents; about 10 requests, done about {done} UTC (as it shrank over the last 4 runs)."
        in lines
    ), lines


def test_failing_says_since_when_and_why(place: Place) -> None:
    error = "users, page {}: no usable answer in 6 attempts"
    place.runs(*((n, "failed", 0, error.format(n)) for n in range(1, 8)), (8, "finished", 0, None))

    first, *lines = said(place.status(), max_age=7200.0)

    assert (
        "FAILING: The last run failed 46 min ago, as did 6 before it: users, page 1: no usable answer in 6 attempts"
        == first
    )
    assert "TOO OLD: the last success is 7 h 46 min ago; --max-age allows 2 h." == lines[0]
    assert "  7 times, last 46 min ago: users, page 1: no usable answer in 6 attempts" in lines


def test_a_backlog_that_never_shrinks_is_stuck(place: Place) -> None:
    """Two days of runs that had all the time they were given; the lists were read whole before."""
    place.misses(10)
    place.runs(*((n, "time limit", 10 + n % 24, None) for n in range(1, 60)))

    first, *lines = said(place.status())

    assert first.startswith("STUCK: Runs end well, but the backlog does not shrink: 10 lists are still to be read, no ")
    (outlook,) = (line for line in lines if line.startswith("Backlog: "))
    assert "about 10 requests, no end in sight (it has not shrunk for 1 d 2" in outlook


@pytest.mark.parametrize(
    "runs",
    [
        [(n, "time limit", 40 + n) for n in range(1, 60)],
        [(n, "time limit", 10 * abs(12 - n % 24)) for n in range(1, 60)],
        [(n, "finished", 10) for n in range(1, 60)],
        [(n, "time limit", 10) for n in range(1, 20)],
    ],
    ids=["it shrinks slowly", "a busy day and a quiet night", "left out on purpose", "not for long enough"],
)
def test_no_false_alarm_for_a_backlog(runs: list[tuple[float, str, int]]) -> None:
    now = datetime(2026, 11, 1, tzinfo=UTC)
    told = [
        {"started_at": now - timedelta(hours=hours), "outcome": outcome, "backlog": left}
        for hours, outcome, left in runs
    ]

    assert stands_since(told, now - timedelta(days=30), now) is None


def test_records_that_stand_still_are_stuck(place: Place) -> None:
    """Something every hour for four weeks, then nothing for a day, though parents were asked."""
    place.sql(
        "delete from dashly.parts",
        "insert into dashly.parts (id, conversation_id, created_at, _synced_at) "
        f"select range::text, '1', range, range "
        f"from range({place.ago(27 * 24)}, {place.ago(24)}, interval 1 hour)",
        f"update dashly.sync_progress set checked_at = {place.ago(0)} where stream = 'parts'",
    )
    place.runs((0.5, "finished", 0, None), (1.5, "finished", 0, None))

    first, *_ = said(place.status())

    assert first.startswith("STUCK: Runs end well, but nothing new has come into parts for 1 d"), first
    assert first.endswith("the longest pause of the four weeks before was under 2 h.")


def test_whoever_is_on_call_is_told_that_it_is_stuck_and_that_it_moves_again(place: Place, channel: Channel) -> None:
    settings = replace(place.settings, webhook=channel.url, metrics_file=place.settings.state_dir)

    def follow() -> list[str]:
        return Aftermath(settings, clock=VirtualClock(place.now.timestamp())).follow()

    place.misses(10)
    place.runs(*((n, "time limit", 10, None) for n in range(1, 60)))
    (notice,) = follow()
    follow()
    place.runs((1, "finished", 0, None))
    follow()

    assert ["stuck", "moving"] == channel.events
    assert "STUCK" not in channel.received[0]["text"]
    assert "the backlog does not shrink: 10 lists" in channel.received[0]["sentence"]
    assert notice.startswith("no metrics: ")


def test_json_says_the_same_and_a_run_that_goes_on_is_fresh_by_its_last_load(place: Place) -> None:
    place.runs((9, "running", 5, None), (10, "failed", 0, "no access"))
    status, out = place.status(), io.StringIO()
    loaded = place.now - timedelta(hours=9) + timedelta(minutes=LASTED)

    print_json(status, 8 * 3600.0, out)

    found = json.loads(out.getvalue())
    assert loaded == status.fresh_at
    assert (True, False) == (is_stale(status, 8 * 3600.0), is_stale(status, 9 * 3600.0))
    assert ("behind", True) == (found["level"], "goes on or was cut off" in found["sentence"])
    assert {"seconds": 8 * 3600.0, "exceeded": True} == found["max_age"]
    assert [("no access", 1)] == [(one["error"], one["times"]) for one in found["errors"]]


def test_the_metrics_are_what_both_parsers_read(place: Place) -> None:
    """OpenMetrics as its own parser has it, and the older text that node_exporter's textfile collector reads."""
    place.misses(10)
    place.runs((1, "time limit", 10, None), (2, "finished", 0, None))
    status = place.status()

    text = metrics_of(status, place.settings)

    assert text.endswith("\n# EOF\n")
    found = {family.name: family for family in open_metrics(text)}
    again = {family.name: family for family in textfile_collector(text)}
    assert found.keys() == again.keys()
    assert {"gauge"} == {family.type for family in (*found.values(), *again.values())}
    level = {sample.labels["level"]: sample.value for sample in found["dashly_sync_level"].samples}
    assert {"well": 0, "behind": 1, "failing": 0, "stuck": 0, "empty": 0} == level
    (success,) = found["dashly_sync_last_success_timestamp_seconds"].samples
    assert status.last_success is not None
    assert pytest.approx(status.last_success.timestamp()) == success.value
    waiting = {sample.labels["stream"]: sample.value for sample in found["dashly_sync_backlog_lists"].samples}
    assert 10 == waiting["events"]
    assert all({"destination", "dataset", "app"} <= set(s.labels) for one in found.values() for s in one.samples)
    rows = {sample.labels["table"]: sample.value for sample in found["dashly_sync_table_rows"].samples}
    assert {name: rows for name, rows, _ in status.tables} == rows
