"""Decides which request comes next, and turns each answer into rows and into what is known.

One rule orders everything: what is newest comes first. The heads of the lists are newest of all; then a parent whose
children are missing counts as recent as the newest child it may miss, and an open walk as recent as where it stands.
So the children of what just changed come before history, and history fills in from its newest end.

A reading is a slice of a run: it begins from what dlt's state and the destination know, and ends at its limits or when
nothing is known to be missing. Every page is written to the journal before it is handed on; after a kill the first
slice is read from there, costs nothing, and ends where the journal ends.
"""

from __future__ import annotations

import heapq
import itertools
import logging
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from dashly.client import DashlyClient
from dashly.endpoints import CHILDREN, LISTS, SNAPSHOTS, TOLD, ListEndpoint
from dashly.envelope import Envelope, parse_envelope
from dashly.errors import AccessError, ApiChanged, ApiUnavailable, DashlyError, RecordForbidden, RecordGone, Stopped
from dashly.held import progress_row
from dashly.paging import Page, is_offset, next_token, page_params, records_in, step_back
from dashly.records import Record, Rows, merge_rows, part_rows, stamp
from dashly.values import from_microseconds, id_number, microseconds
from dashly_state.coverage import Coverage, Walk
from dashly_state.journal import PageJournal
from dashly_state.progress import Need, Progress, ProgressLookup

logger = logging.getLogger(__name__)

MICRO = 1_000_000
HEAD = 2**62
"""More recent than any time: the head of a list, which nobody has looked at yet."""
HEAD_EVERY_SECONDS = 600.0
"""A run that goes on for hours looks at the heads again so often: 0.3 % of the budget keeps what is new coming."""
TAKEN_UP_WITHIN_SECONDS = 60.0
"""A run that takes up an unfinished one so soon goes on where that one stood; later, it looks at the heads first."""
MOST_IN_FLIGHT = 8
SHORTEST_PACE_SECONDS = 0.25
UNAVAILABLE_IN_A_ROW = 3
"""One parent that the API fails on is left for the next run; so many in a row mean that the API is down."""

RECONCILE = -1
"""Less recent than any time: what is read again although it is known."""
DEFAULT_RECONCILE_SHARE = 0.1
LIST_SWEEP_EVERY_SECONDS = 86_400.0
LIST_SWEEP_SHARE = 4
"""One in so many reconciling requests goes to a sweep of a list while one is due."""
RECHECK_AFTER_SECONDS = 3_600.0
"""Children that were read whole more recently are not read again to reconcile."""
LONGEST_GRANT_SECONDS = 86_400.0
"""The allowance for reconciling grows no further: a run after a month's pause would otherwise go on for three days."""

State = MutableMapping[str, Any]


@dataclass(frozen=True, slots=True)
class SourceState:
    """dlt's state of the source: what the slices of a run, and one run and the next, tell each other."""

    source: State
    """`run`: of an unfinished run, when it looked at the heads and which snapshots it took; gone when it finished.
    `reconcile`: requests `left` of the allowance for reading again, as of `at`, and how many were `used`.
    `unsettled_since`: the earliest `_synced_at` that may not have been settled in the warehouse."""
    of: Callable[[str], State]
    """State of one list resource: `coverage` and `carried`."""

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
    keep_error: bool = False
    """Record an error in `error` instead of raising it, so that the pages before it are loaded first."""
    error: DashlyError | None = None
    finished: bool = False
    """Nothing is known to be missing (or everything that is, is older than `since`)."""
    replayed: bool = False
    """The pages came from the journal of a run that was killed."""
    began_at: int | None = None
    """Microseconds since 1970: the earliest `_synced_at` of rows that have not been settled."""
    listed_since: dict[str, int] = field(default_factory=dict)
    """By list, microseconds since 1970: a record that was not synced since is no longer in the list."""
    pages: int = 0
    missing: dict[str, int] = field(default_factory=dict)
    """Parents with children known to be missing, by child resource, as far as is known by now."""
    open_lists: list[str] = field(default_factory=list)
    """Lists whose walks have not met their end."""
    rows: dict[str, int] = field(default_factory=dict)
    """Rows handed on, by table."""
    on_page: Callable[[Slice], None] | None = None
    """Called after each page, for progress."""
    closing_rows: Callable[[Slice], Rows] | None = None
    """Asked when the slice ends, for rows that ride in its package under the resource named as their table."""


