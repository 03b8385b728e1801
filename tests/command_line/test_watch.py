"""What a run says while it is at work: a line every half minute, as text or JSON, and what it waits for."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import threading
import time
from pathlib import Path

from dashly_state.budget import Lease, RateLimit, RequestBudget
from dashly_state.clock import VirtualClock
from dashly_state.waits import OTHER_REQUESTS, RATE_LIMITED, Wait, Waits
from dashly_sync.talk import JSON, JsonHandler, Talk
from dashly_sync.watch import RunWatch, watching

LIMIT = RateLimit(60, 60.0)


def test_a_line_says_what_it_waits_for_when_it_is_long() -> None:
    clock = VirtualClock()
    watch = RunWatch(LIMIT, Waits(clock))

    with watch.waits.during("for a reader of the DuckDB file"):
        clock.advance(4.0)
        short = watch.sentence()
        clock.advance(8.0)
        long, numbers = watch.sentence(), watch.numbers()

    assert "0 requests, 0 rows" == short == watch.sentence()
    assert "0 requests, 0 rows; waiting for a reader of the DuckDB file, 12 s so far" == long
    assert (12.0, "for a reader of the DuckDB file") == (numbers["waited_seconds"], numbers["wait_cause"])
    assert (0.0, None) == (watch.numbers()["waited_seconds"], watch.numbers()["wait_cause"])


def cause_of_waiting(budget: RequestBudget) -> Wait | None:
    """What the budget says of a thread that waits for a place, in real time."""
    stop, found = threading.Event(), None
    thread = threading.Thread(target=budget.acquire, args=[stop])
    thread.start()
    end = time.monotonic() + 5.0
    while found is None and time.monotonic() < end and thread.is_alive():
        found = budget.waits.longest()
        if found is None and time.monotonic() > end - 4.5:
            break
        time.sleep(0.02)
    stop.set()
    thread.join()
    return found


def test_the_budget_says_why_it_waits(tmp_path: Path) -> None:
    """Its own pace is no cause; a 429 is, and what another process has sent."""
    with RequestBudget(tmp_path / "own.sqlite", "token", RateLimit(2, 60.0)) as budget:
        leases = [budget.acquire(), budget.acquire()]
        assert all(isinstance(lease, Lease) for lease in leases)
        assert cause_of_waiting(budget) is None
        budget.close_for(30.0)
        found = cause_of_waiting(budget)
        assert found is not None
        assert RATE_LIMITED == found.cause

    program = (
        "import sys; from pathlib import Path; from dashly_state.budget import RateLimit, RequestBudget; "
        "RequestBudget(Path(sys.argv[1]), 'token', RateLimit(2, 60.0)).acquire().release()"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "shared.sqlite")], check=True)
    with RequestBudget(tmp_path / "shared.sqlite", "token", RateLimit(2, 60.0)) as budget:
        budget.acquire()
        found = cause_of_waiting(budget)
    assert found is not None
    assert OTHER_REQUESTS == found.cause


def test_progress_as_json_is_one_object_a_line() -> None:
    """So are the records of libraries, whatever formatter they give the handler, and without a token."""
    stream = io.StringIO()
    talk = Talk(JSON, "shop", stream)
    handler = JsonHandler(stream)
    handler.setFormatter(logging.Formatter("%(name)s: no JSON"))

    with watching(RunWatch(LIMIT), talk, line_every_seconds=0.01):
        time.sleep(0.05)
    handler.emit(logging.LogRecord("dlt", logging.WARNING, "", 0, "auth_token=%s", ("app.1.secret",), None))

    *progress, log = map(json.loads, stream.getvalue().splitlines())
    first = progress[0]
    assert ("progress", "shop", "info") == (first["event"], first["app"], first["level"])
    assert {"requests", "rows", "backlog", "seconds_left", "waited_seconds", "wait_cause"} <= first.keys()
    assert ("log", "dlt", "warning", "auth_token=***") == (log["event"], log["logger"], log["level"], log["message"])


def test_progress_as_text_has_the_time() -> None:
    stream = io.StringIO()

    with watching(RunWatch(LIMIT), Talk(stream=stream), line_every_seconds=0.01):
        time.sleep(0.05)

    assert stream.getvalue().splitlines()[0].endswith("Z 0 requests, 0 rows")
