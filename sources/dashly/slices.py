"""What a slice of a run is told and what it tells: limits and outcome, dlt's state, a page's rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from dashly.errors import DashlyError
from dashly.records import Rows

State = MutableMapping[str, Any]


@dataclass(frozen=True, slots=True)
class SourceState:
    """dlt's state of the source: what the slices of a run, and one run and the next, tell each other."""

    source: State
    """`slice`: how many were extracted.
    `run`: of an unfinished run, when it looked at the heads, which snapshots it took, and whom of those that `moved` it
    still wanted to look at; gone when it finished.
    `reconcile`: requests `left` of the allowance for reading again, as of `at`, and how many were `used`.
    `counts_miss_some`: this account's `parts_count` leaves out parts that the API lists.
    `all_rows_known`: the warehouse has no children but those that progress knows of, so what a first walk over a
    parent's children shows is all that there ever was of them.
    `fields`: by kind of record, what the warehouse has met of the API's fields, see `Drift`.
    `unsettled_since`: the earliest `_synced_at` that may not have been settled in the warehouse."""
    of: Callable[[str], State]
    """State of one list: its `coverage`, when its head was `looked_at`, what was `carried` along, `unconfirmed` and
    `listed_since` from its sweeps."""

    @property
    def run(self) -> State:
        """What the unfinished run has already looked at."""
        run: State = self.source.setdefault("run", {})
        return run

    @property
    def reconcile(self) -> State:
        """The allowance for reading again what is known."""
        reconcile: State = self.source.setdefault("reconcile", {"at": None, "left": 0.0, "used": 0})
        return reconcile


@dataclass(slots=True)
class Slice:
    """How far one reading goes, and afterwards how it went."""

    max_requests: int | None = None
    max_seconds: float | None = None
    max_rows: int | None = None
    """No request starts when so many rows of lists were handed on: what a load takes of memory grows with them."""
    keep_error: bool = False
    """Record an error in `error` instead of raising it, so that the pages before it are loaded first."""
    on_page: Callable[[Slice], None] | None = None
    """Called after each page, for progress."""
    closing_rows: Callable[[Slice], Rows] | None = None
    """Asked when the slice ends, for rows that ride in its package under the resource named as their table."""

    error: DashlyError | None = None
    finished: bool = False
    """Nothing is known to be missing (or everything that is, is older than `since`)."""
    replayed: bool = False
    """The pages came from the journal of a run that was killed."""
    began_at: int | None = None
    """Microseconds since 1970: the earliest `_synced_at` of rows that have not been settled."""
    read_again: bool = False
    """Children were read whole of whom there may be rows that were not among them."""
    listed_since: dict[str, int] = field(default_factory=dict)
    """By list, microseconds since 1970: a record that was not synced since is no longer in the list."""
    missing: dict[str, int] = field(default_factory=dict)
    """Parents with children known to be missing, by child resource, as far as is known by now."""
    open_lists: list[str] = field(default_factory=list)
    """Lists whose walks have not met their end."""
    pages: int = 0
    reread: int = 0
    """Requests for what was known already, see `reconcile`."""
    rows: dict[str, int] = field(default_factory=dict)
    """Rows handed on, by table."""


@dataclass(frozen=True, slots=True)
class PageRows:
    """One page's rows, ready for dlt: by resource, then by table."""

    by_resource: Mapping[str, Rows]
