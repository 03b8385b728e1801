"""One run: slice after slice, each fetched, loaded and committed before the next begins.

dlt commits rows and state together when a load package is done, and throws a failed extraction away whole. So a run is
a loop of short ones, and the load happens while the request budget refills. The first slice takes a minute; while there
is more to read than fits, each takes four times as long as the one before, up to twenty minutes: a load has a price of
its own, whatever it holds. But its memory grows with its rows, so a slice has an end there too.
"""

from __future__ import annotations

import hashlib
import math
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import dlt

from dashly import DashlyClient, Reader, Slice, dashly
from dashly.allowance import Allowance
from dashly.connection import Session
from dashly.values import from_microseconds
from dashly_state.budget import RequestBudget
from dashly_state.clock import Clock, SystemClock
from dashly_state.directory import StateDirectory
from dashly_state.lock import RunLock
from dashly_state.privacy import private_files
from dashly_state.waits import Waits
from dashly_sync.local_failures import explain_local_failure, local_failures_explained
from dashly_sync.masking import drop_other_packages, masks_notice, masks_of
from dashly_sync.publishing import Publisher
from dashly_sync.run_log import RUNNING, TABLE, RunRecord, add_run_table
from dashly_sync.settings import Settings
from dashly_sync.signals import StopSignal
from dashly_sync.union import union_notices
from dashly_sync.warehouse_pipeline import (
    load_pending,
    open_pipeline,
    remove_leftovers,
    slices_done,
    take_up_state,
)
from dashly_warehouse.destinations import check_destination, explain_failure, loader_file_format
from dashly_warehouse.holding import Hold
from dashly_warehouse.keys import ensure_keys, prune_dlt_history, prune_packages
from dashly_warehouse.new_file import create_file
from dashly_warehouse.settle import settle
from dashly_warehouse.specs import DestinationSpec, parse_destination
from dashly_warehouse.views import ensure_views

SLICE_SECONDS = 60.0
GROWTH = 4
MOST_TIMES_LONGER = 20
"""A slice takes twenty minutes at most, so what is new waits no longer for its commit."""
MOST_REQUESTS = 1_200
"""Nor does it make more requests than 60 a minute allow in that time: children bring 60,000 rows with them."""
MOST_ROWS = 40_000
"""Nor does it hold more rows of lists, which with what hangs on them are there in 90 s, and take more memory."""
PRUNE_EVERY_SLICES = 25
FILE_PATIENCE_SECONDS = 600.0
"""A reader of the DuckDB file is waited for so long; then the run fails, says who it is, and the next one goes on."""
CHILDREN = {"users": ("events", "user_details"), "conversations": ("parts",)}


@dataclass(frozen=True, slots=True)
class RunLimits:
    """How far a run goes.

    Attributes:
        resources: What to read; a child brings its list along.
        max_requests: Retries count.
        max_seconds: From start to last commit.
        since: Nothing older is read, microseconds since 1970.
        full: Everything is read again once, whatever the share for reconciling.
        slice_requests: A slice is loaded after so many requests.
        slice_rows: Or once it has so many rows of lists.
    """

    resources: tuple[str, ...]
    max_requests: int | None = None
    max_seconds: float | None = None
    since: int | None = None
    full: bool = False
    slice_requests: int = MOST_REQUESTS
    slice_rows: int = MOST_ROWS


Watch = Callable[[RunRecord, Slice | None], None]


