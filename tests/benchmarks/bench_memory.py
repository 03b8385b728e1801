"""The most memory that a run takes, at 1, 10 and 100 thousand users: it must not grow with the account.

    .venv/bin/python -m tests.benchmarks.bench_memory                 # 1, 10 and 100 thousand users, on DuckDB
    .venv/bin/python -m tests.benchmarks.bench_memory --quick
    .venv/bin/python -m tests.benchmarks.bench_memory --users 10000 --to postgres
    .venv/bin/python -m tests.benchmarks.bench_memory --within 200    # as root: the same in so many MB

Four runs of each account, each in a process of its own, with real HTTP and virtual waiting:

lists     the lists of users and of conversations, whole; everybody's children are then known to be missing
children  600 requests for children, ten minutes of a first load, with all the others waiting
nothing   everything is held (the rest is marked as read by SQL), nothing is new
churn     two hours later 5 % of the users and of the conversations were active

The last one also reads again what is known, with a tenth of the budget of these two hours, as by default. Beside them
stands what is not ours: Arrow tables of two short columns that dlt merges into an empty DuckDB file, and nothing else.

A part of the memory is the files of libraries, which the system may take away and read again. How much of them it keeps
depends on how they came into its cache, so empty that before (`sync; echo 3 > /proc/sys/vm/drop_caches`, as root).
With `--within` the runs get no more memory than that, see `memory_box`; what they take is stored beside the rest.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dlt
import pyarrow as pa
from tests.benchmarks.measuring import Bench, Meter, in_child, mapped_mb, peak_mb, resident_mb, show, show_heads
from tests.benchmarks.memory_box import boxed
from tests.benchmarks.served import Served, simulator
from tests.benchmarks.warehouses import postgres

from dashly.batches import ENOUGH_ROWS
from dashly.endpoints import DEFAULT_RESOURCES
from dashly_state.budget import RateLimit
from dashly_state.clock import VirtualClock
from dashly_sync.libraries import prepare_libraries
from dashly_sync.run import Run, RunLimits
from dashly_sync.settings import Settings
from dashly_sync.signals import StopSignal
from dashly_warehouse.connections import connect
from dashly_warehouse.destinations import dlt_destination
from dashly_warehouse.holding import Hold
from dashly_warehouse.specs import parse_destination

SEED = 1
PAUSE_SECONDS = 7_200.0
CHURN = 0.05
CHILDREN_REQUESTS = 600
TALKS_PER_USER, EVENTS, PARTS = 0.4, 8.0, 6.0
ALONE_ROWS = (1, 100_000)
AS_IF_READ = """
update sync_progress set walks = null, missing_before = null, checked_at = _synced_at,
    newest_id = coalesce(newest_id, parent_last_id, '1'), rows_held = coalesce(parent_count, 8)
where missing_before is not null
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an account is read from, and where to."""

    base_url: str
    auth_token: str
    destination: str
    dataset: str
    state: Path

    def settings(self) -> Settings:
        """Returns the settings of a run."""
        return Settings(
            auth_token=self.auth_token,
            base_url=self.base_url,
            destination=self.destination,
            dataset_name=self.dataset,
            state_dir=self.state,
            rate_limit=RateLimit(60, 60.0),
        )


def run(place: Place, resources: tuple[str, ...], max_requests: int | None, now: float) -> dict[str, Any]:
    """Carries one run out that begins at `now`, and returns what it took; `ended` is the time of its end."""
    base, clock = resident_mb(), VirtualClock(now)
    with Meter() as meter:
        record = Run(place.settings(), RunLimits(resources, max_requests), StopSignal(), clock=clock).carry_out()
    if record.outcome not in ("finished", "request limit"):
        raise RuntimeError(f"the run ended as {record.outcome}: {record.error}")
    return {
        "requests": record.requests,
        "reread": record.reread,
        "cpu_seconds": round(meter.cpu_seconds, 2),
        "imported_mb": round(base),
        "peak_mb": round(peak_mb()),
        "mapped_mb": round(mapped_mb()),
        "ended": clock.now(),
    }


def runs(served: Served, place: Place) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields each run's name and what it took."""
    lists = in_child(run, place, ("users", "conversations"), None, served.start)
    yield "lists", lists
    children = in_child(run, place, DEFAULT_RESOURCES, CHILDREN_REQUESTS, lists["ended"])
    yield "children", children
    with connect(parse_destination(place.destination), place.dataset, read_only=False) as connection:
        connection.run(AS_IF_READ)
    nothing = in_child(run, place, DEFAULT_RESOURCES, None, children["ended"])
    yield "nothing", nothing
    later = nothing["ended"] + PAUSE_SECONDS
    served.churn(CHURN, later)
    yield "churn", in_child(run, place, DEFAULT_RESOURCES, None, later)


