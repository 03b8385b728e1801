"""Moving what past runs remember: a watermark down (rewind), or all of it away (reset), so that it is read again.

A change of dlt's state goes through a load package, as a run's does: the destination's copy follows, and a lost
working directory changes nothing. A change of `sync_progress` is one statement in one transaction.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

import dlt

from dashly.endpoints import CHILDREN, LISTS
from dashly.paging import PAGE_RECORDS
from dashly.tables import SYNC_PROGRESS
from dashly.values import MICRO, from_microseconds, json_text
from dashly_state.coverage import Coverage, Walk
from dashly_state.directory import StateDirectory
from dashly_state.lock import RunLock
from dashly_state.privacy import private_files
from dashly_sync.history import pages_to_read
from dashly_sync.masking import drop_other_packages, masks_of
from dashly_sync.memory import SOURCE, Memory, open_warehouse, read_memory
from dashly_sync.run import lock_name
from dashly_sync.settings import Settings, UsageError
from dashly_sync.state import time_text
from dashly_sync.warehouse_pipeline import open_pipeline, take_up_state
from dashly_warehouse.connections import Connection
from dashly_warehouse.destinations import check_destination, explain_failure
from dashly_warehouse.specs import parse_destination

POSITIONS = {"users": "last_seen_at", "conversations": "updated_at"}
"""The column of each list's table by which the list is in order."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a rewind or a reset does.

    Attributes:
        does: In words, as a beginning of a sentence.
        requests: What the next run pays for it, at most; the look at the heads that it takes anyway is not counted.
        parents: Parents whose children are read again.
        is_change: Whether there is anything to do.
    """

    does: str
    requests: int
    parents: int = 0
    is_change: bool = True

    def sentence(self, *, done: bool) -> str:
        """Returns the closing sentence."""
        if not self.is_change:
            return f"Nothing to do: {self.does}."
        costs = f"{self.requests:,} request{'' if self.requests == 1 else 's'} at most"
        return f"{'Done' if done else 'Would be done'}: {self.does}. The next run pays {costs} for it."

    def to_json(self, *, done: bool) -> dict[str, Any]:
        """Returns what `--json` prints."""
        return {
            "done": done and self.is_change,
            "requests": self.requests,
            "parents": self.parents,
            "sentence": self.sentence(done=done),
        }


def rewind(settings: Settings, resource: str, to: int, *, dry_run: bool = False) -> Change:
    """Moves a watermark down, so that the next run reads again what is newer; returns what that does and costs.

    A list is read again from its head down to `to`. Of children, those of every parent that moved at or after `to` are
    read again whole.

    Args:
        settings: Which warehouse, and which app.
        resource: A list or a child resource.
        to: Microseconds since 1970.
        dry_run: Only says what it would do: no lock, nothing changes.

    Raises:
        UsageError: There is nothing to rewind in the warehouse, or no token by which the run lock goes.
        RunLockHeld: A run is at work.
        WarehouseError: The destination failed.
    """
    plan = partial(_rewind_plan, resource, to)
    if dry_run:
        return _planned(settings, plan)
    with _locked_pipeline(settings, "state rewind") as pipeline:
        change = _planned(settings, plan)
        if change.is_change and resource in LISTS:
            _change_source(pipeline, lambda source: _rewind_list(source, resource, to))
        elif change.is_change:
            _read_children_again(pipeline, resource, "parent_updated_at >= %s", [from_microseconds(to)])
    return change


def reset(settings: Settings, resource: str | None, *, dry_run: bool = False) -> Change:
    """Forgets, so that the next run reads everything of it again; rows in the tables stay.

    A list's coverage is forgotten. Of children, every known parent's are to be read again whole. Without a resource,
    dlt's state and all of `sync_progress` go, and so do pages that a killed run left in the journal.

    Args:
        settings: Which warehouse, and which app.
        resource: A list or a child resource; None for all.
        dry_run: Only says what it would do: no lock, nothing changes.

    Raises:
        UsageError: There is nothing to forget in the warehouse, or no token by which the run lock goes.
        RunLockHeld: A run is at work.
        WarehouseError: The destination failed.
    """
    plan = partial(_reset_plan, resource)
    if dry_run:
        return _planned(settings, plan)
    with _locked_pipeline(settings, "state reset") as pipeline:
        change = _planned(settings, plan)
        if resource is None or resource in LISTS:
            _change_source(pipeline, lambda source: _forget_lists(source, resource))
        if resource is None:
            # After dlt's state: a parent that nothing is known of is only met again when its list is read anew.
            _execute(pipeline, "delete from {table} where stream is not null")
        elif resource in CHILDREN:
            _read_children_again(pipeline, resource, "parent_updated_at is not null")
    return change


def _planned(settings: Settings, plan: Callable[[Connection, Memory], Change]) -> Change:
    """Returns what a change would do to the warehouse as it is."""
    with open_warehouse(settings) as connection:
        memory = read_memory(connection)
        if connection is None or not memory.source:
            where = parse_destination(settings.destination).display
            raise UsageError(f"nothing is remembered in {where} yet. `dashly-sync run` begins from nothing")
        return plan(connection, memory)


def _rewind_plan(resource: str, to: int, connection: Connection, memory: Memory) -> Change:
    day = time_text(to)
    if resource in CHILDREN:
        parents, pages = _children_to_read(
            connection, memory, resource, "parent_updated_at >= %s", from_microseconds(to)
        )
        if not parents:
            return Change(f"no parent of {resource} moved at or after {day}", 0, is_change=False)
        return Change(f"{resource} of {parents:,} parents that moved at or after {day} are read again", pages, parents)
    coverage = memory.coverage(resource)
    look_back = LISTS[resource].look_back_seconds * MICRO
    changed = rewound(coverage, to, look_back)
    if changed == coverage:
        newest = time_text(coverage.newest)
        reason = "has none yet" if newest is None else f"is at {newest}, which is no later than {day}"
        return Change(f"the watermark of {resource} {reason}", 0, is_change=False)
    floor = None if changed.newest is None else from_microseconds(max(0, changed.newest - look_back))
    rows = live_rows(connection, memory, resource, floor)
    down_to = "its end, as an open walk had not come so far" if floor is None else day
    return Change(f"the list of {resource} is read again from its head to {down_to}", _pages(rows))


def _reset_plan(resource: str | None, connection: Connection, memory: Memory) -> Change:
    if resource in CHILDREN:
        parents, pages = _children_to_read(connection, memory, resource, "parent_updated_at is not null")
        does = f"{resource} of all {parents:,} parents are read again"
        return Change(does, pages, parents, is_change=parents > 0)
    if resource is not None:
        rows = live_rows(connection, memory, resource)
        return Change(f"the list of {resource}, {rows:,} rows, is read again from its head to its end", _pages(rows))
    found = [_children_to_read(connection, memory, name, "parent_updated_at is not null") for name in CHILDREN]
    lists = sum(_pages(live_rows(connection, memory, name)) for name in LISTS)
    parents = sum(parents for parents, _ in found)
    does = f"everything that is remembered is forgotten, the children of {parents:,} parents with it; rows stay"
    return Change(does, lists + sum(pages for _, pages in found), parents)


def rewound(coverage: Coverage, to: int, look_back: int) -> Coverage:
    """Returns the coverage with its watermark moved down to `to`, so that the next head walk reads so far.

    An open walk that has passed `to` stays. One that has not is given up: the head walk reads its part too, down to
    where it would have ended, so that nothing is read twice.

    Args:
        coverage: Of a list.
        to: Microseconds since 1970.
        look_back: How far below the watermark a head walk goes.

    Example:
        >>> rewound(Coverage(900), 500, 10).newest
        500
        >>> walk = Walk(top=900, after="700", low=700, began_at=1)
        >>> rewound(Coverage(900, (walk,)), 800, 10) == Coverage(800, (walk,))
        True
        >>> rewound(Coverage(900, (walk,)), 500, 10)
        Coverage(newest=None, walks=(), read_whole_at=None, read_twice_at=None, shift_next=False)
    """
    if coverage.newest is None or coverage.newest <= to:
        return coverage
    given_up = [walk for walk in coverage.gaps if walk.low is None or walk.low > to]
    floors = [None if walk.floor is None else walk.floor + look_back for walk in given_up]
    newest = None if None in floors else min([to, *(floor for floor in floors if floor is not None)])
    return replace(coverage, newest=newest, walks=tuple(walk for walk in coverage.walks if walk not in given_up))


def _rewind_list(source: MutableMapping[str, Any], name: str, to: int) -> None:
    state = source["resources"][name]
    state.pop("looked_at", None)
    look_back = LISTS[name].look_back_seconds * MICRO
    state["coverage"] = rewound(Coverage.from_state(state["coverage"]), to, look_back).to_state()
    source.get("run", {}).pop("heads_at", None)  # a run that takes up an unfinished one at once would skip the heads


def _forget_lists(source: MutableMapping[str, Any], name: str | None) -> None:
    for known in list(source.get("resources", {})):
        if name in (None, known):
            del source["resources"][known]
    if name is None:
        _doubt_rows(source)
        source.pop("run", None)
        source["slice"] += 1  # pages in the journal belong to the slice that would have come next
    else:
        source.get("run", {}).pop("heads_at", None)


def _doubt_rows(source: MutableMapping[str, Any]) -> None:
    """From now on there are rows that progress does not know of."""
    source.pop("all_rows_known", None)


def live_rows(connection: Connection, memory: Memory, name: str, since: datetime | None = None) -> int:
    """Returns the live rows of a list; those that moved at or after a time when one is given."""
    if name not in memory.tables:
        return 0
    sql = f"select count(*) from {name} where _deleted_at is null"  # noqa: S608
    if since is None:
        return int(connection.execute(sql)[0][0])
    return int(connection.execute(f"{sql} and {POSITIONS[name]} >= %s", [since])[0][0])


def _children_to_read(
    connection: Connection, memory: Memory, stream: str, where: str, *params: object
) -> tuple[int, int]:
    if SYNC_PROGRESS.name not in memory.tables:
        return 0, 0
    return pages_to_read(connection, stream, f"{where} and gone_at is null", params)


def _pages(rows: int) -> int:
    return max(1, math.ceil(rows / PAGE_RECORDS))


@contextmanager
def _locked_pipeline(settings: Settings, command: str) -> Iterator[dlt.Pipeline]:
    """Holds the run lock; the pipeline is as the next run would find it, pending packages loaded and state taken."""
    if not settings.auth_token and settings.app_id.startswith("$"):
        raise UsageError(
            "no API token: the lock that keeps a run from changing the state at the same time goes by it. "
            "Set DASHLY_AUTH_TOKEN, or name the app with --app-id"
        )
    directory = StateDirectory(settings.state_dir)
    _planned(settings, lambda *_: Change("", 0))
    with private_files(), RunLock(directory.lock_path(lock_name(settings))) as lock:
        lock.acquire({"command": f"dashly-sync {command}"})
        pipeline, spec = open_pipeline(settings, directory)
        check_destination(spec, settings.dataset_name)
        try:
            drop_other_packages(pipeline, masks_of(settings))
            if pipeline.has_pending_data:
                pipeline.run()
            take_up_state(pipeline, spec.display)
            yield pipeline
        except Exception as error:
            known = explain_failure(error, spec)
            if known is None:
                raise
            raise known from None


def _change_source(pipeline: dlt.Pipeline, change: Callable[[MutableMapping[str, Any]], None]) -> None:
    """Changes dlt's state of the source, and loads a package with nothing else in it.

    That is how dlt's own commands do it. A process that dies before the package is loaded leaves it pending, and the
    next run loads it before it begins.
    """
    with pipeline.managed_state(extract_state=True) as state:
        change(state["sources"][SOURCE])
    pipeline.normalize()
    pipeline.load()


def _read_children_again(pipeline: dlt.Pipeline, stream: str, where: str, params: list[Any] | None = None) -> None:
    """Opens a walk over all children of each of the parents; what is held of them is counted anew."""
    _change_source(pipeline, _doubt_rows)
    walks = json_text([Walk().to_state()])
    sql = (
        "update {table} set newest_id = null, rows_held = 0, walks = %s, "  # noqa: S608
        f"missing_before = parent_updated_at where stream = %s and gone_at is null and {where}"
    )
    _execute(pipeline, sql, walks, stream, *(params or []))


def _execute(pipeline: dlt.Pipeline, sql: str, *params: Any) -> None:
    with pipeline.sql_client() as client, client.begin_transaction():
        client.execute_sql(sql.format(table=client.make_qualified_table_name(SYNC_PROGRESS.name)), *params)
