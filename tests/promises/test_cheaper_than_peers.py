"""The promise: right, for no more requests than any tool that is right, and one request lost at a kill at most.

The peers' figures are those that `make bench-peers` recorded in `tests/benchmarks/results/peers.json`. Ours are counted
again here, so that a run that costs one request more fails. What each situation costs by itself:
`tests/end_to_end/test_cost.py`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.benchmarks import results
from tests.benchmarks.peers import accounts, held
from tests.benchmarks.peers.accounts import WatchedSimulator
from tests.benchmarks.peers.compare import free_port
from tests.benchmarks.peers.contestants import FOUR_TABLES, OURS, UNLIMITED
from tests.benchmarks.peers.scenarios import CHANGES, SCENARIOS

from dashly_simulator import serve
from dashly_state.budget import RateLimit
from dashly_sync.run import Run, RunLimits
from dashly_sync.settings import Settings
from dashly_sync.signals import StopSignal

CELLS: dict[str, dict[str, Any]] = results.read("peers")["figures"]["cells"]
MEASURED_AGAIN = ("churn", "backdated", "edited, answered")
"""What takes seconds; the runs of the next day read everything again, and nothing new is in `test_cost.py`."""
COUNTED = tuple(one for one in SCENARIOS if one not in ("killed", "60 a minute"))
"""Scenarios in which requests are what is compared."""


# ---- what was recorded


def is_right(cell: dict[str, Any]) -> bool:
    """Whether a run came to its end, and nothing was wrong then."""
    return cell["exit"] == 0 and not cell["wrong"]


def until_right(cell: dict[str, Any]) -> int | None:
    """Requests until nothing is wrong: of the next run, or else of those of the next day; None for never."""
    runs = [cell] if is_right(cell) else cell.get("a day later", [])
    return sum(run["requests"] for run in runs) if runs and is_right(runs[-1]) else None


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_ours_is_right_in_the_end(scenario: str) -> None:
    assert until_right(CELLS[OURS][scenario]) is not None, CELLS[OURS][scenario]


@pytest.mark.parametrize("scenario", COUNTED)
def test_no_peer_that_is_right_needs_fewer_requests(scenario: str) -> None:
    ours = until_right(CELLS[OURS][scenario])
    peers = {name: cells[scenario] for name, cells in CELLS.items() if name != OURS and scenario in cells}

    cheaper = {
        name: cell["requests"] for name, cell in peers.items() if is_right(cell) and cell["requests"] < (ours or 0)
    }
    assert {} == cheaper, f"ours needs {ours}"


def test_a_kill_loses_one_request_at_most() -> None:
    lost = {name: cells["killed"]["lost"] for name, cells in CELLS.items() if "killed" in cells}

    assert lost[OURS] <= 1
    assert lost[OURS] == min(lost.values())


def test_the_limit_is_kept_and_no_request_refused() -> None:
    limited = CELLS[OURS]["60 a minute"]

    assert is_right(limited)
    assert 0 == limited["refused"]


# ---- what is counted again


class Ours:
    """Our own side of the comparison, in this process."""

    def __init__(self, folder: Path) -> None:
        self._began, self._port = accounts.now(), free_port()
        self.work, self._loaded = folder / "work", folder / "loaded"
        self.work.mkdir()

    @contextmanager
    def account(self) -> Iterator[WatchedSimulator]:
        """The same account as it began, served."""
        simulator = WatchedSimulator(accounts.settings_of("usual", self._began))
        with serve(simulator, self._port) as server:
            self._base_url = server.base_url
            yield simulator

    def run(self, simulator: WatchedSimulator) -> int:
        """Carries a run out, and returns its requests."""
        simulator.requests.reset()
        settings = Settings(
            auth_token=simulator.settings.auth_token,
            base_url=self._base_url,
            destination=f"duckdb:///{self.work}/held.duckdb",
            state_dir=self.work / "state",
            rate_limit=RateLimit(UNLIMITED, 60.0),
            reconcile_share=0.1 * 60 / UNLIMITED,
        )
        Run(settings, RunLimits(tuple(FOUR_TABLES.split(","))), StopSignal()).carry_out()
        return simulator.requests.total

    def wrong(self, simulator: WatchedSimulator) -> dict[str, dict[str, int]]:
        """What is wrong, as the results say it."""
        found = held.wrong_by_table(simulator, held.in_our_tables(self.work))
        return {table: {k: v for k, v in vars(one).items() if v} for table, one in found.items() if one}

    def keep(self) -> None:
        """Keeps what is held now, for `restore`."""
        shutil.copytree(self.work, self._loaded, symlinks=True)

    def restore(self) -> None:
        """Goes back to what was kept."""
        shutil.rmtree(self.work)
        shutil.copytree(self._loaded, self.work, symlinks=True)


def test_requests_are_those_that_were_recorded(tmp_path: Path) -> None:
    """First load, and the run after each of the cheap things that may happen: the same count, the same rows wrong."""
    ours = Ours(tmp_path)
    with ours.account() as simulator:
        counted = {"first load": (ours.run(simulator), ours.wrong(simulator))}
    ours.keep()
    for scenario in MEASURED_AGAIN:
        ours.restore()
        with ours.account() as simulator:
            CHANGES[scenario](simulator)
            counted[scenario] = (ours.run(simulator), ours.wrong(simulator))

    recorded = {name: (CELLS[OURS][name]["requests"], CELLS[OURS][name]["by_table"]) for name in counted}
    assert recorded == counted, "run: make bench-peers"
