"""Who is on call is told what begins, what ends, and nothing twice; and the webhook's address stays a secret."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from tests.command_line.conftest import App, Shell

from dashly.errors import ApiUnavailable
from dashly_state.clock import VirtualClock
from dashly_state.errors import RunLockHeld
from dashly_sync.aftermath import Aftermath
from dashly_sync.alerts import DAY, Ended, Told, delivered, doubling, due, note
from dashly_sync.settings import Settings

HOUR = 3600.0
SECRET = "/services/T0SECRET/B0SECRET/XSECRETX"


@dataclass
class Channel:
    """A webhook's receiver on localhost.

    Attributes:
        answer: The status that it answers with.
        received: What was posted, as JSON.
    """

    server: ThreadingHTTPServer
    answer: int = 200
    received: list[dict[str, Any]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}{SECRET}"

    @property
    def events(self) -> list[str]:
        return [one["event"] for one in self.received]


@pytest.fixture
def channel() -> Iterator[Channel]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if opened.answer == 200:
                opened.received.append(json.loads(body))
            self.send_response(opened.answer)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        opened = Channel(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield opened
        server.shutdown()


def told_of(*ends: Ended) -> list[list[str]]:
    """What is told at each end, when everything can be delivered."""
    told, events = Told(), []
    for ended in ends:
        told = note(told, ended)
        events.append([alert.event for alert in due(told, ended)])
        told = delivered(told, ended, events[-1])
    return events


def failed(at: float, kind: str = "AccessError") -> Ended:
    return Ended(at, f"{kind} at {at}", kind)


@pytest.mark.parametrize(
    ("ends", "events"),
    [
        ([Ended(0)], [[]]),
        ([failed(0), failed(HOUR)], [["failed"], []]),
        ([failed(0), failed(HOUR, "DiskFull"), failed(2 * HOUR)], [["failed"], ["failed"], []]),
        ([failed(0), failed(DAY - 1), failed(DAY)], [["failed"], [], ["failed"]]),
        ([failed(0), Ended(HOUR), Ended(2 * HOUR)], [["failed"], ["recovered"], []]),
        ([failed(0), Ended(HOUR), failed(2 * HOUR)], [["failed"], ["recovered"], ["failed"]]),
        ([Ended(0, stuck="it"), Ended(HOUR, stuck="it"), Ended(DAY, stuck="it")], [["stuck"], [], ["stuck"]]),
        ([Ended(0, stuck="it"), Ended(1), Ended(2, stuck=""), Ended(3, stuck="")], [["stuck"], [], ["moving"], []]),
        ([Ended(0, doubled="it"), Ended(HOUR, doubled="it")], [["requests_doubled"], []]),
    ],
)
def test_what_is_told_when(ends: list[Ended], events: list[list[str]]) -> None:
    assert events == told_of(*ends)


def test_what_could_not_be_told_is_due_again() -> None:
    told = delivered(note(Told(), failed(0)), failed(0), [])
    later = failed(HOUR)

    assert ["failed"] == [alert.event for alert in due(note(told, later), later)]


def runs(*requests: int, reread: int = 0, outcome: str = "finished") -> list[dict[str, Any]]:
    """A run at the same time of each day, newest first; only the newest reads again, and may not finish."""
    now = datetime(2026, 11, 20, 3, tzinfo=UTC)
    return [
        {
            "started_at": now - timedelta(days=n),
            "outcome": outcome,
            "requests": count,
            "reread": reread if n == 0 else 0,
        }
        for n, count in enumerate(requests)
    ]


@pytest.mark.parametrize(
    ("history", "is_doubled"),
    [
        (runs(300, *[100] * 7), True),
        (runs(190, *[100] * 7), False),
        (runs(40, *[4] * 7), False),
        (runs(300, *[100] * 5), False),
        (runs(300, *[100] * 7, reread=200), False),
        (runs(300, *[100] * 7, outcome="failed"), False),
        (runs(300), False),
    ],
    ids=["thrice", "not twice", "few", "too little known", "reading again", "failed", "the first"],
)
def test_requests_double_against_runs_like_it(history: list[dict[str, Any]], is_doubled: bool) -> None:
    assert is_doubled == bool(doubling(history))


def test_a_morning_is_not_compared_with_the_night() -> None:
    """Runs every hour; between 9 and 17 they need five times as many requests."""
    now = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
    starts = [now - timedelta(hours=n) for n in range(14 * 24)]
    busy = [
        {"started_at": at, "outcome": "finished", "requests": 200 if 9 <= at.hour < 17 else 40, "reread": 0}
        for at in starts
    ]

    assert "" == doubling(busy)
    assert "40 runs like it sent 200" in doubling([{**busy[0], "requests": 900}, *busy[1:]])


def test_a_failure_before_anything_could_be_written_is_told_once_and_so_is_its_end(
    channel: Channel, tmp_path: Path
) -> None:
    """The memory is a file in the state directory, for nobody else to read."""
    settings = Settings(
        auth_token="app.1.token",
        destination=f"duckdb:///{tmp_path}/w.duckdb",
        state_dir=tmp_path / "state",
        webhook=channel.url,
    )
    clock = VirtualClock()

    def follow(error: Exception | None = None) -> list[str]:
        clock.advance(HOUR)
        return Aftermath(settings, clock=clock).follow(error)

    channel.answer = 500
    assert ["the webhook was not told that failed: it answered 500; the next run tries again"] == follow(
        ApiUnavailable("users: no answer")
    )
    channel.answer = 200
    assert [] == follow(ApiUnavailable("<!channel> no answer, app.1.token"))
    assert [] == follow(RunLockHeld("another", "wait"))
    assert [] == follow(ApiUnavailable("conversations: no answer"))
    assert [] == follow()

    assert ["failed", "recovered"] == channel.events
    failure, recovered = channel.received
    place = f"✗ dashly-sync (duckdb:///{tmp_path}/w.duckdb, dashly)"
    assert f"{place}: The run failed, the 2. time in a row: " in failure["text"]
    assert "&lt;!channel&gt; no answer, ***" in failure["text"]
    assert 2 == failure["failed_runs"]
    assert "Well again after 4 h, in which 3 runs failed." == recovered["sentence"]
    (memory,) = (tmp_path / "state").glob("alerts-*.json")
    assert 0o600 == memory.stat().st_mode & 0o777
    assert "SECRET" not in memory.read_text()


def test_a_run_that_never_began_tells_everybody_in_their_own_way(channel: Channel, shell: Shell) -> None:
    """JSON lines and nothing else on stderr, metrics that keep the last success, the webhook; exit 4 all the same."""
    shell.environ |= {"DASHLY_AUTH_TOKEN": "app.1.token", "DASHLY_WEBHOOK_URL": channel.url}

    nowhere = ("--to", "postgresql://me:hidden@127.0.0.1:1/none")
    ended = shell.run("run", *nowhere, "-vv", "--log-format", "json", "--metrics-file", "m.prom")

    assert (4, "") == (ended.exit, ended.stdout)
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert all(line["time"].endswith("Z") and line["level"] and line["message"] for line in lines)
    assert ("failed", 4) == (lines[-1]["event"], lines[-1]["exit"])
    assert ["failed"] == channel.events
    assert "SECRET" not in ended.stderr
    assert "hidden" not in ended.stderr + json.dumps(channel.received)
    families = {one.name: one for one in text_string_to_metric_families((shell.folder / "m.prom").read_text())}
    assert {"failing": 1.0} == {s.labels["level"]: s.value for s in families["dashly_sync_level"].samples if s.value}


@pytest.mark.soak
def test_a_run_that_fails_and_one_that_is_well(channel: Channel, shell: Shell, synced: tuple[App, Shell]) -> None:
    """Settings that make no sense are told of, too, under the same name; a message holds neither token nor address."""
    app, _ = synced
    shell.environ |= {**app.environ, "DASHLY_WEBHOOK_URL": channel.url}
    here = ("run", "--to", "duckdb:///w.duckdb", "--log-format", "json")

    exits = [
        shell.run(*here, "--rate-limit", "x").exit,
        shell.run(*here, "-vv", DASHLY_AUTH_TOKEN="app.1.wrong").exit,
        shell.run(*here[:3], DASHLY_AUTH_TOKEN="app.1.wrong").exit,
    ]
    failing = shell.run("status", "--to", "duckdb:///w.duckdb")
    well = shell.run(*here, "--metrics-file", "m.prom")

    assert [2, 3, 3] == exits
    assert failing.stdout.startswith("FAILING: The last run failed ")
    assert "ago, as did 2 before it: users (" in failing.stdout.partition("\n")[0]
    assert (0, ["failed", "failed", "recovered"]) == (well.exit, channel.events)
    (line,) = map(json.loads, well.stderr.splitlines())
    assert ("run_ended", "finished", 0) == (line["event"], line["outcome"], line["backlog"])
    assert line["requests"] > 0
    assert line["message"] == well.last_line
    assert "wrong" not in json.dumps(channel.received)
