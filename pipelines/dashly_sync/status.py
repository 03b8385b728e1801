"""What the warehouse holds and how fresh it is, read from the warehouse itself. Costs no request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pendulum

from dashly_state.budget import BudgetUsage, RequestBudget
from dashly_state.clock import Clock, SystemClock
from dashly_state.directory import StateDirectory
from dashly_sync.durations import duration_text
from dashly_sync.memory import open_warehouse
from dashly_sync.recheck import Recheck, read_recheck
from dashly_sync.settings import Settings
from dashly_warehouse.connections import Connection
from dashly_warehouse.query import QueryResult
from dashly_warehouse.specs import parse_destination

_TABLES = (
    *("users", "user_props", "events", "event_types", "conversations", "conversation_tags", "parts"),
    *("part_attachments", "admins", "channels", "active_users", "user_details"),
)
_RUN_COLUMNS = ("started_at", "finished_at", "outcome", "requests", "records", "waited_seconds", "backlog", "error")


@dataclass(frozen=True, slots=True)
class Status:
    """The state of one warehouse.

    Attributes:
        tables: Name, rows that are not deleted, time of the newest row.
        backlog: Parents with children known to be missing, by stream.
        runs: The last five, newest first.
        budget: None without a token.
        read_at: When this was looked at.
        recheck: How soon everything is read again; None before the first run has ended.
    """

    destination: str
    tables: Sequence[tuple[str, int, datetime | None]]
    backlog: dict[str, int]
    runs: Sequence[dict[str, Any]]
    budget: BudgetUsage | None
    read_at: datetime
    recheck: Recheck | None = None

    @property
    def last_success(self) -> datetime | None:
        """When the last run that did not fail ended."""
        ended = (run["finished_at"] for run in self.runs if run["outcome"] not in ("failed", "running"))
        return next(ended, None)

    def to_json(self) -> dict[str, Any]:
        """Returns what `--json` prints."""
        return {
            "destination": self.destination,
            "last_success_at": _iso(self.last_success),
            "tables": {name: {"rows": rows, "newest_synced_at": _iso(at)} for name, rows, at in self.tables},
            "backlog": self.backlog,
            "runs": [{key: _iso(value) for key, value in run.items()} for run in self.runs],
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
    found = Status(display, (), {}, (), _usage(settings, clock), datetime.fromtimestamp(now, UTC))
    with open_warehouse(settings) as connection:
        if connection is None:
            return found
        present = set(connection.tables())
        runs = connection.execute(_RUNS) if "sync_runs" in present else []
        return replace(
            found,
            tables=[(name, *_rows_and_age(connection, name)) for name in _TABLES if name in present],
            backlog=dict(connection.execute(_BACKLOG)) if "sync_progress" in present else {},
            runs=[dict(zip(_RUN_COLUMNS, run, strict=True)) for run in runs],
            recheck=read_recheck(connection, settings.reconcile_share, settings.rate_limit, now),
        )


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
    return QueryResult(columns, iter([tuple(run[name] for name in columns) for run in status.runs]))


_BACKLOG = "select stream, count(*) from sync_progress where missing_before is not null group by stream order by stream"
_RUNS = f"select {', '.join(_RUN_COLUMNS)} from sync_runs order by started_at desc limit 5"  # noqa: S608


def _rows_and_age(connection: Connection, table: str) -> tuple[int, datetime | None]:
    sql = f"select count(*) filter (where _deleted_at is null), max(_synced_at) from {table}"  # noqa: S608
    rows, newest = connection.execute(sql)[0]
    return int(rows), newest


def _usage(settings: Settings, clock: Clock) -> BudgetUsage | None:
    if not settings.auth_token:
        return None
    path = StateDirectory(settings.state_dir).budget_path
    with RequestBudget(path, settings.auth_token, settings.rate_limit, clock) as budget:
        return budget.usage()


def _iso(value: Any) -> Any:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value
