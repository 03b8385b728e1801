"""Requests that an account's life costs: some users and conversations are active, and a run looks every so often.

    .venv/bin/python -m tests.benchmarks.bench_active_users
    .venv/bin/python -m tests.benchmarks.bench_active_users --quick
    .venv/bin/python -m tests.benchmarks.bench_active_users --users 400 --conversations 100 --every 30 --hours 24

The account is loaded whole first. Then, in virtual time, each interval has its share of the day's active users, each
with an event, and of its conversations, each with a reply that the list row carries along; a run follows. What is
counted is compared with the formula of docs/scale.md. Reading again what is known is left out: it takes a fixed share.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks.measuring import Bench, show, show_heads
from tests.benchmarks.served import Served, simulator

from dashly.endpoints import DEFAULT_RESOURCES
from dashly_simulator import SimulatorSettings
from dashly_state.budget import RateLimit
from dashly_state.clock import VirtualClock
from dashly_sync.libraries import prepare_libraries
from dashly_sync.run import Run, RunLimits
from dashly_sync.settings import Settings
from dashly_sync.signals import StopSignal

SEED = 1
HEADS_AND_SNAPSHOTS = 4
"""Requests of a run that finds nothing: two lists, channels, who is on the site."""


def expected(users: int, conversations: int, runs: int) -> int:
    """Returns the requests: four a run, and one for each active user whenever a run finds news of one.

    A conversation with one new part costs none, as its list row brings that part along.

    Args:
        users: Active ones, each counted once for each interval in which it is active.
        conversations: The same; only whole pages of them cost anything.
        runs: How many look.
    """
    pages = -(-users // runs // 50), -(-conversations // runs // 50)
    more = sum(max(0, one - 1) for one in pages)
    return runs * (HEADS_AND_SNAPSHOTS + more) + users


class Day:
    """An account that is loaded, and runs over it."""

    def __init__(self, served: Served, place: Path) -> None:
        self._served, self._place, self.now = served, place, served.start

    def run(self) -> int:
        """Carries a run out and returns its requests."""
        clock = VirtualClock(self.now)
        settings = Settings(
            auth_token=SimulatorSettings().auth_token,
            base_url=self._served.base_url,
            destination=f"duckdb:///{self._place}/warehouse.duckdb",
            state_dir=self._place / "state",
            rate_limit=RateLimit(60, 60.0),
            reconcile_share=0.0,
        )
        record = Run(settings, RunLimits(DEFAULT_RESOURCES), StopSignal(), clock=clock).carry_out()
        self.now = max(self.now, clock.now())
        return record.requests

    def interval(self, seconds: float, users: int, conversations: int) -> int:
        """Lets time pass in which so many were active, and returns the requests of the run that follows."""
        self.now += seconds
        self._served.visit(users, conversations, self.now)
        self.now += 1
        return self.run()


def main() -> None:
    """Simulates, prints and stores."""
    bench = Bench("active_users", __doc__)
    bench.options.add_argument("--users", type=int, default=160, help="active ones in the time")
    bench.options.add_argument("--conversations", type=int, default=48, help="changed ones in the time")
    bench.options.add_argument("--every", type=int, default=15, help="minutes between two runs")
    bench.options.add_argument("--hours", type=int, default=4)
    chosen = bench.chosen(hours=1, users=40, conversations=10)
    prepare_libraries()
    runs = chosen.hours * 60 // chosen.every
    account = SimulatorSettings(
        users=500, conversations=200, events_per_user=8.0, parts_per_conversation=6.0, seed=SEED
    )
    with simulator(account) as served, tempfile.TemporaryDirectory() as place:
        day = Day(served, Path(place))
        first = day.run()
        users, talks = chosen.users // runs, chosen.conversations // runs
        counted = sum(day.interval(chosen.every * 60.0, users, talks) for _ in range(runs))
    figures: dict[str, Any] = {
        "hours": chosen.hours,
        "runs": runs,
        "active_users": users * runs,
        "changed_conversations": talks * runs,
        "first_load": first,
        "requests": counted,
        "expected": expected(users * runs, talks * runs, runs),
    }
    show_heads(("hours", "runs", "active users", "conversations", "first load", "requests", "by the formula"), texts=0)
    show(*figures.values())
    bench.store(figures, SEED)


if __name__ == "__main__":
    main()
