"""A first load of 200,000 users and 80,000 conversations under 60 requests a minute, in virtual time.

    .venv/bin/python tests/benchmarks/bench_scale.py                      # one page of events a user; see `--help`
    .venv/bin/python tests/benchmarks/bench_scale.py --users 2000 --conversations 800
    .venv/bin/python tests/benchmarks/bench_scale.py --events 188 --parts 12.5 --place scale --minutes 60

The last one is about 246 hours of budget, 885,000 requests: with `--place` the load is stopped after so many minutes,
or by SIGTERM, and goes on there when the same is typed again.

The simulator is a process of its own, behind real HTTP, so the memory that is shown is the sync's alone. Only the
waiting is virtual. Prints how the load went on (virtual hours, requests, rows, memory, CPU), when the rows of the last
day had arrived, and whether every table has the ids that the simulator knows of.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import multiprocessing
import os
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import duckdb

from dashly.endpoints import DEFAULT_RESOURCES
from dashly_simulator import Simulator, SimulatorSettings, serve
from dashly_state.budget import RateLimit
from dashly_state.clock import VirtualClock
from dashly_sync.libraries import prepare_libraries
from dashly_sync.run import Run, RunLimits
from dashly_sync.settings import Settings
from dashly_sync.signals import stop_signals

TABLES = ("users", "conversations", "events", "parts")
SHOWN_EVERY = 0.05
"""Share of the floor's requests between two lines of the table."""


def simulate(settings: SimulatorSettings, pipe: Connection) -> None:
    """Serves the account until told to stop."""
    simulator = Simulator(settings)
    with serve(simulator) as server:
        pipe.send((server.base_url, simulator.floor_requests(), simulator.clock.now()))
        pipe.recv()


def count(settings: SimulatorSettings, file: Path) -> None:
    """Writes how many rows the account has, and a sum over their ids; takes a core that nobody else wants."""
    os.nice(19)
    truth = Simulator(settings).truth
    counted = {table: checksum(row["id"] for row in truth.rows(table)) for table in TABLES}
    unfinished = file.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(counted))
    unfinished.replace(file)


def checksum(ids: Iterable[str]) -> tuple[int, int]:
    """How many ids, and the sum of 32 bits of each one's MD5."""
    count = total = 0
    for one in ids:
        count += 1
        total += int(hashlib.md5(one.encode(), usedforsecurity=False).hexdigest()[:8], 16)
    return count, total


class Load:
    """One first load, and what is shown of it."""

    def __init__(self, base_url: str, floor: int, start: float, place: Path) -> None:
        self.floor, self.start, self._began, self._next_shown = floor, start, time.monotonic(), 0.0
        self._kept = place / "went_on.json"
        kept = json.loads(self._kept.read_text()) if self._kept.exists() else {"now": start, "requests": 0}
        self._clock, self._requests_before = VirtualClock(kept["now"]), kept["requests"]
        self.requests = self._requests_before
        self.file = place / "warehouse.duckdb"
        self._settings = Settings(
            auth_token=SimulatorSettings().auth_token,
            base_url=base_url,
            destination=f"duckdb:///{self.file}",
            state_dir=place / "state",
            rate_limit=RateLimit(60, 60.0),
            reconcile_share=0.0,
        )

    def carry_out(self, minutes: float) -> str:
        """Returns how the run ended, which is stopped after so many minutes of wall clock."""
        show("virtual hours", "requests", "rows", "memory MB", "CPU s", "wall s")
        show(*["---:"] * 6)
        with stop_signals() as stop:
            timer = threading.Timer(min(minutes * 60, threading.TIMEOUT_MAX), stop.event.set)
            timer.daemon = True
            timer.start()
            run = Run(self._settings, RunLimits(DEFAULT_RESOURCES), stop, self._watch, clock=self._clock)
            record = run.carry_out()
        self._keep(record.requests)
        return record.outcome

    def _keep(self, requests: int) -> None:
        """Writes down where the load stands, for when it is gone on with."""
        self.requests = self._requests_before + requests
        self._kept.write_text(json.dumps({"now": self._clock.now(), "requests": self.requests}))

    @property
    def hours(self) -> float:
        """Virtual hours since the load began."""
        return (self._clock.now() - self.start) / 3600

    def _watch(self, record: Any, current: Any) -> None:
        if current is not None:
            return
        self._keep(record.requests)
        requests = self.requests
        if requests < self._next_shown * self.floor:
            return
        self._next_shown = max(self._next_shown + SHOWN_EVERY, requests / self.floor)
        usage = resource.getrusage(resource.RUSAGE_SELF)
        cpu, wall = usage.ru_utime + usage.ru_stime, time.monotonic() - self._began
        rows = sum(record.records.values())
        show(f"{self.hours:.2f}", requests, rows, resident_mb(), f"{cpu:.0f}", f"{wall:.0f}")


