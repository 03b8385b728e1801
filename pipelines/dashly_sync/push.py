"""What `push` does: rows from the warehouse, held against the ledger, and sent to Dashly one call at a time."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime

from dashly.allowance import Allowance
from dashly.client import DashlyClient
from dashly.connection import Session
from dashly.errors import ApiUnavailable, DashlyError, Stopped
from dashly.shared_budget import writes_leave
from dashly_activation.api import DashlyApi
from dashly_activation.changes import accepted
from dashly_activation.dead_letters import has_news, write_letters
from dashly_activation.plan import Plan
from dashly_activation.rows import MappingError
from dashly_activation.sender import MOST_FAILURES, Sender, Tally
from dashly_activation.spool import Spool
from dashly_state.budget import RateLimit, RequestBudget
from dashly_state.clock import Clock, SystemClock
from dashly_state.directory import StateDirectory
from dashly_state.lock import RunLock
from dashly_state.privacy import private_files
from dashly_state.push_ledger import PushLedger, Status
from dashly_state.waits import Waits
from dashly_sync.push_order import PushOrder, PushRecord
from dashly_sync.settings import Settings, UsageError
from dashly_sync.signals import StopSignal
from dashly_warehouse.connections import connect
from dashly_warehouse.errors import WarehouseError
from dashly_warehouse.failures import database_failure
from dashly_warehouse.specs import check_dataset_name, parse_destination

KILLED = "the push was killed while the request was under way"
FILE_PATIENCE_SECONDS = 60.0
"""How long a DuckDB file that a sync loads into is waited for."""

Agree = Callable[[PushRecord], bool]
"""Asked before anything is sent."""
Show = Callable[[Plan, PushLedger, int | None], None]
"""Shows what changes."""


class Push:
    """Carries one push out.

    Args:
        settings: Which warehouse, which app, and with which token.
        order: What is to be sent.
        stop: Ends the push after the call that is under way.
        agree: Asked before anything is sent.
        show: Shows what changes, where the order asks for it.
        watching: Entered while rows are sent.
        clock: What time it is.
        session: Sends the requests.
        waits: Told what is waited for.
        tally: Where the sending counts, for whoever shows its progress.

    Attributes:
        record: What it did so far.
        error: What the API said that ended it; the record says what was done before.
    """

    def __init__(
        self,
        settings: Settings,
        order: PushOrder,
        stop: StopSignal,
        agree: Agree = lambda _record: True,
        show: Show = lambda _plan, _ledger, _limit: None,
        watching: Callable[[], AbstractContextManager[None]] = nullcontext,
        clock: Clock | None = None,
        session: Session | None = None,
        waits: Waits | None = None,
        tally: Tally | None = None,
    ) -> None:
        self._settings, self._order, self._stop = settings, order, stop
        self._agree, self._show, self._watching, self._session = agree, show, watching, session
        self._clock = clock or SystemClock()
        self._waits = waits or Waits(self._clock)
        self._spec = parse_destination(settings.destination)
        self._ends_at: float | None = None
        self.record = PushRecord(order.kind, order.name, order.is_dry)
        self._tally = tally or Tally()
        self.error: DashlyError | None = None

    def carry_out(self) -> PushRecord:
        """Returns what was done; whatever ends the push, the ledger has it, and so has the table of dead letters.

        Raises:
            UsageError: The columns and what was said of them do not fit together.
            WarehouseError: The rows cannot be read.
            DashlyError: The client cannot be made of these settings.
            StateError: The ledger or the budget cannot be used, or another push of this name is at work.
        """
        settings, order, began = self._settings, self._order, self._clock.monotonic()
        check_dataset_name(settings.dataset_name)
        if order.max_seconds is not None:
            self._ends_at = began + order.max_seconds
        directory, name = StateDirectory(settings.state_dir), self._ledger_name()
        lock = RunLock(directory.lock_path(f"{name}|push {order.name}"))
        with private_files(), lock, PushLedger(directory.push_ledger_path(name)) as ledger:
            lock.acquire({"command": f"dashly-sync push {order.kind}", "push": order.name})
            ledger.abandon(order.name, KILLED, self._clock.now())
            try:
                self._plan_and_send(ledger, directory)
            finally:
                if not order.is_dry:
                    self._tell(ledger)
                self.record.uncertain = ledger.counts(order.name).get(Status.UNCERTAIN, 0)
                self.record.seconds = self._clock.monotonic() - began
        return self.record

    def _plan_and_send(self, ledger: PushLedger, directory: StateDirectory) -> None:
        order, record, leave = self._order, self.record, writes_leave(self._settings.rate_limit)
        if order.accepts:
            record.accepted = accept_uncertain(ledger, order, self._clock.now())
        with Plan(order.kind, order.name, ledger, DashlyApi.most_operations) as plan:
            self._fill(plan, ledger)
            counts = record.counts = plan.counts()
            record.to_send = min(counts.to_send, counts.to_send if order.limit is None else order.limit)
            calls = counts.calls if record.to_send == counts.to_send else record.to_send
            record.seconds_needed = seconds_for(calls, self._settings.rate_limit, leave)
            if order.has_diff:
                self._show(plan, ledger, order.limit)
            if order.is_dry or not record.to_send or not self._agree(record):
                return
            with self._client(directory) as client, self._watching():
                self._send(plan, ledger, client)

    def _fill(self, plan: Plan, ledger: PushLedger) -> None:
        """Takes the rows of the warehouse, or those of the ledger, into the plan."""
        order, now, this_pass = self._order, self._clock.now(), uuid.uuid4().hex
        if order.retry is not None:
            plan.add_open(order.retry)
        if order.sql is None or order.mapped is None:
            return
        with self._spool(order.sql) as spool:
            try:
                request_of = order.mapped.bind(spool.columns, datetime.fromtimestamp(now, UTC))
            except MappingError as error:
                raise UsageError(str(error)) from None
            for rows in spool.chunks():
                plan.add(rows, request_of, this_pass, now)
        ledger.forget_unseen(order.name, this_pass)

    def _spool(self, sql: str) -> Spool:
        """Returns the rows; the warehouse is closed again then."""
        settings = self._settings
        with connect(self._spec, settings.dataset_name, True, FILE_PATIENCE_SECONDS, self._wait) as connection:
            return Spool.of(connection, sql)

    def _send(self, plan: Plan, ledger: PushLedger, client: DashlyClient) -> None:
        api, order = DashlyApi(client), self._order

        def why_stop() -> str:
            if self._stop.event.is_set():
                return "signal"
            if client.allowance.spent:
                return "request limit"
            return "time limit" if self._ends_at is not None and self._clock.monotonic() >= self._ends_at else ""

        sender = Sender(order.kind, order.name, ledger, api, why_stop, self._clock, self._tally)
        try:
            sender.send_all(plan.items(order.limit))
        except Stopped:
            self._tally.ending = why_stop() or "request limit"
        except DashlyError as error:
            self._tally.ending, self.error = "failed", error
        if self._tally.error is not None:
            self.error = ApiUnavailable(
                f"{MOST_FAILURES} calls in a row without a usable answer; the last: {self._tally.error}",
                "Nothing is lost: push again when the API answers",
            )
        self._take_stock(client, api)

    def _take_stock(self, client: DashlyClient, api: DashlyApi) -> None:
        record, tally = self.record, self._tally
        record.sent, record.refused, record.ending = tally.sent, tally.refused, tally.ending
        record.settled = tally.settled - tally.postponed
        record.requests, record.idle = client.requests_sent, api.idle

    @contextmanager
    def _client(self, directory: StateDirectory) -> Iterator[DashlyClient]:
        settings = self._settings
        with RequestBudget(
            directory.budget_path, settings.auth_token, settings.rate_limit, self._clock, waits=self._waits
        ) as budget:
            client = DashlyClient(
                settings.auth_token,
                budget,
                base_url=settings.base_url,
                app_id=settings.app_id,
                session=self._session,
                clock=self._clock,
                stop=self._stop.event,
            )
            client.allowance = Allowance(self._order.max_requests)
            yield client

    def _tell(self, ledger: PushLedger) -> None:
        """Makes the table of dead letters say what the ledger knows; what cannot be written now, the next push will."""
        order, settings = self._order, self._settings
        if not has_news(ledger, order.name):
            return
        try:
            with connect(self._spec, settings.dataset_name, False, FILE_PATIENCE_SECONDS, self._wait) as connection:
                write_letters(connection, ledger, order.name, order.kind)
        except Exception as error:  # the drivers' classes; everything is sent, and in the ledger
            known = error if isinstance(error, WarehouseError) else database_failure(error, self._spec)
            self.record.notices.append(
                f"push_dead_letters could not be written ({known}); the ledger has it, and the next push writes it"
            )

    def _wait(self, seconds: float) -> bool:
        return self._clock.wait(seconds, self._stop.event)

    def _ledger_name(self) -> str:
        """An app's rows come from one dataset; its token may change, and must not make a push forget."""
        settings, spec = self._settings, self._spec
        place = str(spec.path) if spec.path is not None else spec.display
        return "|".join((settings.base_url, settings.app_id, place, settings.dataset_name))


def accept_uncertain(ledger: PushLedger, order: PushOrder, at: float) -> int:
    """Takes what is uncertain to have arrived; returns how many rows that are."""
    count = 0
    while entries := ledger.with_status(order.name, Status.UNCERTAIN):
        for entry in entries:
            ledger.put(order.name, accepted(entry, order.kind, at))
        count += len(entries)
    return count


def seconds_for(calls: int, limit: RateLimit, leave: int) -> float:
    """Returns how long so many calls take, of which the first window's come at once.

    Example:
        >>> seconds_for(54, RateLimit(60, 60.0), 6), seconds_for(540, RateLimit(60, 60.0), 6)
        (0.0, 540.0)
    """
    return max(0.0, (-(-calls // (limit.requests - leave)) - 1) * limit.seconds)