@dataclass(frozen=True, slots=True)
class PageRows:
    """One page's rows, ready for dlt: by resource, then by table."""

    by_resource: Mapping[str, Rows]


@dataclass(frozen=True, slots=True)
class Task:
    """One request that would bring something, and how recent what it brings may be (microseconds since 1970)."""

    resource: str
    recency: int
    walk: Walk
    progress: Progress | None = None
    """Of the parent, for children."""

    @property
    def parent(self) -> tuple[str, str] | None:
        """Stream and id of the parent, for children."""
        return None if self.progress is None else (self.progress.stream, self.progress.parent_id)

    @property
    def name(self) -> str:
        """What is read, for messages."""
        return self.resource if self.progress is None else f"{self.resource} of {self.progress.parent_id}"


class Reader:
    """Reads slice after slice. Keep one for a whole run: it remembers what this run has already looked at.

    Args:
        client: Talks to the API.
        since: Reads nothing older, microseconds since 1970; what is left out stays known as missing.
        reconcile_share: Share of the API's budget since the last run that may go to reading again what is known.
        full: Reads everything again that was not read since this moment, microseconds since 1970, whatever the share.
    """

    def __init__(
        self,
        client: DashlyClient,
        since: int | None = None,
        reconcile_share: float = DEFAULT_RECONCILE_SHARE,
        full: int | None = None,
    ) -> None:
        self.client = client
        self.since = since
        self.reconcile_share = reconcile_share
        self.full = full
        self.settled = False
        """Whether what this process loaded so far has been settled in the warehouse."""
        self.skipped: dict[tuple[str, str], str] = {}
        """Parents left for the next run, with the reason."""
        self.continuing = False
        """False until the first slice that asked the API: a new process looks at the heads again sooner."""
        self._unavailable_in_a_row = 0
        self._last_fetched = 0

    def fetch(self, task: Task) -> tuple[bytes, float]:
        """Returns the body of the task's page and when it came. Costs one request."""
        path, params = self.request_of(task)
        answer = self.client.get(path, params, task.name)
        return answer.body, answer.fetched_at

    def request_of(self, task: Task) -> tuple[str, dict[str, str]]:
        """Returns path and parameters of the task's request, without the token."""
        endpoint = LISTS.get(task.resource) or CHILDREN.get(task.resource) or SNAPSHOTS[task.resource]
        may_offset = isinstance(endpoint, ListEndpoint) and endpoint.may_offset
        params = {"id_as_string": "true", **getattr(endpoint, "params", {})}
        if task.resource != "user_details":
            params |= page_params(task.walk.after, may_offset=may_offset)
        parent = "" if task.progress is None else quote(task.progress.parent_id, safe="")
        return endpoint.path.format(app=quote(self.client.app_id, safe="$"), parent=parent), params

    def moment(self, fetched_at: float) -> int:
        """Returns microseconds since 1970, later at every call: of two versions in one package the later stays."""
        self._last_fetched = max(int(fetched_at * MICRO), self._last_fetched + 1)
        return self._last_fetched

    def count_failure(self, task: Task, error: DashlyError) -> None:
        """Leaves the task's parent for the next run.

        Raises:
            DashlyError: The failure is not the parent's own: a list, or several parents in a row.
        """
        own = isinstance(error, RecordForbidden | ApiUnavailable)
        if isinstance(error, RecordForbidden) and task.progress is None:
            raise AccessError(str(error), error.mend)
        self._unavailable_in_a_row += isinstance(error, ApiUnavailable)
        if task.parent is None or not own or self._unavailable_in_a_row >= UNAVAILABLE_IN_A_ROW:
            raise error
        self.skipped[task.parent] = str(error)
        logger.warning("%s is left for the next run: %s", task.name, error)

    def count_success(self) -> None:
        """The API answers: failures before this one were the parents' own."""
        self._unavailable_in_a_row = 0