def resident_mb() -> int:
    """Memory of this process now; where the system does not say, the most it ever was."""
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * resource.getpagesize() // 2**20
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit


def show(*cells: object) -> None:
    """Prints a line of a Markdown table."""
    say(f"| {' | '.join(map(str, cells))} |")


def say(line: str) -> None:
    """Prints it at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def last_day(file: Path, start: float) -> list[tuple[str, int, float, float]]:
    """By table: rows of the last day before the start, and after how many virtual minutes 99 % and all were read.

    Of users whom the list shows on that day: nothing says that somebody without `$last_seen` has new events.
    """
    since = datetime.fromtimestamp(start, UTC) - timedelta(days=1)
    parents = {
        "events": "join dashly.users as p on p.id = c.user_id where p.last_seen_at",
        "parts": "join dashly.conversations as p on p.id = c.conversation_id where p.updated_at",
    }
    found = []
    with duckdb.connect(str(file), read_only=True) as connection:
        for table, of_parents in parents.items():
            read = "select count(*), quantile_disc(epoch(c._synced_at), [0.99, 1.0])"
            sql = f"{read} from dashly.{table} as c {of_parents} >= $1 and c.created_at >= $1"
            rows, moments = connection.execute(sql, [since]).fetchone() or (0, None)
            most, last = ((moment - start) / 60 for moment in moments or (start, start))
            found.append((table, rows, most, last))
    return found


def held(file: Path) -> dict[str, tuple[int, int]]:
    """By table, the checksum of its ids."""
    sql = "select count(*), sum(('0x' || substr(md5(id), 1, 8))::bigint)::bigint from dashly.{}"
    with duckdb.connect(str(file), read_only=True) as connection:
        return {table: connection.execute(sql.format(table)).fetchone() or (0, 0) for table in TABLES}


@contextmanager
def folder_of(place: Path | None) -> Iterator[Path]:
    """Enters the folder of the load, made where it is missing; one that goes away where none is named."""
    if place is None:
        with tempfile.TemporaryDirectory(prefix="dashly-scale-") as name:
            yield Path(name)
    else:
        place.mkdir(parents=True, exist_ok=True)
        yield place


def show_whole(file: Path, ids: Path, counting: BaseProcess) -> bool:
    """Waits until the simulator's rows are counted, says whether the warehouse has each once, and returns that."""
    if not ids.exists():
        counting.join()
    same = held(file) == {table: tuple(of_table) for table, of_table in json.loads(ids.read_text()).items()}
    say(f"every id of {', '.join(TABLES)} is there, once" if same else "IDS ARE MISSING OR TWICE")
    return same


def main() -> None:
    """Carries the load out and prints what was seen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=200_000)
    parser.add_argument("--conversations", type=int, default=80_000)
    parser.add_argument("--events", type=float, default=8.0, help="mean a user")
    parser.add_argument("--parts", type=float, default=6.0, help="mean a conversation")
    parser.add_argument("--place", type=Path, help="keeps the load here, and goes on with the one that is there")
    parser.add_argument("--minutes", type=float, default=math.inf, help="of wall clock, after which it is stopped")
    chosen = parser.parse_args()
    account = SimulatorSettings(
        users=chosen.users,
        conversations=chosen.conversations,
        events_per_user=chosen.events,
        parts_per_conversation=chosen.parts,
    )
    prepare_libraries()
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    served = spawn.Process(target=simulate, args=(account, there))
    served.start()
    base_url, floor, start = here.recv()
    with folder_of(chosen.place) as place:
        ids = place / "ids.json"
        counting = spawn.Process(target=count, args=(account, ids))
        if not ids.exists():
            counting.start()
        load = Load(base_url, floor, start, place)
        outcome = load.carry_out(chosen.minutes)
        here.send("stop")
        say(f"\n{outcome}: {load.requests} requests, floor {floor}: {load.requests / floor - 1:+.2%}")
        say(f"{load.hours:.2f} virtual hours; the floor at 60 a minute is {floor / 3600:.2f}")
        for table, rows, most, last in last_day(load.file, start):
            say(f"last day: {rows} {table}, 99 % read after {most:.1f} virtual minutes, all after {last:.1f}")
        same = show_whole(load.file, ids, counting) if outcome == "finished" else True
    if counting.is_alive():
        counting.terminate()
    served.join()
    sys.exit(not same)


if __name__ == "__main__":
    main()
