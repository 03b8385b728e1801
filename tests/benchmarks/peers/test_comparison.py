"""The harness of the comparison: what it calls wrong, and what stands behind a source that only prints."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from tests.benchmarks.peers import accounts, held
from tests.benchmarks.peers.accounts import WatchedSimulator
from tests.benchmarks.peers.differences import TABLES, Wrong, differences, of_row
from tests.benchmarks.peers.processes import Started

TRUTH = {"1": ("a", 1), "2": ("b", 2), "3": ("c", 3)}
EVERYTHING = list(TRUTH.items())
CAPTURE = Path(__file__).parent / "programs" / "capture.py"


@pytest.mark.parametrize(
    ("wrong", "rows"),
    [
        (Wrong(), EVERYTHING),
        (Wrong(missing=3), []),
        (Wrong(missing=1, ghosts=1), [*EVERYTHING[:2], ("4", ("d", 4))]),
        (Wrong(stale=1), [*EVERYTHING[:2], ("3", ("c", 2))]),
        (Wrong(doubled=2), [*EVERYTHING, EVERYTHING[0], EVERYTHING[0]]),
        (Wrong(doubled=1), [*EVERYTHING, ("3", ("c", 2))]),  # the right version is there, too
    ],
)
def test_rows_are_missing_stale_doubled_or_ghosts(wrong: Wrong, rows: list[tuple[str, tuple[object, ...]]]) -> None:
    assert wrong == differences(TRUTH, rows)


def test_the_truth_is_not_wrong_and_what_happens_makes_it_so() -> None:
    """Each deed of a scenario makes exactly those rows wrong that it is about."""
    began = accounts.now()
    found = {}
    for deed in (accounts.edited, accounts.silent_events, accounts.deletions):
        simulator = WatchedSimulator(accounts.settings_of("usual", began))
        before = {table: [of_row(table, row) for row in simulator.truth.rows(table)] for table in TABLES}
        assert not any(held.wrong_by_table(simulator, before).values())
        deed(simulator)
        found[deed.__name__] = {table: one for table, one in held.wrong_by_table(simulator, before).items() if one}

    assert {"parts": Wrong(stale=5)} == found["edited"]
    assert {"events": Wrong(missing=5)} == found["silent_events"]
    assert {"users": 1, "conversations": 2} == {
        table: one.ghosts for table, one in found["deletions"].items() if table in ("users", "conversations")
    }


def test_what_a_source_prints_is_kept_with_its_last_state(tmp_path: Path) -> None:
    user = {"id": 7, "user_id": None, "presence": "idle", "props": {"$last_seen": None}}
    messages = [
        {"type": "RECORD", "stream": "users", "record": user},
        {"type": "STATE", "value": {"at": 1}},
        {"type": "RECORD", "stream": "users", "record": {**user, "presence": "offline"}},
        {"type": "STATE", "value": {"at": 2}},
    ]
    (tmp_path / "printed").write_text("a log line\n" + "".join(json.dumps(one) + "\n" for one in messages))
    source = [sys.executable, "-c", "import sys; print(open(sys.argv[1]).read())", str(tmp_path / "printed")]
    command = [sys.executable, str(CAPTURE), "singer", "--work", str(tmp_path), "--", *source]

    ended = Started(command, {}, tmp_path, tmp_path / "log.txt").wait(60.0)

    assert 0 == ended.exit
    assert {"at": 2} == json.loads((tmp_path / "state.json").read_text())
    assert [("7", (None, "offline", None))] == held.in_records(tmp_path)["users"]


def test_a_run_that_is_killed_at_a_request_gets_no_answer_to_it(tmp_path: Path) -> None:
    """All of its processes are gone, and the simulator has counted the request."""
    simulator = WatchedSimulator(accounts.settings_of("limited", accounts.now()))
    started = Started([sys.executable, "-c", "import time; time.sleep(60)"], {}, tmp_path, tmp_path / "log.txt")
    simulator.at_request(2, started.kill)
    for _ in range(2):
        simulator.answer("GET", "/v1/apps/1/channels", {"auth_token": simulator.settings.auth_token})

    assert -9 == started.wait(60.0).exit
    assert 2 == simulator.requests.total
