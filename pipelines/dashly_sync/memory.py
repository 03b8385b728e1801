"""What a warehouse remembers of past runs: the walks of the lists and the allowance. Reading only, no pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from dashly.endpoints import LISTS
from dashly.reconcile import LONGEST_GRANT_SECONDS
from dashly.values import MICRO
from dashly_state.budget import RateLimit
from dashly_state.coverage import Coverage
from dashly_sync.settings import Settings
from dashly_sync.warehouse_pipeline import PIPELINE_NAME
from dashly_warehouse.connections import WAIT_SECONDS, Connection, connect
from dashly_warehouse.pipeline_state import read_pipeline_state
from dashly_warehouse.specs import parse_destination

SOURCE = "dashly"
"""dlt keeps the state of a source under its name."""


@dataclass(frozen=True, slots=True)
class Memory:
    """dlt's state of the source, as the newest loaded package left it.

    Attributes:
        source: Everything; empty before the first slice is loaded.
        tables: Names of the tables that exist.
    """

    source: Mapping[str, Any] = field(default_factory=dict)
    tables: frozenset[str] = frozenset()

    @property
    def slice(self) -> int:
        """Number of the last slice that was loaded; 0 before the first."""
        return int(self.source.get("slice", 0))

    @property
    def reconcile(self) -> Mapping[str, Any]:
        """The allowance for reading again, as the last slice left it."""
        return self.source.get("reconcile") or {"at": None, "left": 0.0, "used": 0}

    def coverage(self, name: str) -> Coverage:
        """Returns what has been read of a list."""
        return Coverage.from_state(self.source.get("resources", {}).get(name, {}).get("coverage"))

    def head_floor(self, name: str) -> int | None:
        """Returns how far down the next look at a list's head goes, microseconds since 1970; None to its end."""
        endpoint, of_list = LISTS[name], self.source.get("resources", {}).get(name, {})
        settled = endpoint.settled(of_list.get("looked_at"))
        return self.coverage(name).head_floor(endpoint.look_back_seconds * MICRO, settled)

    def allowance(self, share: float, limit: RateLimit, now: float) -> int:
        """Returns how many requests a run that begins now may spend on reading again what is known.

        Args:
            share: Of the API's budget since the allowance last grew.
            limit: The API's budget.
            now: Unix seconds.

        Example:
            >>> Memory({"reconcile": {"at": 0, "left": 5.5, "used": 0}}).allowance(0.1, RateLimit(60, 60), 600)
            65
        """
        per_second = share * limit.requests / limit.seconds
        since = now if self.reconcile["at"] is None else self.reconcile["at"]
        granted = min(max(now - since, 0.0), LONGEST_GRANT_SECONDS) * per_second
        return int(min(self.reconcile["left"] + granted, LONGEST_GRANT_SECONDS * per_second))


@contextmanager
def open_warehouse(settings: Settings, wait_seconds: float = WAIT_SECONDS) -> Iterator[Connection | None]:
    """Opens the settings' warehouse for reading; None when it is a DuckDB file that does not exist yet.

    Args:
        settings: Which warehouse.
        wait_seconds: How long to wait for a DuckDB file into which a sync loads.

    Raises:
        WarehouseError: It cannot be opened.
    """
    spec = parse_destination(settings.destination)
    if spec.path is not None and not spec.path.exists():
        yield None
        return
    with connect(spec, settings.dataset_name, wait_seconds=wait_seconds) as connection:
        yield connection


def read_memory(connection: Connection | None) -> Memory:
    """Returns what the warehouse remembers; an empty memory of an empty or absent one. Costs two queries."""
    if connection is None:
        return Memory()
    state = read_pipeline_state(connection, PIPELINE_NAME)
    return Memory(state.get("sources", {}).get(SOURCE, {}), frozenset(connection.tables()))