class Reading:
    """One slice: begins from what is known, hands on pages of rows, and writes down what is known then.

    Args:
        reader: Of this run.
        selected: Resources whose rows are wanted.
        state: dlt's state; written before each page is handed on.
        lookup: What the destination knows of each parent.
        limits: How far to go; its outcome is written there.
        journal: Where pages are kept until their package is loaded.
        slice_id: Number of this slice in the journal.
    """

    def __init__(
        self,
        reader: Reader,
        selected: frozenset[str],
        state: SourceState,
        lookup: ProgressLookup,
        limits: Slice,
        journal: PageJournal | None = None,
        slice_id: int = 0,
    ) -> None:
        self._reader, self._client = reader, reader.client
        self._selected, self._state, self._lookup, self._limits = selected, state, lookup, limits
        self._journal, self._slice_id = journal, slice_id
        self._replaying = journal is not None and journal.has_pages(slice_id)
        self._coverage: dict[str, Coverage] = {}
        self._progress: dict[tuple[str, str], Progress] = {}
        self._queue: list[tuple[int, int, Task]] = []
        self._order = itertools.count()
        self._asked: dict[str, int] = {}
        self._started = 0
        self._parents_in_flight: set[tuple[str, str]] = set()
        self._heard_in_flight: set[tuple[str, str]] = set()
        self._lists_in_flight: set[str] = set()
        self._sweeps_begun: list[Task] = []
        self._last_page: dict[str, frozenset[str | None]] = {}
        self._tokens: set[tuple[str, bool, int | None, str]] = set()
        self._error: DashlyError | None = None
        self._ends_at: float | None = None

    def pages(self) -> Iterator[PageRows]:
        """Yields the rows of each page, newest first.

        Raises:
            DashlyError: The API failed; what was handed on before is in the journal.
        """
        if self._limits.max_seconds is not None:
            self._ends_at = self._client.clock.monotonic() + self._limits.max_seconds
        self._begin()
        answers = self._from_journal() if self._replaying else self._from_api()
        for task, body, fetched_at in answers:
            try:
                page = self._absorb(task, body, fetched_at)
            except DashlyError as error:
                self._error = error
            else:
                self._limits.pages += 1
                if self._limits.on_page is not None:
                    self._limits.on_page(self._limits)
                yield page
        self._conclude()
        if self._limits.closing_rows is not None:
            yield PageRows({name: {name: rows} for name, rows in self._limits.closing_rows(self._limits).items()})
        if self._limits.error is not None and not self._limits.keep_error:
            raise self._limits.error

    # ---- what to read -------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Opens the walks of the lists, and queues everything that is known to be missing."""
        heads = self._heads_due()
        for name, endpoint in LISTS.items():
            wanted = self._selected & {name, *endpoint.children, *endpoint.optional_children}
            if wanted:
                self._open(endpoint, wanted, heads=heads)
        for name in SNAPSHOTS:
            if name in self._selected and name not in self._state.run.get("snapshots", ()):
                self._push(Task(name, HEAD - 1, Walk()))
        streams = [name for name in CHILDREN if name in self._selected]
        self._limits.missing = dict(self._lookup.backlog(streams, self._reader.since))
        self._backlog = self._lookup.pending(streams, self._reader.since)
        self._next_in_backlog = next(self._backlog, None)
        self._grant()
        self._unchecked = self._lookup.longest_unchecked(streams, self._recheck_before())

    def _grant(self) -> None:
        """Lets the allowance for reconciling grow by its share of the budget since it last grew."""
        now, reconcile, limit = self._client.clock.now(), self._state.reconcile, self._client.budget.limit
        per_second = self._reader.reconcile_share * limit.requests / limit.seconds
        since = now if reconcile["at"] is None else reconcile["at"]
        granted = min(max(now - since, 0.0), LONGEST_GRANT_SECONDS) * per_second
        reconcile["left"] = min(reconcile["left"] + granted, LONGEST_GRANT_SECONDS * per_second)
        reconcile["at"] = now

    def _recheck_before(self) -> int:
        """Returns the moment since which what was read whole is not read again, microseconds since 1970."""
        if self._reader.full is not None:
            return self._reader.full
        return int((self._client.clock.now() - RECHECK_AFTER_SECONDS) * MICRO)

    def _heads_due(self) -> bool:
        read_at = self._state.run.get("heads_at")
        patience = HEAD_EVERY_SECONDS if self._reader.continuing else TAKEN_UP_WITHIN_SECONDS
        return read_at is None or not 0 <= self._client.clock.now() - read_at < patience

    def _open(self, endpoint: ListEndpoint, wanted: frozenset[str], *, heads: bool) -> None:
        """Takes up a list's walks; begins anew when rows are wanted that did not ride along before."""
        state = self._state.of(endpoint.resource)
        carried = wanted - frozenset(endpoint.children)
        coverage = Coverage.from_state(state.get("coverage"))
        if not carried <= frozenset(state.get("carried", carried)):
            coverage, heads = Coverage(), True
        if heads:
            coverage = coverage.begin(endpoint.look_back_seconds * MICRO)
        state["carried"] = sorted(carried)
        self._set_coverage(endpoint.resource, coverage)
        for walk in coverage.gaps:
            self._push_list(endpoint.resource, walk)

    def _push_list(self, name: str, walk: Walk) -> None:
        self._push(Task(name, HEAD if walk.low is None else walk.low, walk))

    def _push_child(self, progress: Progress) -> None:
        if progress.stream in self._selected and progress.pending:
            self._push(Task(progress.stream, progress.missing_before, progress.coverage.gaps[0], progress))

    def _push(self, task: Task) -> None:
        if self._reader.since is None or task.recency >= self._reader.since:
            heapq.heappush(self._queue, (-task.recency, next(self._order), task))

    def _next_task(self) -> Task | None:
        """Takes the most recent task; when nothing is known to be missing, one that reads again what is known."""
        return self._next_missing() or self._next_known()

    def _next_missing(self) -> Task | None:
        """Takes the most recent task, of this slice or of the backlog; None when nothing is known to be missing."""
        while True:
            waiting = self._next_in_backlog
            if waiting is not None and (not self._queue or waiting.missing_before > -self._queue[0][0]):
                self._next_in_backlog = next(self._backlog, None)
                if (waiting.stream, waiting.parent_id) not in self._progress:
                    self._progress[waiting.stream, waiting.parent_id] = waiting
                    self._push_child(waiting)
                continue
            if not self._queue:
                return None
            task = heapq.heappop(self._queue)[2]
            if self._is_current(task):
                return task

    def _next_known(self) -> Task | None:
        """Takes what was read whole longest ago, as far as the allowance goes; None at its end."""
        allowed = self._reader.full is not None or self._state.reconcile["left"] >= 1 or self._replaying
        if not allowed or self._reader.since is not None:
            return None
        if self._sweeps_begun:
            return self._sweeps_begun.pop()
        used = self._state.reconcile["used"]
        task = self._next_list_sweep() if used % LIST_SWEEP_SHARE == 0 else None
        return task or self._next_child_sweep() or self._next_list_sweep()

    def _next_list_sweep(self) -> Task | None:
        for name, coverage in self._coverage.items():
            read_at = (coverage.read_whole_at or 0) / MICRO
            due = self._client.clock.now() - read_at >= LIST_SWEEP_EVERY_SECONDS
            if self._reader.full is not None:
                due = (coverage.read_whole_at or 0) < self._reader.full
            if (coverage.sweep or due) and name not in self._lists_in_flight:
                self._set_coverage(name, coverage.begin_sweep())
                walk = self._coverage[name].sweep
                assert walk is not None  # noqa: S101  # it was just begun
                return Task(name, RECONCILE, walk)
        return None

    def _next_child_sweep(self) -> Task | None:
        for progress in self._unchecked:
            known = self._progress.get((progress.stream, progress.parent_id), progress)
            unchanged = known.checked_at == progress.checked_at and not known.pending
            task = self._sweep_of(known.begin_sweep()) if unchanged else None
            if task is not None:
                return task
        return None

    def _sweep_of(self, progress: Progress) -> Task | None:
        """Returns the next request of a parent's sweep; None when none is open."""
        key, walk = (progress.stream, progress.parent_id), progress.coverage.sweep
        if walk is None or key in self._reader.skipped:
            return None
        self._progress[key] = progress
        return Task(progress.stream, RECONCILE, walk, progress)

    def _is_current(self, task: Task) -> bool:
        """Whether the task still is what its parent or list needs: a later list row may have replaced it."""
        if task.progress is not None and task.parent is not None:
            known = self._progress.get(task.parent, task.progress)
            left_out = task.parent in self._reader.skipped or task.parent in self._parents_in_flight
            return not left_out and known.pending and known.coverage.gaps[0] == task.walk
        return task.resource in SNAPSHOTS or task.walk in self._coverage[task.resource].walks

    # ---- where answers come from --------------------------------------------------------------------------------

    def _from_journal(self) -> Iterator[tuple[Task, bytes, float]]:
        """Yields what the killed run had fetched; costs nothing and asks for nothing more."""
        self._limits.replayed = True
        not_there = 0
        while not_there < MOST_IN_FLIGHT and (task := self._next_task()) is not None:
            assert self._journal is not None  # noqa: S101  # that is what replaying means
            page = self._journal.get(self._slice_id, self._key(task))
            if page is not None:
                self._began(task)
                yield task, page.body, page.fetched_at
            not_there = 0 if page is not None else not_there + (task.recency == RECONCILE)

    def _from_api(self) -> Iterator[tuple[Task, bytes, float]]:
        """Yields answers as they come; starts another request when those in flight take longer than the pace.

        Below one second of latency that is one request at a time, so a kill costs one request.
        """
        limit = self._client.budget.limit
        pace = max(limit.seconds / limit.requests, SHORTEST_PACE_SECONDS)
        with ThreadPoolExecutor(MOST_IN_FLIGHT, thread_name_prefix="dashly") as pool:
            in_flight: dict[Future[tuple[bytes, float]], Task] = {}
            while self._start_one(pool, in_flight) or in_flight:
                done, _ = wait(in_flight, timeout=pace, return_when=FIRST_COMPLETED)
                for future in done:
                    task = in_flight.pop(future)
                    answer = self._outcome(task, future)
                    if answer is not None:
                        self._keep(task, *answer)
                        yield task, *answer

    def _start_one(self, pool: ThreadPoolExecutor, in_flight: dict[Future[tuple[bytes, float]], Task]) -> bool:
        if len(in_flight) >= MOST_IN_FLIGHT or self._client.waiting or self._at_limit():
            return False
        task = self._next_task()
        if task is None:
            return False
        self._started += 1
        self._reader.continuing = True
        self._began(task)
        in_flight[pool.submit(self._reader.fetch, task)] = task
        return True

    def _began(self, task: Task) -> None:
        if task.parent is not None:
            self._parents_in_flight.add(task.parent)
        else:
            self._lists_in_flight.add(task.resource)
        if task.recency == RECONCILE:
            self._state.reconcile["used"] += 1
            self._state.reconcile["left"] = max(0.0, self._state.reconcile["left"] - 1)

    def _at_limit(self) -> bool:
        """Whether no further request may start in this slice."""
        out_of_requests = self._limits.max_requests is not None and self._started >= self._limits.max_requests
        out_of_time = self._ends_at is not None and self._client.clock.monotonic() >= self._ends_at
        stopped = self._client.stop.is_set() or self._client.allowance.spent
        return self._error is not None or out_of_requests or out_of_time or stopped

    def _outcome(self, task: Task, future: Future[tuple[bytes, float]]) -> tuple[bytes, float] | None:
        """Returns the answer; None when the request failed and nothing is to be taken up."""
        try:
            answer = future.result()
        except RecordGone:
            answer = (_GONE, self._client.clock.now())
        except DashlyError as error:
            self._fail(task, error)
            return None
        else:
            self._reader.count_success()
        return answer

    def _fail(self, task: Task, error: DashlyError) -> None:
        self._parents_in_flight -= {task.parent}
        self._lists_in_flight -= {task.resource}
        if isinstance(error, Stopped):
            self._error = self._error or error
            return
        try:
            self._reader.count_failure(task, error)
        except DashlyError as fatal:
            self._error = fatal if self._error is None or isinstance(self._error, Stopped) else self._error

    def _keep(self, task: Task, body: bytes, fetched_at: float) -> None:
        if self._journal is not None:
            self._journal.put(self._slice_id, self._key(task), body, fetched_at)

    def _key(self, task: Task) -> str:
        """Returns what the page is called in the journal: its request, and the how-manieth time it was sent."""
        path, params = self._reader.request_of(task)
        request = f"{path}?{urlencode(sorted(params.items()))}"
        self._asked[request] = self._asked.get(request, 0) + 1
        return f"{request}#{self._asked[request]}"

    # ---- what an answer means -----------------------------------------------------------------------------------

    def _absorb(self, task: Task, body: bytes, fetched_at: float) -> PageRows:
        """Turns an answer into rows, and notes what is known then."""
        self._parents_in_flight -= {task.parent}
        self._lists_in_flight -= {task.resource}
        now = self._reader.moment(fetched_at)
        self._limits.began_at = now if self._limits.began_at is None else min(now, self._limits.began_at)
        try:
            page = self._page(task, parse_envelope(body, task.name), fetched_at)
        except RecordGone:
            if task.progress is None:
                raise
            gone = task.progress.give_up(now)
            self._note(task.progress, gone)
            return self._rows({task.resource: {}}, now, [gone])
        if task.resource in LISTS:
            return self._absorb_list(task, page, now)
        if task.progress is not None:
            return self._absorb_children(task, task.progress, page, now)
        return self._absorb_snapshot(task, page, now)

    def _page(self, task: Task, envelope: Envelope, fetched_at: float) -> Page:
        records = records_in(envelope, task.resource, task.name)
        endpoint = LISTS.get(task.resource)
        may_offset = endpoint is not None and endpoint.may_offset
        token = next_token(envelope, len(records), task.walk.after, task.name, may_offset=may_offset)
        self._refuse_circle(task, token)
        return Page(records, token, fetched_at)

    def _refuse_circle(self, task: Task, token: str | None) -> None:
        """Raises ApiChanged for a page token that this walk was given before: following it would never end."""
        if token is None or is_offset(token):
            return
        key = (task.name, task.walk.is_sweep, task.walk.top, token)
        if key in self._tokens:
            raise ApiChanged(f"{task.name}: the page token {token} was given twice", _LOOK)
        self._tokens.add(key)

    def _absorb_list(self, task: Task, page: Page, now: int) -> PageRows:
        endpoint = LISTS[task.resource]
        positions = [min(endpoint.position(record), now) for record in page.records]
        token, in_order = self._checked_offset(task, page, positions)
        if not in_order:
            positions = []
        if not task.walk.begun and not task.walk.is_sweep:
            self._state.run["heads_at"] = page.fetched_at
        coverage, going_on = self._coverage[task.resource].advance(task.walk, positions, token, now)
        self._set_coverage(task.resource, coverage)
        self._confirm_sweep(task.resource, task.walk, going_on, now)
        if going_on is not None and not going_on.is_sweep:
            self._push_list(task.resource, going_on)
        own = merge_rows(endpoint.rows(record) for record in page.records) if task.resource in self._selected else {}
        heard, taken = self._hear(endpoint, page.records, now)
        return self._rows({task.resource: own, "parts": taken}, now, heard)

    def _confirm_sweep(self, name: str, walk: Walk, going_on: Walk | None, now: int) -> None:
        """Notes since when a record that is still listed must have been seen.

        A record that changes while a walk goes on jumps to the head, behind the reader's back. So what a whole walk did
        not show is known to be gone only when a head walk that began after it has closed too.
        """
        state = self._state.of(name)
        if going_on is not None:
            return
        if walk.floor is None:
            state["unconfirmed"] = {"since": self._coverage[name].read_whole_at, "ended_at": now}
        elif "unconfirmed" in state and (walk.began_at or now) >= state["unconfirmed"]["ended_at"]:
            state["listed_since"] = state.pop("unconfirmed")["since"]

    def _checked_offset(self, task: Task, page: Page, positions: list[int]) -> tuple[str | None, bool]:
        """Returns the token to go on with, and whether the page follows the one before without a gap.

        Matters where a list pages by offset and may move between two pages. Moving down only shows records twice. When
        it moved up, the first record is older than the last one read: what is in between was missed, so the walk steps
        back a page. A server that takes no offset shows the same page again: then the list ends here.
        """
        ids = frozenset(str(record.get("id")) for record in page.records)
        again = bool(ids) and ids == self._last_page.get(task.resource)
        self._last_page[task.resource] = ids
        after = task.walk.after
        if after is None or not is_offset(after):
            return page.next_token, True
        if again and is_offset(page.next_token):
            return None, True
        moved_up = positions[0] < task.walk.low if positions and task.walk.low is not None else not positions
        return (step_back(after), False) if moved_up else (page.next_token, True)

    def _hear(self, endpoint: ListEndpoint, records: list[Record], now: int) -> tuple[list[Progress], Rows]:
        """Returns the progress of parents about which the page says something new, and children it carries whole."""
        news: list[Progress] = []
        taken: list[Rows] = []
        for stream in (*endpoint.children, *(self._selected & frozenset(endpoint.optional_children))):
            parents = {str(record.get("id")): record for record in records if record.get("id") is not None}
            for parent_id, before in self._known(stream, list(parents)).items():
                told = TOLD[stream](parents[parent_id])
                told = replace(told, last_is_whole=told.last_is_whole and stream in self._selected)
                after, need = before.hear(told, now)
                if need is Need.READ and (stream, parent_id) in self._parents_in_flight:
                    self._heard_in_flight.add((stream, parent_id))
                if need is Need.LAST_ONLY:
                    taken.append(part_rows(parents[parent_id]["part_last"], parent_id))
                if after != before:
                    self._note(before, after)
                    news.append(after)
        return news, merge_rows(taken)

    def _known(self, stream: str, parent_ids: list[str]) -> dict[str, Progress]:
        """Returns each parent's progress: as this slice has it, else as the destination has it, else empty."""
        strangers = [parent_id for parent_id in parent_ids if (stream, parent_id) not in self._progress]
        held = self._lookup.known(stream, strangers)
        return {
            parent_id: self._progress.get((stream, parent_id)) or held.get(parent_id) or Progress(stream, parent_id)
            for parent_id in parent_ids
        }

    def _absorb_children(self, task: Task, progress: Progress, page: Page, now: int) -> PageRows:
        endpoint = CHILDREN[task.resource]
        current = self._progress.get((progress.stream, progress.parent_id), progress)
        numbers = [number for number in map(id_number, page.records) if number is not None] if endpoint.has_ids else []
        created = [at for at in (microseconds(record.get("created")) for record in page.records) if at is not None]
        after = current.read(task.walk, numbers, page.next_token, min(created, default=None), now)
        if task.parent in self._heard_in_flight:
            after = after.begin()
            self._heard_in_flight -= {task.parent}
        self._note(current, after)
        if task.walk.is_sweep:
            self._sweeps_begun += [task for task in (self._sweep_of(after),) if task is not None]
        rows = merge_rows(endpoint.rows(record, progress.parent_id) for record in page.records)
        return self._rows({task.resource: rows}, now, [after])

    def _absorb_snapshot(self, task: Task, page: Page, now: int) -> PageRows:
        if page.next_token is not None:
            self._push(replace(task, walk=replace(task.walk, after=page.next_token)))
        else:
            self._state.run["snapshots"] = [*self._state.run.get("snapshots", ()), task.resource]
        shape = SNAPSHOTS[task.resource].rows
        return self._rows(
            {task.resource: merge_rows(shape(one, from_microseconds(now)) for one in page.records)}, now, []
        )

    # ---- what is known then -------------------------------------------------------------------------------------

    def _note(self, before: Progress, after: Progress) -> None:
        """Keeps what is known now of a parent, and queues what its children still miss."""
        self._progress[after.stream, after.parent_id] = after
        if after.stream in self._selected:
            self._limits.missing[after.stream] += after.pending - before.pending
        self._push_child(after)

    def _set_coverage(self, name: str, coverage: Coverage) -> None:
        self._coverage[name] = coverage
        self._state.of(name)["coverage"] = coverage.to_state()

    def _rows(self, found: dict[str, Rows], now: int, progress: list[Progress]) -> PageRows:
        """Returns the rows of selected resources, stamped; progress rides with whichever of them is there."""
        moment: datetime = from_microseconds(now)
        by_resource = {name: stamp(rows, moment) for name, rows in found.items() if name in self._selected}
        carrier = next(iter(by_resource), None) or min(self._selected)
        if progress:
            rows = [progress_row(one, moment) for one in progress]
            by_resource.setdefault(carrier, {}).setdefault("sync_progress", []).extend(rows)
        for rows_by_table in by_resource.values():
            for table, many in rows_by_table.items():
                self._limits.rows[table] = self._limits.rows.get(table, 0) + len(many)
        return PageRows(by_resource)

    def _conclude(self) -> None:
        """Notes how the slice ended."""
        error = self._error
        self._limits.finished = error is None and not self._replaying and self._next_task() is None
        self._limits.open_lists = [name for name, coverage in self._coverage.items() if not coverage.complete]
        if self._limits.finished:
            self._state.source.pop("run", None)
        unsettled = None if self._reader.settled else self._state.source.get("unsettled_since")
        began = min((at for at in (self._limits.began_at, unsettled) if at is not None), default=None)
        self._limits.began_at = self._state.source["unsettled_since"] = began
        states = {name: self._state.of(name) for name in self._coverage if name in self._selected}
        self._limits.listed_since = {name: of["listed_since"] for name, of in states.items() if "listed_since" in of}
        if not isinstance(error, Stopped):
            self._limits.error = error


_GONE = b'{"meta": {"status": 400, "error": "LookupError"}, "data": {}}'
_LOOK = "The API may have changed its paging: run `dashly-sync check`"
