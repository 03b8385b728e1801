"""What the warehouse holds and how fresh it is, read from the warehouse itself. Costs no request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pendulum

from dashly.paging import PAGE_RECORDS
from dashly.values import from_microseconds
from dashly_state.budget import BudgetUsage, RequestBudget
from dashly_state.clock import Clock, SystemClock
from dashly_state.directory import StateDirectory
from dashly_sync.alert_memory import AlertMemory
from dashly_sync.alerts import Told, kind_of
from dashly_sync.backlog import BacklogOutlook, look_ahead, stands_since
from dashly_sync.durations import duration_text
from dashly_sync.history import History
from dashly_sync.memory import open_warehouse
from dashly_sync.recheck import Recheck, read_recheck, read_whole_history
from dashly_sync.run_log import RUNNING
from dashly_sync.settings import Settings
from dashly_sync.silence import Silence, read_silences
from dashly_warehouse.connections import Connection
from dashly_warehouse.query import QueryResult
from dashly_warehouse.specs import parse_destination

SHOWN_RUNS, SHOWN_ERRORS = 5, 3
ERROR_DAYS = 7
PATIENCE_SECONDS = 30.0
"""A monitor is not to be told that the warehouse is down because a sync is loading a large slice."""
_MOST_RUNS = 1500
"""Two weeks of a run every quarter of an hour."""
_TABLES = (
    *("users", "user_props", "events", "event_types", "conversations", "conversation_tags", "parts"),
    *("part_attachments", "admins", "channels", "active_users", "user_details"),
)
RUN_COLUMNS = (
    *("started_at", "finished_at", "outcome", "requests", "reread"),
    *("records", "waited_seconds", "backlog", "error"),
)


@dataclass(frozen=True, slots=True)
class ErrorSeen:
    """Errors of runs that differ in their numbers only.

    Attributes:
        error: What the newest of them said.
        times: How many runs ended with it.
        last_at: When the newest ended.
    """

    error: str
    times: int
    last_at: datetime

    def line(self, now: datetime) -> str:
        """Returns it for people."""
        times = "once" if self.times == 1 else f"{self.times:,} times, last"
        return f"{times} {duration_text((now - self.last_at).total_seconds())} ago: {self.error}"


@dataclass(frozen=True, slots=True)
class Status:
    """The state of one warehouse.

    Attributes:
        tables: Name, rows that are not deleted, time of the newest row.
        backlog: Parents with children known to be missing, by stream.
        runs: The last two weeks' or so, newest first, and the last good one however old it is.
        budget: None without a token.
        read_at: When this was looked at.
        recheck: How soon everything is read again; None before the first run has ended.
        unread: Lists that are not read to their end.
        whole_since: Since when every list has been read whole; None when one is not.
        outlook: What becomes of the backlog; None when nothing is known to be missing.
        silences: How long nothing has come into the tables in which something happens all the time.
        told: What this machine remembers of the runs.
    """

    destination: str
    tables: Sequence[tuple[str, int, datetime | None]]
    backlog: dict[str, int]
    runs: Sequence[dict[str, Any]]
    budget: BudgetUsage | None
    read_at: datetime
    recheck: Recheck | None = None
    unread: Sequence[str] = ()
    whole_since: datetime | None = None
    outlook: BacklogOutlook | None = None
    silences: Sequence[Silence] = ()
    told: Told = field(default_factory=Told)

    @property
    def last_success(self) -> datetime | None:
        """When the last run that did not fail ended."""
        ended = (run["finished_at"] for run in self.runs if run["outcome"] not in ("failed", RUNNING))
        return next(ended, None)

    @property
    def fresh_at(self) -> datetime | None:
        """When the last good run ended, or when one that goes on loaded last: a first load takes hours or days."""
        loaded = self.runs[0].get("loaded_at") if self.runs and self.runs[0]["outcome"] == RUNNING else None
        return max((at for at in (self.last_success, loaded) if at is not None), default=None)

    @property
    def failed_here(self) -> str | None:
        """What a run from this machine failed with after the newest run that the warehouse tells of."""
        failing, success_at = self.told.failing, self.told.success_at or 0.0
        newest = self.runs[0]["started_at"].timestamp() if self.runs else 0.0
        return failing.error if failing is not None and failing.last_at > max(newest, success_at) else None

    @property
    def errors(self) -> Sequence[ErrorSeen]:
        """The errors of the last week, newest first."""
        found: dict[str, ErrorSeen] = {}
        since = self.read_at - timedelta(days=ERROR_DAYS)
        for run in self.runs:
            at, error = run["finished_at"] or run["started_at"], run["error"]
            if error and at >= since:
                seen = found.get(kind_of(error), ErrorSeen(error, 0, at))
                found[kind_of(error)] = replace(seen, times=seen.times + 1)
        return list(found.values())

    @property
    def day_requests(self) -> int:
        """Requests of the runs that began in the last 24 hours."""
        since = self.read_at - timedelta(days=1)
        return sum(run["requests"] or 0 for run in self.runs if run["started_at"] >= since)

    def to_json(self) -> dict[str, Any]:
        """Returns what `--json` prints."""
        return {
            "destination": self.destination,
            "last_success_at": _iso(self.last_success),
            "tables": {name: {"rows": rows, "newest_synced_at": _iso(at)} for name, rows, at in self.tables},
            "backlog": self.backlog,
            "backlog_outlook": None if self.outlook is None else self.outlook.to_json(),
            "unread_lists": list(self.unread),
            "runs": [_shown(run) for run in self.runs[:SHOWN_RUNS]],
            "errors": [{"error": one.error, "times": one.times, "last_at": _iso(one.last_at)} for one in self.errors],
            "requests_last_24h": self.day_requests,
            "budget": None if self.budget is None else {"limit": self.budget.limit, "used": self.budget.started},
            "recheck": None if self.recheck is None else self.recheck.to_json(),
        }

    def sentence(self) -> str:
        """Returns the closing sentence."""
        if self.last_success is None:
            return f"No finished run in {self.destination} yet: start one with `dashly-sync run`."
        rows, missing = sum(rows for _, rows, _ in self.tables), sum(self.backlog.values())
        age = duration_text((self.read_at - self.last_success).total_seconds())
        left = f"{missing:,} lists are still to be read" if missing else "nothing is known to be missing"
        return f"{rows:,} rows in {self.destination}; the last good run ended {age} ago; {left}."

    def backlog_sentence(self) -> str:
        """Returns what is missing and when it is not any more; empty when nothing is."""
        parts = [f"{stream} of {count:,} parents" for stream, count in self.backlog.items()]
        parts += [f"a part of the list of {name}" for name in self.unread]
        if self.outlook is None or not parts:
            return ""
        return f"Backlog: {', '.join(parts)}; {self.outlook.sentence()}."


def read_status(settings: Settings, clock: Clock | None = None) -> Status:
    """Returns the status of the settings' warehouse.

    Args:
        settings: Which warehouse, and the rate at which it is read again.
        clock: What time it is.

    Raises:
        WarehouseError: It cannot be opened.
    """
    clock = clock or SystemClock()
    display, now = parse_destination(settings.destination).display, clock.now()
    at, told = datetime.fromtimestamp(now, UTC), AlertMemory(settings).read()
    found = Status(display, (), {}, (), _usage(settings, clock), at, told=told)
    with open_warehouse(settings, PATIENCE_SECONDS) as connection:
        return found if connection is None else _read(found, connection, settings, now)


def _read(found: Status, connection: Connection, settings: Settings, now: float) -> Status:
    present, history = set(connection.tables()), read_whole_history(connection, now)
    found = replace(
        found,
        tables=[(name, *_rows_and_age(connection, name)) for name in _TABLES if name in present],
        backlog=dict(connection.execute(_BACKLOG)) if "sync_progress" in present else {},
        runs=_runs(connection) if "sync_runs" in present else [],
        recheck=read_recheck(connection, history, settings.reconcile_share, settings.rate_limit, now),
        unread=_unread(history),
        whole_since=_whole_since(history),
    )
    good = next((run["started_at"] for run in found.runs if run["outcome"] not in ("failed", RUNNING)), None)
    return replace(
        found,
        outlook=_outlook(found, history, settings),
        silences=() if good is None else read_silences(connection, history.memory, good, found.read_at),
    )


def _runs(connection: Connection) -> list[dict[str, Any]]:
    recent, good = (
        [_run(dict(zip(connection.columns, run, strict=True))) for run in connection.execute(sql)]
        for sql in (_RECENT, _GOOD)
    )
    return [*recent, *(run for run in good if run not in recent)]


def _run(row: dict[str, Any]) -> dict[str, Any]:
    """Returns the row under the names used here; a warehouse that no newer run has been to lacks newer columns."""
    return {**{name: row.get(name) for name in RUN_COLUMNS}, "loaded_at": row.get("_synced_at")}


def _unread(history: History) -> Sequence[str]:
    """Returns the lists of which a walk has begun and not met its end: one that has not begun is a look at the head."""
    covered = {name: history.memory.coverage(name) for name in history.live}
    return [name for name, coverage in covered.items() if any(walk.begun for walk in coverage.gaps)]


def _whole_since(history: History) -> datetime | None:
    """Returns since when every list has been read whole; a list of a page is, with each look."""
    known = [history.memory.coverage(name) for name, rows in history.live.items() if rows >= PAGE_RECORDS]
    if _unread(history) or any(coverage.read_whole_at is None for coverage in known):
        return None
    return from_microseconds(max((coverage.read_whole_at or 0 for coverage in known), default=0))


def _outlook(found: Status, history: History, settings: Settings) -> BacklogOutlook | None:
    if not (found.backlog or found.unread):
        return None
    averages = history.average_pages
    requests = sum(
        group.parents * group.pages(averages.get(stream, 1.0))
        for stream, groups in history.pending.items()
        for group in groups
    )
    stands = stands_since(found.runs, found.whole_since, found.read_at)
    return look_ahead(found.runs, requests, found.unread, settings.rate_limit, stands, found.read_at)


def tables_result(status: Status) -> QueryResult:
    """Returns the tables, for printing."""
    rows = (
        (name, rows, None if at is None else pendulum.instance(at).diff_for_humans())
        for name, rows, at in status.tables
    )
    return QueryResult(("table", "rows", "newest row"), iter(rows))


def runs_result(status: Status) -> QueryResult:
    """Returns the last runs, for printing."""
    columns = ("started_at", "outcome", "requests", "records", "backlog", "error")
    return QueryResult(columns, iter([tuple(run[name] for name in columns) for run in status.runs[:SHOWN_RUNS]]))


_BACKLOG = "select stream, count(*) from sync_progress where missing_before is not null group by stream order by stream"
_RECENT = f"select * from sync_runs order by started_at desc limit {_MOST_RUNS}"  # noqa: S608
_GOOD = f"select * from sync_runs where outcome not in ('failed', '{RUNNING}') order by started_at desc limit 1"  # noqa: S608


def _rows_and_age(connection: Connection, table: str) -> tuple[int, datetime | None]:
    sql = f"select count(*) filter (where _deleted_at is null), max(_synced_at) from {table}"  # noqa: S608
    rows, newest = connection.execute(sql)[0]
    return int(rows), newest


def _shown(run: dict[str, Any]) -> dict[str, Any]:
    return {key: _iso(value) for key, value in run.items() if key != "loaded_at"}


def _usage(settings: Settings, clock: Clock) -> BudgetUsage | None:
    if not settings.auth_token:
        return None
    path = StateDirectory(settings.state_dir).budget_path
    with RequestBudget(path, settings.auth_token, settings.rate_limit, clock) as budget:
        return budget.usage()


def _iso(value: Any) -> Any:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value
