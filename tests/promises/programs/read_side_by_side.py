"""Reads simulated accounts with real readers, in processes of their own, over HTTP; says what the servers saw.

read_side_by_side.py < PLAN

The plan is JSON: `limit`, `reach_seconds`, `windows` (how many are measured after the first), and `cells`, which run all
at once, each with a server, an account and a request budget of its own: `window` (fixed, sliding, bucket),
`latency_seconds`, `readers`, and if wanted `kill` (SIGKILL to the first reader while it has requests in flight, after
two windows) and `wild_clock` (the wall clock of every reader jumps up to a day with each look). Prints a JSON list.

One process serves, and forks the readers before it does; so what they have in common is a file, as in real life.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from dashly.client import DashlyClient
from dashly.endpoints import DEFAULT_RESOURCES
from dashly.reader import Reader, Reading, Slice, SourceState
from dashly_simulator import Simulator, SimulatorSettings, serve
from dashly_state.budget import RateLimit, RequestBudget
from dashly_state.clock import SystemClock
from dashly_state.progress import Progress


@dataclass(frozen=True)
class Cell:
    """One server and who reads it."""

    window: Literal["fixed", "sliding", "bucket"]
    latency_seconds: float
    readers: int
    kill: bool = False
    wild_clock: bool = False


@dataclass(frozen=True)
class Plan:
    """What all cells have in common."""

    limit: RateLimit
    reach_seconds: float
    windows: int

    @property
    def seconds(self) -> float:
        """How long each reader reads: the first window, those that are measured, and 3 % for the rule's own share."""
        return (1 + self.windows) * self.limit.seconds * 1.03


@dataclass(frozen=True)
class Outcome:
    """What the server of a cell saw.

    Attributes:
        arrivals: Requests that came.
        rate_limited: How many of them were answered with 429.
        most: In any window, wherever it begins.
        used: After how long a place in the window was taken again, against the window: 1.0 is all of the budget.
        counted: Requests accepted in whole windows after the first, against as many times the limit. A burst at an
            edge moves it; `used` has no edges.
        by_reader: Requests that each reader sent; none of one that was killed.
        killed_in_flight: Requests that were in flight at the kill.
        strict: Whether the budget counted from the ends of requests afterwards.
    """

    window: str
    latency_seconds: float
    readers: int
    arrivals: int
    rate_limited: int
    most: int
    used: float
    counted: float
    by_reader: list[int]
    killed_in_flight: int
    strict: bool


class WildClock(SystemClock):
    """A machine whose wall clock somebody sets all the time."""

    def now(self) -> float:
        """Return the time, a day off at most."""
        return super().now() + random.uniform(-86_400.0, 86_400.0)


class NothingKnown:
    """A destination that is empty."""

    def known(self, _stream: str, _parent_ids: Iterable[str]) -> Mapping[str, Progress]:
        return {}

    def pending(self, _streams: Iterable[str], _since: int | None = None) -> Iterator[Progress]:
        return iter(())

    def backlog(self, streams: Iterable[str], _since: int | None = None) -> Mapping[str, int]:
        return dict.fromkeys(streams, 0)

    def longest_unchecked(self, _streams: Iterable[str], _before: int) -> Iterator[Progress]:
        return iter(())


TOKEN = SimulatorSettings().auth_token


class ReadingProcess:
    """A process that reads one account, from when it is told where that is until its time is over."""

    def __init__(self, plan: Plan, cell: Cell, budget_path: Path) -> None:
        self._url, url_end = os.pipe()
        sent_end, self._sent = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                os.close(url_end)
                base_url = os.read(self._url, 1000).decode()
                os.write(self._sent, str(read(plan, cell, budget_path, base_url)).encode())
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        os.close(self._url)
        os.close(self._sent)
        self._url, self._sent = url_end, sent_end

    def start(self, base_url: str) -> None:
        """Let it read."""
        os.write(self._url, base_url.encode())

    def wait(self) -> int:
        """Return how many requests it sent; 0 when it was killed."""
        sent = os.read(self._sent, 100)
        os.waitpid(self.pid, 0)
        return int(sent or 0)

    def kill_in_flight(self, budget_path: Path) -> int:
        """End it at an instant at which it has requests in flight, and return how many."""
        while True:
            os.kill(self.pid, signal.SIGSTOP)
            time.sleep(0.01)
            with closing(sqlite3.connect(budget_path, timeout=0.0)) as ledger:
                sql = "SELECT count(*) FROM requests WHERE ended IS NULL AND process LIKE ?"
                in_flight = int(ledger.execute(sql, (f"{self.pid}@%",)).fetchone()[0])
            os.kill(self.pid, signal.SIGKILL if in_flight else signal.SIGCONT)
            if in_flight:
                return in_flight
            time.sleep(0.01)


