"""Reads simulated accounts with real readers, in processes of their own, over HTTP; says what the servers saw.

read_side_by_side.py < PLAN

The plan is JSON: `limit`, `reach_seconds`, `windows` (how many are measured after the first), and `cells`, which run
all at once, each with a server, an account and a request budget of its own: `window` (fixed, sliding, bucket),
`latency_seconds`, `readers`, and if wanted `kill` (SIGKILL to the first reader while it has requests in flight, after
two windows) and `wild_clock` (the wall clock of every reader jumps up to a day with each look). Prints a JSON list.

Each server is a process, and each reader is one; what the readers have in common is a file, as in real life.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from dashly.client import DashlyClient
from dashly.endpoints import DEFAULT_RESOURCES
from dashly.reader import Reader
from dashly.reading import Reading
from dashly.slices import Slice, SourceState
from dashly_simulator import Simulator, SimulatorSettings, serve
from dashly_state.budget import RateLimit, RequestBudget
from dashly_state.clock import SystemClock
from dashly_state.journal import PageJournal
from dashly_state.progress import Progress

BUDGET = "budget.sqlite"
TOKEN = SimulatorSettings().auth_token
BETWEEN_STARTS_SECONDS = 0.1


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
        typical: The same by the median time, which a machine that is busy for a moment does not move.
        counted: Requests accepted in whole windows after the first, against as many times the limit. A burst at an
            edge moves it; `used` has no edges.
        by_reader: Requests that each reader sent; None of one that was killed.
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
    typical: float
    counted: float
    by_reader: list[int | None]
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


class Child:
    """A forked process that waits for a word, then works, and says what came of it."""

    def __init__(self, work: Callable[[str], object]) -> None:
        hear, self._tell = os.pipe()
        self._hear, tell = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                os.close(self._tell)
                word = os.read(hear, 1000).decode()
                os.write(tell, json.dumps(work(word)).encode())
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        os.close(hear)
        os.close(tell)

    def go(self, word: str) -> None:
        """Let it work."""
        os.write(self._tell, word.encode())

    def result(self) -> Any:
        """Return what came of it; None when it died."""
        with open(self._hear, "rb") as pipe:  # noqa: PTH123 - a pipe has no path
            said = pipe.read()
        os.waitpid(self.pid, 0)
        return json.loads(said) if said else None

    def kill_in_flight(self, budget_path: Path) -> int:
        """End it at an instant at which it has requests in flight, and return how many."""
        while True:
            os.kill(self.pid, signal.SIGSTOP)
            time.sleep(0.01)
            with closing(sqlite3.connect(budget_path)) as ledger:
                sql = "SELECT count(*) FROM requests WHERE ended IS NULL AND process LIKE ?"
                in_flight = int(ledger.execute(sql, (f"{self.pid}@%",)).fetchone()[0])
            os.kill(self.pid, signal.SIGKILL if in_flight else signal.SIGCONT)
            if in_flight:
                return in_flight
            time.sleep(0.01)


def read(plan: Plan, cell: Cell, folder: Path, base_url: str) -> int:
    """Read the account as a run does, and return how many requests that took."""
    clock, stop = WildClock() if cell.wild_clock else SystemClock(), threading.Event()
    timer = threading.Timer(plan.seconds, stop.set)
    timer.start()
    limits, resource_states = Slice(keep_error=True), dict[str, dict[str, Any]]()
    state = SourceState({}, lambda name: resource_states.setdefault(name, {}))
    journal = PageJournal(folder / f"journal{os.getpid()}.sqlite")
    with RequestBudget(folder / BUDGET, TOKEN, plan.limit, clock, reach_seconds=plan.reach_seconds) as budget:
        client = DashlyClient(TOKEN, budget, base_url=base_url, clock=clock, stop=stop)
        reading = Reading(
            Reader(client), frozenset(DEFAULT_RESOURCES), state, NothingKnown(), limits, journal=journal, slice_id=1
        )
        for _ in reading.pages():
            pass
    journal.close()
    timer.cancel()
    assert limits.error is None, limits.error
    assert stop.is_set(), "the account was too small"
    return client.requests_sent


def host(plan: Plan, cell: Cell, folder: Path, wait: Callable[[], None]) -> Outcome:
    """Serve one account to the readers of a cell, and return what the server saw."""
    folder.mkdir()
    readers = [Child(lambda base_url: read(plan, cell, folder, base_url)) for _ in range(cell.readers)]
    simulator = Simulator(account(plan, cell))
    wait()
    killed_in_flight = 0
    with serve(simulator) as server:
        for reader in readers:
            reader.go(server.base_url)
        if cell.kill:
            time.sleep(2 * plan.limit.seconds)
            killed_in_flight = readers[0].kill_in_flight(folder / BUDGET)
        by_reader = [reader.result() for reader in readers]
    with RequestBudget(folder / BUDGET, TOKEN, plan.limit) as budget:
        strict = budget.usage().strict_for_seconds > 0
    times = [entry.time for entry in simulator.requests.log]
    accepted = [entry.time for entry in simulator.requests.log if entry.status == 200]
    return Outcome(
        cell.window,
        cell.latency_seconds,
        cell.readers,
        arrivals=len(times),
        rate_limited=simulator.requests.by_status[429],
        most=most_in_a_window(times, plan.limit.seconds),
        used=round(share_used(accepted, plan.limit), 4),
        typical=round(share_used(accepted, plan.limit, statistics.median), 4),
        counted=round(share_counted(accepted, plan), 4),
        by_reader=by_reader,
        killed_in_flight=killed_in_flight,
        strict=strict,
    )


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


def most_in_a_window(times: list[float], seconds: float) -> int:
    """Return the largest number of `times` in [x, x + seconds), for any x."""
    most = first = 0
    for last, at in enumerate(times):
        while at - times[first] >= seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def share_used(
    accepted: list[float], limit: RateLimit, average: Callable[[list[float]], float] = statistics.fmean
) -> float:
    """Return the window's length against the average time after which a place in it was taken again."""
    again = [later - earlier for earlier, later in zip(accepted, accepted[limit.requests :], strict=False)]
    return limit.seconds / average(again)


