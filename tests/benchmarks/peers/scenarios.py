"""What each contestant goes through, and what is measured: requests, what is wrong afterwards, time and memory."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.benchmarks.peers import accounts
from tests.benchmarks.peers.accounts import WatchedSimulator
from tests.benchmarks.peers.contestants import OURS, Contestant, Place, environ_of, ours_later
from tests.benchmarks.peers.differences import Wrong
from tests.benchmarks.peers.held import wrong_by_table
from tests.benchmarks.peers.processes import Started

from dashly_simulator import Simulator, serve

LONGEST_SECONDS = 600.0
"""A run that takes longer is stopped: without a rate limit, more than ten thousand requests take two minutes."""
DAY_SECONDS = 86_400 + 60
MOST_RUNS = 4
Cell = dict[str, Any]

CHANGES: dict[str, Callable[[Simulator], None]] = {
    "nothing new": lambda _simulator: None,
    "churn": accounts.churn,
    "backdated": accounts.backdated,
    "edited, answered": accounts.edited_and_answered,
    "edited": accounts.edited,
    "silent events": accounts.silent_events,
    "deletions": accounts.deletions,
}
"""What happens between the first load and the next run."""
READ_AGAIN = ("edited, answered", "edited", "silent events", "deletions")
"""Where our own runs find the rest by reading again, as time passes."""
PHASES = (("first load", *CHANGES, "killed"), ("60 a minute",), ("10,300 users",))
"""For all contestants one after the other: what takes longest comes last."""
SCENARIOS = tuple(scenario for phase in PHASES for scenario in phase)


@dataclass
class Bench:
    """One contestant on one port, with a folder of its own.

    Attributes:
        port: The same for every server, so that what was loaded can be taken up with another.
        began: When the accounts were at rest; equal accounts are made from it again and again.
    """

    contestant: Contestant
    folder: Path
    port: int
    began: datetime = field(default_factory=accounts.now)

    @property
    def work(self) -> Path:
        """What a run knows of the ones before."""
        return self.folder / "work"

    @property
    def loaded(self) -> Path:
        """The same as the first load left it."""
        return self.folder / "loaded"

    def carry_out(self, scenarios: Sequence[str]) -> Iterator[tuple[str, Cell]]:
        """Yields each scenario and what was measured in it."""
        first = None
        if set(scenarios) & set(PHASES[0]):
            first = self.first_load()
            yield "first load", first
        for scenario in scenarios:
            if scenario in CHANGES:
                yield scenario, self.change(scenario)
            elif scenario == "killed" and first is not None:
                yield scenario, self.killed(first["requests"])
            elif scenario == "60 a minute":
                yield scenario, self.limited()
            elif scenario == "10,300 users" and self.contestant.is_tuned:
                yield scenario, self.large()

    def first_load(self) -> Cell:
        """Everything, into nothing; kept for the scenarios that begin there."""
        with self.account("usual") as simulator:
            self.clear()
            cell = self.run(simulator)
        shutil.rmtree(self.loaded, ignore_errors=True)
        shutil.copytree(self.work, self.loaded, symlinks=True)
        return cell

    def change(self, scenario: str) -> Cell:
        """The next run after something happened; for ours, also those after a day and with `--full`."""
        with self.account("usual") as simulator:
            self.restore()
            CHANGES[scenario](simulator)
            cell = self.run(simulator)
            if self.contestant.name == OURS and scenario in READ_AGAIN:
                cell["a day later"] = self.runs_until_right(simulator, ours_later(DAY_SECONDS))
        if self.contestant.name == OURS and scenario in READ_AGAIN:
            with self.account("usual") as simulator:
                self.restore()
                CHANGES[scenario](simulator)
                cell["full"] = self.runs_until_right(simulator, [*self.command(), "--full"])
        return cell

    def runs_until_right(self, simulator: WatchedSimulator, first: list[str]) -> list[Cell]:
        """A run like this, and ordinary ones right after it until nothing is wrong."""
        later = [*first[:-1], str(float(first[-1]) + 60)] if "--ahead-seconds" in first else self.command()
        cells = [self.run(simulator, first)]
        while cells[-1]["wrong"] and len(cells) < MOST_RUNS:
            cells.append(self.run(simulator, later))
        return cells

    def killed(self, first_load: int) -> Cell:
        """SIGKILL at the request half-way through a first load, then a run to the end."""
        with self.account("usual") as simulator:
            self.clear()
            started = self.start()
            simulator.at_request(first_load // 2, started.kill)
            ended = started.wait(LONGEST_SECONDS)
            before = simulator.requests.total
            again = self.run(simulator)
        lost = before + again["requests"] - first_load
        return {**again, "killed": ended.exit, "requests_before": before, "lost": lost}

    def limited(self) -> Cell:
        """A first load where the API enforces 60 requests a minute and does not say how long to wait."""
        with self.account("limited") as simulator:
            self.clear()
            return self.run(simulator, per_minute=60)

    def large(self) -> Cell:
        """A first load of more users than Airbyte keeps partitions for, and the run after late events."""
        with self.account("large") as simulator:
            self.clear()
            first = self.run(simulator)
            if first["exit"] != 0:
                return first
            accounts.late_events(simulator)
            return {**self.run(simulator), "first": first}

    # ---- what all of them need

    @contextmanager
    def account(self, size: str) -> Iterator[WatchedSimulator]:
        """A fresh account, served."""
        self.simulator = WatchedSimulator(accounts.settings_of(size, self.began))
        with serve(self.simulator, self.port) as server:
            self._base_url = server.base_url
            yield self.simulator

    def clear(self) -> None:
        """Forgets everything."""
        shutil.rmtree(self.work, ignore_errors=True)
        (self.work / "home").mkdir(parents=True)

    def restore(self) -> None:
        """Goes back to what the first load left."""
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(self.loaded, self.work, symlinks=True)

    def place(self, per_minute: int | None = None) -> Place:
        """Where a run reads and keeps what it read."""
        return Place(self._base_url, self.simulator.settings.auth_token, self.work, per_minute)

    def command(self, per_minute: int | None = None) -> list[str]:
        """What the contestant is started with."""
        return self.contestant.command(self.place(per_minute))

    def start(self, command: list[str] | None = None, per_minute: int | None = None) -> Started:
        """Starts a run."""
        place = self.place(per_minute)
        log = self.folder / "log.txt"
        return Started(command or self.command(per_minute), environ_of(place), self.work, log)

    def run(self, simulator: Simulator, command: list[str] | None = None, per_minute: int | None = None) -> Cell:
        """Carries a run out, and returns what was measured."""
        simulator.requests.reset()
        ended = self.start(command, per_minute).wait(LONGEST_SECONDS)
        wrong = wrong_by_table(simulator, self.contestant.held(self.work))
        return {
            "requests": simulator.requests.total,
            "refused": simulator.requests.by_status[429],
            "wrong": str(sum(wrong.values(), Wrong())),
            "by_table": {table: {k: v for k, v in asdict(one).items() if v} for table, one in wrong.items() if one},
            **asdict(ended),
        }


def say(line: str) -> None:
    """A progress line."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
