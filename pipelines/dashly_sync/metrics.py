"""The numbers of a status as OpenMetrics text, for a file that a collector reads.

Only gauges: node_exporter's textfile collector refuses a file with a type that its older text format does not know,
such as a stateset, and takes `# UNIT` and `# EOF` for comments.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.openmetrics.exposition import generate_latest

from dashly_sync.alert_memory import destination_of
from dashly_sync.alerts import Told
from dashly_sync.answers import whole_file
from dashly_sync.settings import Settings
from dashly_sync.status import Status
from dashly_sync.verdict import Level, judge

PREFIX = "dashly_sync_"
OUTCOMES = ("finished", "time limit", "request limit", "signal", "running", "failed")

Sample = tuple[str, Mapping[str, str], float | int | datetime | None]
HELP = {
    "level": "1 for the level that holds now, 0 for the others; what each means: docs/monitoring.md",
    "written_timestamp_seconds": "When these numbers were taken",
    "last_success_timestamp_seconds": "When the last run that did not fail ended",
    "fresh_timestamp_seconds": "When a run that did not fail ended or loaded last: --max-age looks at this",
    "last_run_timestamp_seconds": "When the last run began",
    "last_run_outcome": "1 for how the last run ended, 0 for the others",
    "last_run_duration_seconds": "How long the last run that ended took",
    "last_run_waited_seconds": "How long the last run waited for the request budget",
    "last_run_requests": "Requests of the last run",
    "last_run_reread_requests": "Those of them that read what was known already",
    "last_run_rows": "Rows that the last run loaded",
    "day_requests": "Requests of the runs that began in the last 24 hours",
    "table_rows": "Rows of each table that are not deleted",
    "table_newest_timestamp_seconds": "When the newest row of each table was synced",
    "backlog_lists": "Parents with children known to be missing",
    "backlog_requests": "Requests that the backlog takes",
    "backlog_finish_timestamp_seconds": "When nothing is missing any more, at the pace of the last runs",
    "unread_list": "1 for a list that is not read to its end",
    "budget_used_requests": "Requests that count against the rate limit now",
    "budget_limit_requests": "Requests that may count at once",
    "recheck_bound_seconds": "Within what time everything is read again",
    "recheck_oldest_timestamp_seconds": "When what was read whole longest ago was read",
}
"""Each metric with what it says."""


def write_metrics(text: str, file: Path) -> None:
    """Puts the text into the file, whole or not at all.

    Raises:
        UsageError: It cannot be written.
    """
    with whole_file(file) as opened:
        opened.write(text.encode())


def metrics_file(settings: Settings) -> Path | None:
    """Returns where `run` writes; each of several apps has a file of its own beside the others'.

    Example:
        >>> str(metrics_file(Settings(metrics_file=Path("dashly.prom"), app="shop")))
        'dashly_shop.prom'
    """
    file = settings.metrics_file
    return file.with_stem(f"{file.stem}_{settings.app}") if file is not None and settings.app else file


def metrics_of(status: Status, settings: Settings) -> str:
    """Returns the text for a warehouse that could be opened."""
    return _text(settings, _samples(status))


def metrics_without_warehouse(told: Told, settings: Settings, now: float) -> str:
    """Returns the text for one that could not: what this machine remembers, so that no alarm falls silent.

    Args:
        told: What is remembered.
        settings: Which warehouse.
        now: Unix seconds.
    """
    samples = [
        *_one_of("level", "level", [level.value for level in Level], Level.FAILING.value),
        *_one_of("last_run_outcome", "outcome", OUTCOMES, "failed"),
        ("written_timestamp_seconds", {}, now),
        ("last_success_timestamp_seconds", {}, told.success_at),
        ("fresh_timestamp_seconds", {}, told.success_at),
    ]
    return _text(settings, samples)


def _samples(status: Status) -> Iterator[Sample]:
    yield from _one_of("level", "level", [level.value for level in Level], judge(status).level.value)
    yield "written_timestamp_seconds", {}, status.read_at
    yield "last_success_timestamp_seconds", {}, status.last_success
    yield "fresh_timestamp_seconds", {}, status.fresh_at
    yield "day_requests", {}, status.day_requests
    yield from _last_run(status)
    yield from _tables(status)
    yield from _backlog(status)
    if status.budget is not None:
        yield "budget_used_requests", {}, status.budget.started
        yield "budget_limit_requests", {}, status.budget.limit
    if status.recheck is not None:
        yield "recheck_bound_seconds", {}, status.recheck.bound_seconds
        yield "recheck_oldest_timestamp_seconds", {}, status.recheck.oldest_checked_at


def _last_run(status: Status) -> Iterator[Sample]:
    if not status.runs:
        return
    run = status.runs[0]
    outcome = "failed" if status.failed_here is not None else run["outcome"]
    took = None if run["finished_at"] is None else (run["finished_at"] - run["started_at"]).total_seconds()
    yield from _one_of("last_run_outcome", "outcome", OUTCOMES, outcome)
    yield "last_run_timestamp_seconds", {}, run["started_at"]
    yield "last_run_duration_seconds", {}, took
    yield "last_run_waited_seconds", {}, run["waited_seconds"]
    yield "last_run_requests", {}, run["requests"]
    yield "last_run_reread_requests", {}, run["reread"]
    yield "last_run_rows", {}, run["records"]


def _tables(status: Status) -> Iterator[Sample]:
    for name, rows, newest in status.tables:
        yield "table_rows", {"table": name}, rows
        yield "table_newest_timestamp_seconds", {"table": name}, newest


def _backlog(status: Status) -> Iterator[Sample]:
    for stream in ("events", "parts", "user_details"):
        yield "backlog_lists", {"stream": stream}, status.backlog.get(stream, 0)
    for name in ("users", "conversations"):
        yield "unread_list", {"list": name}, int(name in status.unread)
    yield "backlog_requests", {}, 0 if status.outlook is None else status.outlook.requests
    yield "backlog_finish_timestamp_seconds", {}, None if status.outlook is None else status.outlook.finishes_at


def _one_of(name: str, label: str, values: Iterable[str], holds: str) -> Iterator[Sample]:
    for value in values:
        yield name, {label: value}, int(value == holds)


def _text(settings: Settings, samples: Iterable[Sample]) -> str:
    registry, gauges = CollectorRegistry(), dict[str, Gauge]()
    where = {"destination": destination_of(settings), "dataset": settings.dataset_name, "app": settings.app}
    for name, labels, value in samples:
        if value is None:
            continue
        if name not in gauges:
            unit = next((unit for unit in ("seconds", "requests") if name.endswith(f"_{unit}")), "")
            gauges[name] = Gauge(PREFIX + name, HELP[name], [*where, *labels], unit=unit, registry=registry)
        number = value.timestamp() if isinstance(value, datetime) else value
        gauges[name].labels(**where, **labels).set(number)
    text: bytes = generate_latest(registry)  # type: ignore[no-untyped-call]
    return text.decode()
