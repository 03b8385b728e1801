"""What past runs remember: watermarks, open walks, backlog, allowance. Reading only.

Two places hold it: dlt's state, with the walks of the lists, and the table `sync_progress`, with each parent's
children. Both are read from the warehouse; the page journal is a file of this machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dashly import journal_name
from dashly.connection import check_base_url
from dashly.endpoints import LISTS
from dashly.tables import SYNC_PROGRESS
from dashly.values import from_microseconds
from dashly_state.coverage import Coverage
from dashly_state.directory import StateDirectory
from dashly_state.journal import PageJournal
from dashly_sync.masking import masks_of
from dashly_sync.memory import Memory, open_warehouse, read_memory
from dashly_sync.settings import Settings
from dashly_sync.warehouse_pipeline import PIPELINE_NAME
from dashly_warehouse.connections import Connection
from dashly_warehouse.query import QueryResult
from dashly_warehouse.specs import parse_destination
from dashly_warehouse.verify import count_live


@dataclass(frozen=True, slots=True)
class ListState:
    """How far a list has been read.

    Attributes:
        name: Of the list.
        coverage: What has been read of it.
        rows: Live rows in the warehouse.
    """

    name: str
    coverage: Coverage
    rows: int

    def to_json(self) -> dict[str, Any]:
        """Returns what `--json` prints."""
        return {
            "watermark": time_text(self.coverage.newest),
            "read_whole_at": time_text(self.coverage.read_whole_at),
            "rows": self.rows,
            "open_walks": [
                {"from": time_text(walk.top), "down_to": time_text(walk.low), "until": time_text(walk.floor)}
                | {"records": walk.seen, "is_sweep": walk.is_sweep}
                for walk in self.coverage.walks
            ],
        }


@dataclass(frozen=True, slots=True)
class ChildState:
    """How far the children of one kind have been read.

    Attributes:
        stream: Which children.
        parents: Parents that are known.
        backlog: Those with children known to be missing.
        newest_missing: How recent what is missing may be.
        unchecked_since: When the children were read whole that were read whole longest ago.
    """

    stream: str
    parents: int
    backlog: int
    newest_missing: datetime | None
    unchecked_since: datetime | None


@dataclass(frozen=True, slots=True)
class SavedState:
    """Everything that is remembered.

    Attributes:
        destination: Where.
        memory: dlt's state.
        lists: How far each list has been read.
        children: How far the children of each kind have been read.
        allowance: Requests that a run which begins now may spend on reading again what is known.
        journal_pages: Pages that a killed run has fetched and not loaded; None where this machine has no journal.
    """

    destination: str
    memory: Memory
    lists: tuple[ListState, ...]
    children: tuple[ChildState, ...]
    allowance: int
    journal_pages: int | None

    def to_json(self) -> dict[str, Any]:
        """Returns what `--json` prints."""
        return {
            "destination": self.destination,
            "slice": self.memory.slice,
            "lists": {one.name: one.to_json() for one in self.lists},
            "children": {
                one.stream: {
                    "parents": one.parents,
                    "backlog": one.backlog,
                    "newest_missing_at": moment_text(one.newest_missing),
                    "unchecked_since": moment_text(one.unchecked_since),
                }
                for one in self.children
            },
            "reconcile": {"allowance": self.allowance, "used": self.memory.reconcile["used"]},
            "journal_pages": self.journal_pages,
            "sentence": self.sentence(),
        }

    def sentence(self) -> str:
        """Returns the closing sentence."""
        if not self.memory.source:
            return f"Nothing is remembered in {self.destination} yet: `dashly-sync run` begins from nothing."
        backlog, walks = sum(one.backlog for one in self.children), sum(len(one.coverage.gaps) for one in self.lists)
        waiting = f", {self.journal_pages:,} pages wait in the journal" if self.journal_pages else ""
        return (
            f"Slice {self.memory.slice:,} is loaded in {self.destination}: {backlog:,} in the backlog, {walks} open "
            f"walks, {self.allowance:,} requests allowed for reading again{waiting}."
        )


def read_state(settings: Settings, now: float) -> SavedState:
    """Returns what is remembered. Reads only: no request, no lock, nothing is made in the warehouse.

    Args:
        settings: Which warehouse, and which app.
        now: Unix seconds.

    Raises:
        WarehouseError: The warehouse cannot be opened.
    """
    with open_warehouse(settings) as connection:
        memory = read_memory(connection)
        lists = tuple(_list_states(connection, memory)) if connection is not None else ()
        children = tuple(_child_states(connection, memory)) if connection is not None else ()
    allowance = memory.allowance(settings.reconcile_share, settings.rate_limit, now) if memory.source else 0
    display = parse_destination(settings.destination).display
    return SavedState(display, memory, lists, children, allowance, _journal_pages(settings, memory))


def _list_states(connection: Connection, memory: Memory) -> Iterator[ListState]:
    for name in LISTS:
        coverage = memory.coverage(name)
        if coverage != Coverage():
            yield ListState(name, coverage, count_live(connection, name) if name in memory.tables else 0)


def _child_states(connection: Connection, memory: Memory) -> Iterator[ChildState]:
    if SYNC_PROGRESS.name not in memory.tables:
        return
    for stream, parents, backlog, missing, checked in connection.execute(_CHILDREN):
        yield ChildState(str(stream), int(parents), int(backlog), missing, checked)


def _journal_pages(settings: Settings, memory: Memory) -> int | None:
    masks = masks_of(settings)
    name = journal_name(check_base_url(settings.base_url), settings.app_id, PIPELINE_NAME, settings.dataset_name)
    path = StateDirectory(settings.state_dir).journal_path(name, masks.fingerprint if masks else "")
    if not path.exists():
        return None
    with PageJournal(path) as journal:
        return journal.count(memory.slice + 1)


def time_text(micros: int | None) -> str | None:
    """Returns a position as a time.

    Example:
        >>> time_text(1447339319900966), time_text(None)
        ('2015-11-12T14:41:59.900966Z', None)
    """
    return None if micros is None else moment_text(from_microseconds(micros))


def moment_text(moment: datetime | None) -> str | None:
    """Returns a time as the warehouse gave it, in ISO 8601."""
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


def lists_result(state: SavedState) -> QueryResult:
    """Returns the lists, for printing."""
    rows = (
        (
            one.name,
            time_text(one.coverage.newest),
            one.rows,
            time_text(one.coverage.read_whole_at),
            len(one.coverage.gaps),
        )
        for one in state.lists
    )
    return QueryResult(("list", "watermark", "rows", "read whole", "open walks"), rows)


def walks_result(state: SavedState) -> QueryResult:
    """Returns the open walks, for printing: where each began, how far it has come, where it will end."""
    rows = (
        (
            f"{'sweep' if walk.is_sweep else 'walk'} of {one.name}",
            time_text(walk.top) or "the head",
            time_text(walk.low) or "not begun",
            time_text(walk.floor) or "the end",
            walk.seen,
        )
        for one in state.lists
        for walk in one.coverage.walks
    )
    return QueryResult(("open", "from", "down to", "until", "records"), rows)


def children_result(state: SavedState) -> QueryResult:
    """Returns the children, for printing."""
    rows = (
        (one.stream, one.parents, one.backlog, moment_text(one.newest_missing), moment_text(one.unchecked_since))
        for one in state.children
    )
    return QueryResult(("children", "parents", "backlog", "newest missing", "unchecked since"), rows)


_CHILDREN = (
    "select stream, count(*), sum(case when missing_before is null then 0 else 1 end), max(missing_before), "
    "min(case when gone_at is null then checked_at end) from sync_progress group by stream order by stream"
)