def dlt_alone(rows: int) -> dict[str, Any]:
    """Lets dlt merge so many rows twice, 5,000 at a time, with the limits of `holding`, and returns what it took."""
    base = resident_mb()

    @dlt.resource(primary_key="id", write_disposition={"disposition": "merge", "strategy": "delete-insert"})
    def numbers() -> Iterator[pa.Table]:
        for first in range(0, rows, ENOUGH_ROWS):
            ids = [str(number) for number in range(first, min(rows, first + ENOUGH_ROWS))]
            yield pa.table({"id": ids, "value": ids})

    with tempfile.TemporaryDirectory() as place, Meter() as meter:
        spec = parse_destination(f"duckdb:///{place}/warehouse.duckdb")
        pipeline = dlt.pipeline("alone", place, destination=dlt_destination(spec), dataset_name="alone")
        with Hold(spec):
            for _ in range(2):
                pipeline.run(numbers, loader_file_format="parquet")
    memory = {"imported_mb": round(base), "peak_mb": round(peak_mb()), "mapped_mb": round(mapped_mb())}
    return {"cpu_seconds": round(meter.cpu_seconds, 2), **memory}


def measured(users: int, kind: str, limit_mb: int | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields each run's name and figures, of an account of so many users; with no more memory than that."""
    from dashly_simulator import SimulatorSettings  # its libraries take memory, and the runs' processes do without

    account = SimulatorSettings(
        users=users,
        conversations=round(users * TALKS_PER_USER),
        events_per_user=EVENTS,
        parts_per_conversation=PARTS,
        seed=SEED,
    )
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack, simulator(account) as served:
        in_file = f"duckdb:///{folder}/warehouse.duckdb"
        destination = stack.enter_context(postgres()).uri if kind == "postgres" else in_file
        place = Place(served.base_url, account.auth_token, destination, "bench_memory", Path(folder) / "state")
        stack.enter_context(boxed(limit_mb))
        for name, found in runs(served, place):
            yield name, {key: value for key, value in found.items() if key != "ended"}


def shown(sizes: Sequence[int], kind: str, limit_mb: int | None = None) -> dict[str, dict[str, Any]]:
    """Returns the figures by size and run, and prints them."""
    figures: dict[str, dict[str, Any]] = {}
    for users in sizes:
        figures[str(users)] = {}
        for name, found in measured(users, kind, limit_mb):
            figures[str(users)][name] = found
            cost = (found[key] for key in ("reread", "cpu_seconds", "imported_mb", "peak_mb", "mapped_mb"))
            show(name, f"{users:,}", f"{found['requests']:,}", *cost)
    return figures


def main() -> None:
    """Measures, prints and stores."""
    prepare_libraries()
    bench = Bench("memory", __doc__)
    bench.options.add_argument("--users", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    bench.options.add_argument("--to", choices=("duckdb", "postgres"), default="duckdb")
    bench.options.add_argument("--within", type=int, help="megabytes that the runs get; as root")
    chosen = bench.chosen(users=[200, 1_000])
    show_heads(("run", "users", "requests", "of these again", "CPU s", "imported MB", "peak MB", "of it files"))
    by_users = shown(chosen.users, chosen.to, chosen.within)
    if chosen.within is not None:
        found = {"warehouse": chosen.to, "limit_mb": chosen.within, "by_users": by_users}
        bench.store(found, SEED, name="memory_within")
        return
    alone = {str(rows): in_child(dlt_alone, rows) for rows in ALONE_ROWS}
    for rows, found in alone.items():
        show("dlt alone", f"{int(rows):,} rows", "", "", *found.values())
    bench.store({"warehouse": chosen.to, "by_users": by_users, "dlt_alone": alone}, SEED)


if __name__ == "__main__":
    main()
