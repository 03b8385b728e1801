"""The table `sync_runs`: one row a run, written with each of its slices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dlt.extract import DltSource

    from dashly.slices import PageRows

TABLE = "sync_runs"
RUNNING = "running"
_TYPES = {
    "run_id": "text",
    "started_at": "timestamp",
    "finished_at": "timestamp",
    "outcome": "text",
    "requests": "bigint",
    "rate_limited": "bigint",
    "reread": "bigint",
    "records": "bigint",
    "slices": "bigint",
    "waited_seconds": "double",
    "backlog": "bigint",
    "error": "text",
    "_synced_at": "timestamp",
}


@dataclass(slots=True)
class RunRecord:
    """What one run did.

    Attributes:
        outcome: `running` (also of a run that was killed), `finished`, `request limit`, `time limit`, `signal` or
            `failed`.
        records: Rows loaded by table.
        reread: Requests for what was known already: edits, removals and silent changes show in no list.
        backlog: Parents with children known to be missing, by stream.
    """

    run_id: str
    started_at: datetime
    outcome: str = RUNNING
    finished_at: datetime | None = None
    requests: int = 0
    rate_limited: int = 0
    records: dict[str, int] = field(default_factory=dict)
    slices: int = 0
    reread: int = 0
    waited_seconds: float = 0.0
    backlog: dict[str, int] = field(default_factory=dict)
    open_lists: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    error: str | None = None

    def add_records(self, rows: Mapping[str, int]) -> None:
        """Counts the rows of one more slice; the source's own memory is not counted."""
        for table, count in rows.items():
            if table != "sync_progress":
                self.records[table] = self.records.get(table, 0) + count

    def to_row(self) -> dict[str, Any]:
        """Returns the row of `sync_runs`."""
        return {
            **{name: getattr(self, name) for name in _TYPES if name not in ("records", "backlog", "_synced_at")},
            "records": sum(self.records.values()),
            "backlog": sum(self.backlog.values()),
            "_synced_at": datetime.now(UTC),
        }

    def to_json(self) -> dict[str, Any]:
        """Returns what `--json` prints."""
        values = asdict(self)
        for name in ("started_at", "finished_at"):
            values[name] = None if values[name] is None else values[name].isoformat().replace("+00:00", "Z")
        return values


def add_run_table(source: DltSource) -> None:
    """Makes the source fill `sync_runs` too: its row rides in each slice's package and costs no load of its own."""
    import dlt

    columns: Any = {name: {"name": name, "data_type": kind} for name, kind in _TYPES.items()}

    @dlt.transformer(
        name=TABLE,
        columns=columns,
        primary_key="run_id",
        write_disposition="merge",
    )
    def sync_runs(page: PageRows) -> Iterator[Any]:
        yield page.by_resource.get(TABLE, {}).get(TABLE, [])

    source.resources.add(source.resources["pages"] | sync_runs)