class Run:
    """Carries one run out.

    Args:
        settings: Where to and with which token.
        limits: How far.
        stop: Ends the run after the page in hand.
        watch: Called after each page and after each load.
        clock: What time it is.
        session: Sends the requests.
        waits: Told what the run waits for; whoever shows its progress has the same object.
        file_patience: How long to wait for a DuckDB file that another process has open, seconds.
    """

    def __init__(
        self,
        settings: Settings,
        limits: RunLimits,
        stop: StopSignal,
        watch: Watch = lambda _record, _slice: None,
        clock: Clock | None = None,
        session: Session | None = None,
        waits: Waits | None = None,
        file_patience: float = FILE_PATIENCE_SECONDS,
    ) -> None:
        self._session = session
        self._settings, self._limits, self._stop, self._watch = settings, limits, stop, watch
        self._clock = clock or SystemClock()
        self._waits = waits or Waits(self._clock)
        self._masks = masks_of(settings)
        self._publisher = Publisher(settings, self._clock)
        spec = parse_destination(settings.destination)
        self._hold = Hold(spec, file_patience, self._wait_for_file, self._waiting_for_file)
        self._directory = StateDirectory(settings.state_dir)
        self._ends_at: float | None = None
        self.record = RunRecord(uuid.uuid4().hex, datetime.fromtimestamp(self._clock.now(), UTC))

    def carry_out(self) -> RunRecord:
        """Returns the record of the run, as it stands in `sync_runs`.

        Raises:
            DashlyError: The API failed; everything read before is loaded.
            WarehouseError: The destination failed; the next run goes on from what it has.
            StateError: The state directory failed, or another run holds the lock.
        """
        if self._limits.max_seconds is not None:
            self._ends_at = self._clock.monotonic() + self._limits.max_seconds
        settings, waits = self._settings, self._waits
        with local_failures_explained(self._directory.root), private_files():
            pipeline, spec = open_pipeline(settings, self._directory)
        budget_path = self._directory.budget_path
        with (
            private_files() as umask,
            RequestBudget(budget_path, settings.auth_token, settings.rate_limit, self._clock, waits=waits) as budget,
            RunLock(self._directory.lock_path(lock_name(settings))) as lock,
        ):
            client = self._client(budget)
            lock.acquire({"command": "dashly-sync run", "destination": spec.display})
            with self._waiting_for_file():
                check_destination(spec, settings.dataset_name, self._hold.wait_seconds, self._wait_for_file)
            try:
                create_file(spec, umask)
                self._sync(client, pipeline, spec)
            except Exception as error:
                known = explain_failure(error, spec) or explain_local_failure(error, self._directory.root)
                if known is None:
                    raise
                raise known from None
        return self.record

    def _client(self, budget: RequestBudget) -> DashlyClient:
        settings = self._settings
        client = DashlyClient(
            settings.auth_token,
            budget,
            base_url=settings.base_url,
            app_id=settings.app_id,
            session=self._session,
            clock=self._clock,
            stop=self._stop.event,
        )
        client.allowance = Allowance(self._limits.max_requests)
        return client

    def _sync(self, client: DashlyClient, pipeline: dlt.Pipeline, spec: DestinationSpec) -> None:
        drop_other_packages(pipeline, self._masks)
        remove_leftovers(pipeline)
        with self._hold:
            found = (
                load_pending(pipeline, self._hold),
                take_up_state(pipeline, spec.display),
                masks_notice(pipeline, self._masks, full=self._limits.full),
            )
        self.record.notices += [notice for notice in found if notice is not None]
        full = int(self._clock.now() * 1_000_000) if self._limits.full else None
        settings, since = self._settings, self._limits.since
        contract = settings.schema_contract
        reader = Reader(client, since, settings.reconcile_share, full, self._masks, contract, lambda: self._hold)
        try:
            self._read_all(client, pipeline, reader, loader_file_format(spec))
        finally:
            self.record.notices += reader.drift.notices()
        self.record.skipped = {f"{stream} of {parent}": why for (stream, parent), why in reader.skipped.items()}

    def _read_all(self, client: DashlyClient, pipeline: dlt.Pipeline, reader: Reader, file_format: Any) -> None:
        """Carries out slice after slice, the longer the more there is to read."""
        times_longer = 1
        while True:
            limits = self._next_slice(client, times_longer)
            source = dashly(reader=reader, limits=limits, state_dir=self._state_dir())
            add_run_table(source)
            selected = source.with_resources(*self._limits.resources, TABLE)
            try:
                load = partial(pipeline.run, selected, loader_file_format=file_format)
                self._hold.with_memory(load, again=pipeline.run)
                self._committed(pipeline, limits)
            finally:
                self._hold.let_go()
            reader.settled = True
            self.record.notices += self._publisher.after_load(is_last=self.record.outcome != RUNNING)
            if limits.error is not None:
                raise limits.error
            if self.record.outcome != RUNNING:
                break
            times_longer = min(GROWTH * times_longer, MOST_TIMES_LONGER)

    def _next_slice(self, client: DashlyClient, times_longer: int) -> Slice:
        left = math.inf if self._ends_at is None else max(0.0, self._ends_at - self._clock.monotonic())
        return Slice(
            max_requests=min(self._settings.rate_limit.requests * times_longer, self._limits.slice_requests),
            max_seconds=min(SLICE_SECONDS * times_longer, left),
            max_rows=self._limits.slice_rows,
            keep_error=True,
            on_page=lambda limits: self._watch(self.record, limits),
            closing_rows=lambda limits: {TABLE: [self._close_slice(client, limits).to_row()]},
        )

    def _close_slice(self, client: DashlyClient, limits: Slice) -> RunRecord:
        """Writes down how the run stands when the slice has been read; the row loads with the slice or not at all.

        From here on dlt works on the warehouse, until `_committed` is done.
        """
        self._hold.take()
        record = self.record
        record.slices += 1
        record.add_records(limits.rows)
        record.requests, record.rate_limited = client.requests_sent, client.rate_limited
        record.reread += limits.reread
        record.waited_seconds = round(client.budget.waited_seconds, 3)
        record.backlog, record.open_lists = dict(limits.missing), list(limits.open_lists)
        record.outcome = self._outcome(client, limits)
        record.error = None if limits.error is None else str(limits.error)
        if record.outcome != RUNNING:
            record.finished_at = datetime.fromtimestamp(self._clock.now(), UTC)
        return record

    def _outcome(self, client: DashlyClient, limits: Slice) -> str:
        out_of_time = self._ends_at is not None and self._clock.monotonic() >= self._ends_at
        ends = (
            (limits.error is not None, "failed"),
            (limits.finished, "finished"),
            (self._stop.event.is_set(), "signal"),
            (client.allowance.spent, "request limit"),
            (out_of_time, "time limit"),
        )
        return next((outcome for holds, outcome in ends if holds), RUNNING)

    def _committed(self, pipeline: dlt.Pipeline, limits: Slice) -> None:
        """Does what dlt leaves to us after a load: keys, views, tombstones, and now and then pruning."""
        ensure_keys(pipeline)
        self.record.notices += ensure_views(pipeline, self._settings.business_hours).notices
        self.record.notices += union_notices(pipeline, self._settings)
        self._hold.checkpoint()
        if limits.began_at is not None:
            listed_since = {name: from_microseconds(at) for name, at in limits.listed_since.items()}
            began = from_microseconds(limits.began_at)
            settling = partial(settle, pipeline, began, listed_since, read_again=limits.read_again)
            self._hold.with_memory(settling, settling)
        prune_packages(pipeline)
        if slices_done(pipeline) % PRUNE_EVERY_SLICES == 0:
            prune_dlt_history(pipeline)
        self._watch(self.record, None)

    def _wait_for_file(self, seconds: float) -> bool:
        """Waits for a DuckDB file that another process has open; returns whether the run has no time for that."""
        left = math.inf if self._ends_at is None else self._ends_at - self._clock.monotonic()
        return left <= 0 or self._clock.wait(min(seconds, left), self._stop.event)

    def _waiting_for_file(self) -> AbstractContextManager[Any]:
        return self._waits.during("for whoever has the DuckDB file open")

    def _state_dir(self) -> str | None:
        return None if self._settings.state_dir is None else str(self._settings.state_dir)


def with_parents(resources: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the resources with the lists that their children need: rows that are paid for are kept.

    Example:
        >>> with_parents(("parts", "events"))
        ('parts', 'events', 'users', 'conversations')
    """
    needed = [name for name, children in CHILDREN.items() if set(children) & set(resources)]
    return tuple(dict.fromkeys((*resources, *needed)))


def lock_name(settings: Settings) -> str:
    """One run per app: an app is a base URL and an app id, or the token when the app is the token's own."""
    token = hashlib.sha256(settings.auth_token.encode()).hexdigest()[:16]
    return f"{settings.base_url}|{token if settings.app_id.startswith('$') else settings.app_id}"