def read(plan: Plan, cell: Cell, budget_path: Path, base_url: str) -> int:
    """Read the account as a run does, and return how many requests that took."""
    clock, stop = WildClock() if cell.wild_clock else SystemClock(), threading.Event()
    timer = threading.Timer(plan.seconds, stop.set)
    timer.start()
    with RequestBudget(budget_path, TOKEN, plan.limit, clock, reach_seconds=plan.reach_seconds) as budget:
        client = DashlyClient(TOKEN, budget, base_url=base_url, clock=clock, stop=stop)
        resource_states: dict[str, dict[str, Any]] = {}
        state = SourceState({}, lambda name: resource_states.setdefault(name, {}))
        reading = Reading(Reader(client), frozenset(DEFAULT_RESOURCES), state, NothingKnown(), Slice(keep_error=True))
        for _ in reading.pages():
            pass
    timer.cancel()
    assert stop.is_set(), "the account was too small"
    return client.requests_sent


def watch(plan: Plan, cell: Cell, simulator: Simulator, readers: list[ReadingProcess], budget_path: Path) -> Outcome:
    """Return what the server saw, once all readers are done."""
    killed_in_flight = 0
    if cell.kill:
        time.sleep(2 * plan.limit.seconds)
        killed_in_flight = readers[0].kill_in_flight(budget_path)
    by_reader = [reader.wait() for reader in readers]
    times = [entry.time for entry in simulator.requests.log]
    accepted = [entry.time for entry in simulator.requests.log if entry.status == 200]
    with RequestBudget(budget_path, TOKEN, plan.limit) as budget:
        strict = budget.usage().strict_for_seconds > 0
    return Outcome(
        cell.window,
        cell.latency_seconds,
        cell.readers,
        arrivals=len(times),
        rate_limited=simulator.requests.by_status[429],
        most=most_in_a_window(times, plan.limit.seconds),
        used=round(share_used(accepted, plan.limit), 4),
        counted=round(share_counted(accepted, plan), 4),
        by_reader=by_reader,
        killed_in_flight=killed_in_flight,
        strict=strict,
    )


def most_in_a_window(times: list[float], seconds: float) -> int:
    """Return the largest number of `times` in [x, x + seconds), for any x."""
    most = first = 0
    for last, at in enumerate(times):
        while at - times[first] >= seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def share_used(accepted: list[float], limit: RateLimit) -> float:
    """Return the window's length against the mean time after which a place in it was taken again."""
    again = [later - earlier for earlier, later in zip(accepted, accepted[limit.requests :], strict=False)]
    return limit.seconds * len(again) / sum(again)


def share_counted(accepted: list[float], plan: Plan) -> float:
    """Return how many were accepted in whole windows after the first, against how many these allow."""
    begin = accepted[0] + plan.limit.seconds
    end = begin + plan.windows * plan.limit.seconds
    return sum(begin < at <= end for at in accepted) / (plan.limit.requests * plan.windows)


def measure(plan: Plan, cells: list[Cell], folder: Path) -> list[Outcome]:
    """Run all cells at once."""
    paths = [folder / f"budget{number}.sqlite" for number in range(len(cells))]
    processes = [
        [ReadingProcess(plan, cell, path) for _ in range(cell.readers)]
        for cell, path in zip(cells, paths, strict=True)
    ]
    simulators = [Simulator(account(plan, cell)) for cell in cells]
    outcomes: dict[Cell, Outcome] = {}

    def watch_one(number: int) -> None:
        cell = cells[number]
        outcomes[cell] = watch(plan, cell, simulators[number], processes[number], paths[number])

    with ExitStack() as stack:
        # Only then may anybody read: a server that shares its process with one that starts counts late.
        servers = [stack.enter_context(serve(simulator)) for simulator in simulators]
        for server, readers in zip(servers, processes, strict=True):
            for reader in readers:
                reader.start(server.base_url)
        threads = [threading.Thread(target=watch_one, args=(number,)) for number in range(len(cells))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return [outcomes[cell] for cell in cells]


def account(plan: Plan, cell: Cell) -> SimulatorSettings:
    """Return an account that is too large to be read in the time of the plan: each user's events are a request."""
    return SimulatorSettings(
        users=int(2 * plan.seconds * plan.limit.requests / plan.limit.seconds),
        conversations=10,
        events_per_user=2.0,
        clock="real",
        rate_limit=str(plan.limit),
        rate_window=cell.window,
        latency_seconds=cell.latency_seconds,
    )


def main() -> None:
    """Carry out the plan."""
    asked = json.load(sys.stdin)
    plan = Plan(RateLimit.parse(asked["limit"]), asked["reach_seconds"], asked["windows"])
    with tempfile.TemporaryDirectory() as folder:
        outcomes = measure(plan, [Cell(**cell) for cell in asked["cells"]], Path(folder))
    json.dump([asdict(outcome) for outcome in outcomes], sys.stdout)


if __name__ == "__main__":
    main()