def share_counted(accepted: list[float], plan: Plan) -> float:
    """Return how many were accepted in whole windows after the first, against how many these allow."""
    begin = accepted[0] + plan.limit.seconds
    end = begin + plan.windows * plan.limit.seconds
    return sum(begin < at <= end for at in accepted) / (plan.limit.requests * plan.windows)


def measure(plan: Plan, cells: list[Cell], folder: Path) -> list[dict[str, Any]]:
    """Run all cells at once, each in a process that serves it; none begins before all are there."""
    ready, begin = os.pipe(), os.pipe()

    def run(number: int, _word: str) -> dict[str, Any]:
        def wait() -> None:
            os.write(ready[1], b".")
            os.read(begin[0], 1)

        return asdict(host(plan, cells[number], folder / str(number), wait))

    hosts = [Child(partial(run, number)) for number in range(len(cells))]
    for child in hosts:
        child.go("make the account")
    for _ in hosts:
        os.read(ready[0], 1)
    for _ in hosts:
        os.write(begin[1], b".")
        time.sleep(BETWEEN_STARTS_SECONDS)
    return [child.result() for child in hosts]


def main() -> None:
    """Carry out the plan."""
    asked = json.load(sys.stdin)
    plan = Plan(RateLimit.parse(asked["limit"]), asked["reach_seconds"], asked["windows"])
    with tempfile.TemporaryDirectory() as folder:
        outcomes = measure(plan, [Cell(**cell) for cell in asked["cells"]], Path(folder))
    json.dump(outcomes, sys.stdout)


if __name__ == "__main__":
    main()
