"""CPU seconds per 1,000 requests with full pages: a whole first load over real HTTP, and where the time goes.

    .venv/bin/python -m tests.benchmarks.bench_requests                # about 3,000 pages, on DuckDB and on Postgres
    .venv/bin/python -m tests.benchmarks.bench_requests --quick
    .venv/bin/python -m tests.benchmarks.bench_requests --pages 600 --to duckdb

The simulator is another process; only the waiting for the budget is virtual. The fastest of three loads counts. Two in
three pages are events, the others parts, nearly all of them 50 records. The steps are dlt's own, seen through its
tracking: what the run does beside them is indexes, views, settling, locks and opening the destination. In the step of
extraction everything but the client's threads is our reading, the journal, and dlt's writing.
"""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from dlt.pipeline import trace
from tests.benchmarks.measuring import TRIES, Bench, Meter, in_child, peak_mb, resident_mb, show, show_heads
from tests.benchmarks.served import simulator
from tests.benchmarks.warehouses import postgres

from dashly.connection import LeanSession
from dashly.endpoints import DEFAULT_RESOURCES
from dashly_simulator import SimulatorSettings
from dashly_state.budget import RateLimit
from dashly_state.clock import VirtualClock
from dashly_sync.libraries import prepare_libraries
from dashly_sync.run import Run, RunLimits
from dashly_sync.settings import Settings
from dashly_sync.signals import StopSignal

SEED = 1
PARTS = {
    "http": "HTTP: requests and sockets",
    "client": "client: budget, retries, looking at the envelope",
    "extract": "reading: rows, journal, dlt's extraction",
    "normalize": "dlt's normalisation",
    "load": "dlt's load",
    "beside": "indexes, views, settling, opening",
}
"""Where the CPU of a run goes."""


class Steps:
    """CPU of dlt's steps, as a tracking module of dlt; `client` is what other threads than the reading one used."""

    def __init__(self) -> None:
        self.cpu_seconds: defaultdict[str, float] = defaultdict(float)
        self._began: dict[str, tuple[float, float]] = {}

    def on_start_trace(self, *_: Any) -> None:
        """A run of dlt's begins."""

    def on_start_trace_step(self, _trace: Any, step: str, _pipeline: Any) -> None:
        """A step begins."""
        self._began[step] = time.process_time(), time.thread_time()

    def on_end_trace_step(self, _trace: Any, step: Any, *_: Any) -> None:
        """A step has ended."""
        process, thread = self._began[step.step]
        used, own = time.process_time() - process, time.thread_time() - thread
        if step.step == "extract":
            self.cpu_seconds["extract"] += own
            self.cpu_seconds["client"] += used - own
        elif step.step != "run":
            self.cpu_seconds[step.step] += used

    def on_end_trace(self, *_: Any) -> None:
        """A run of dlt's has ended."""

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Looks at the steps of every pipeline of this process."""
        trace.TRACKING_MODULES.append(self)
        try:
            yield
        finally:
            trace.TRACKING_MODULES.remove(self)


class TimedSession:
    """The session of a run, and the CPU that it takes."""

    def __init__(self, base_url: str) -> None:
        self._session = LeanSession(base_url)
        self.cpu_seconds = 0.0

    def request(self, method: str, url: str, **arguments: Any) -> requests.Response:
        """Sends one request and reads the whole answer."""
        began = time.thread_time()
        try:
            return self._session.request(method, url, **arguments)
        finally:
            self.cpu_seconds += time.thread_time() - began


def first_load(base_url: str, start: float, destination: str, dataset: str) -> dict[str, Any]:
    """Reads the whole account and returns what it cost this process."""
    prepare_libraries()
    steps, session, base = Steps(), TimedSession(base_url), resident_mb()
    with tempfile.TemporaryDirectory() as place, steps.watching(), Meter() as meter:
        settings = Settings(
            auth_token=SimulatorSettings().auth_token,
            base_url=base_url,
            destination=destination,
            dataset_name=dataset,
            state_dir=Path(place),
            rate_limit=RateLimit(60, 60.0),
            reconcile_share=0.0,
        )
        record = Run(
            settings, RunLimits(DEFAULT_RESOURCES), StopSignal(), clock=VirtualClock(start), session=session
        ).carry_out()
    if record.outcome != "finished":
        raise RuntimeError(f"the run ended as {record.outcome}: {record.error}")
    cpu = steps.cpu_seconds
    parts = {**cpu, "http": session.cpu_seconds, "client": cpu["client"] - session.cpu_seconds}
    parts["beside"] = meter.cpu_seconds - sum(parts.values())
    return {
        "requests": record.requests,
        "slices": record.slices,
        "children": record.records["events"] + record.records["parts"],
        "wall_seconds": round(meter.wall_seconds, 2),
        "cpu_seconds": round(meter.cpu_seconds, 2),
        "imported_mb": round(base),
        "peak_mb": round(peak_mb()),
        "cpu_seconds_per_1000": round(meter.cpu_seconds / record.requests * 1000, 2),
        "parts_per_1000": {name: round(parts[name] / record.requests * 1000, 2) for name in PARTS},
    }


def account(pages: int) -> SimulatorSettings:
    """Returns an account whose first load costs about so many requests, nearly all with full pages."""
    return SimulatorSettings(
        users=max(1, pages // 14),
        events_per_user=500.0,
        conversations=max(1, pages // 11),
        parts_per_conversation=200.0,
        seed=SEED,
    )


def measured(pages: int, kinds: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields kind of warehouse and figures."""
    with postgres() as server, tempfile.TemporaryDirectory() as place:

        def tried(kind: str, number: int) -> dict[str, Any]:
            """One load into a place of its own."""
            destination = f"duckdb:///{place}/{number}.duckdb" if kind == "duckdb" else server.uri
            with simulator(account(pages)) as served:
                served_before, database_before = served.cpu_seconds(), server.cpu_seconds() or 0.0
                found = in_child(first_load, served.base_url, served.start, destination, f"bench_requests_{number}")
                database = (server.cpu_seconds() or 0.0) - database_before
                found["simulator_cpu_seconds"] = round(served.cpu_seconds() - served_before, 2)
                found["server_cpu_seconds_per_1000"] = round(database / found["requests"] * 1000, 2)
            return found

        for kind in kinds:
            yield kind, min((tried(kind, number) for number in range(TRIES)), key=lambda one: one["cpu_seconds"])


def show_figures(kind: str, figures: Mapping[str, Any]) -> None:
    """Prints a line for the load, and one for each part of it."""
    each = figures["children"] / figures["requests"]
    show(kind, f"{figures['requests']:,} requests, {each:.0f} events or parts each", figures["cpu_seconds_per_1000"])
    for name, cpu in figures["parts_per_1000"].items():
        show("", PARTS[name], cpu)
    if kind == "postgres":
        show("", "Postgres itself, beside that", figures["server_cpu_seconds_per_1000"])


def main() -> None:
    """Measures, prints and stores."""
    bench = Bench("requests", __doc__)
    bench.options.add_argument("--pages", type=int, default=3000, help="about so many requests")
    bench.options.add_argument("--to", nargs="+", choices=("duckdb", "postgres"), default=["duckdb", "postgres"])
    chosen = bench.chosen(pages=200)
    show_heads(("warehouse", "what", "CPU s per 1,000 requests"), texts=2)
    figures = {}
    for kind, found in measured(chosen.pages, chosen.to):
        figures[kind] = found
        show_figures(kind, found)
    if len(figures) == 2:
        bench.store(figures, SEED)


if __name__ == "__main__":
    main()
