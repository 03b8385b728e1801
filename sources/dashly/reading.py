"""One slice of a run: asks for page after page, keeps each in the journal, and hands its rows on.

A reading begins from what dlt's state and the destination know, and ends at its limits or when nothing is known to be
missing. Every page is written to the journal before it is handed on; after a kill the first slice is read from there,
costs nothing, and ends where the journal ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from dashly.absorb import GONE_BODY, Absorber
from dashly.agenda import Agenda
from dashly.endpoints import LISTS
from dashly.errors import DashlyError, RecordGone, Stopped
from dashly.flights import MOST_IN_FLIGHT
from dashly.reader import Reader
from dashly.reconcile import Reconciler
from dashly.slices import PageRows, Slice, SourceState
from dashly.tables import RESOURCE_TABLES
from dashly.tasks import RECONCILE, Fetched, Task
from dashly_state.journal import PageJournal
from dashly_state.progress import ProgressLookup

LIST_TABLES = frozenset(table for name in LISTS for table in RESOURCE_TABLES[name])
"""What a page of a list fills."""
HEAD_EVERY_SECONDS = 300.0
"""A run that goes on for hours looks at the heads when a slice begins so much later: less than 1 % of the budget."""
TAKEN_UP_WITHIN_SECONDS = 60.0
"""A run that takes up an unfinished one so soon goes on where that one stood; later, it looks at the heads first."""


class Reading:
    """Begins from what is known, hands on pages of rows, and writes down what is known then.

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
        journal: PageJournal,
        slice_id: int,
    ) -> None:
        self._reader, self._client, self._state, self._limits = reader, reader.client, state, limits
        self._journal, self._slice_id = journal, slice_id
        self._limits.replayed = journal.has_pages(slice_id)
        clock, limit = self._client.clock, self._client.budget.limit
        self._agenda = Agenda(selected, state, lookup, limits, reader.since, reader.skipped)
        self._reconciler = Reconciler(
            self._agenda, state.reconcile, lookup, clock, limit, reader.reconcile_share, reader.full
        )
        self._absorber = Absorber(self._agenda, self._reconciler, state, limits, reader.drift)
        reader.drift.begin(state.source.get("fields", {}))
        self._asked: dict[str, int] = {}
        self._started = 0
        self._error: DashlyError | None = None
        self._ends_at = None if limits.max_seconds is None else clock.monotonic() + limits.max_seconds

    def pages(self) -> Iterator[PageRows]:
        """Yields the rows of each page, newest first.

        Raises:
            DashlyError: The API failed; what was handed on before is in the journal.
        """
        with self._reader.access():
            self._agenda.begin(heads=self._heads_due())
            self._take_up_looks()
        for task, answer in self._from_journal() if self._limits.replayed else self._from_api():
            self._agenda.ended(task)
            now = self._reader.moment(answer.at)
            try:
                page = self._absorber.absorb(task, answer, now)
            except DashlyError as error:
                self._error = error
            else:
                self._count(page, now)
                yield page
        self._conclude()
        if self._limits.closing_rows is not None:
            yield PageRows({name: {name: rows} for name, rows in self._limits.closing_rows(self._limits).items()})
        if self._limits.error is not None and not self._limits.keep_error:
            raise self._limits.error

    def _take_up_looks(self) -> None:
        """Queues those whom an unfinished run did not get to look at."""
        left: dict[str, list[str]] = {}
        for stream, parent_id in self._state.run.pop("moved", ()):
            left.setdefault(stream, []).append(parent_id)
        for stream in left.keys() & set(self._agenda.streams):
            for progress in self._agenda.known(stream, left[stream]).values():
                self._reconciler.look_at(progress)

    def _heads_due(self) -> bool:
        read_at = self._state.run.get("heads_at")
        patience = HEAD_EVERY_SECONDS if self._reader.continuing else TAKEN_UP_WITHIN_SECONDS
        return read_at is None or not 0 <= self._client.clock.now() - read_at < patience

    def _next_task(self) -> Task | None:
        """Takes the most recent task; when nothing is known to be missing, one that reads again what is known."""
        task = self._agenda.next_missing()
        if task is not None or self._reader.since is not None:
            return task
        return self._reconciler.next_task(whatever_the_allowance=self._limits.replayed)

    def _began(self, task: Task) -> None:
        self._agenda.began(task)
        if task.recency == RECONCILE:
            self._reconciler.began(task)
            self._limits.reread += 1

    # ---- where answers come from -------------------------------------------------------------------------------

    def _from_journal(self) -> Iterator[tuple[Task, Fetched]]:
        """Yields what the killed run had fetched; costs nothing and asks for nothing more."""
        not_there = 0
        while not_there < MOST_IN_FLIGHT and (task := self._next_task()) is not None:
            page = self._journal.get(self._slice_id, self._key(task))
            if page is None:
                not_there += task.recency == RECONCILE  # of what is missing there is an end, of what is known none
                continue
            self._began(task)
            yield task, Fetched(page.body, page.fetched_at)

    def _from_api(self) -> Iterator[tuple[Task, Fetched]]:
        """Yields answers as they come, and keeps as many requests under way as use the whole budget, see `Flights`.

        While answers take less than the pace, a second at 60/60, that is one at a time, so a kill costs one request.
        """
        with ThreadPoolExecutor(MOST_IN_FLIGHT, thread_name_prefix="dashly") as pool:
            under_way: dict[Future[Fetched], Task] = {}
            while self._start_one(pool, under_way):
                done, _ = wait(under_way, timeout=self._client.flights.look_seconds, return_when=FIRST_COMPLETED)
                for future in done:
                    task = under_way.pop(future)
                    answer = self._outcome(task, future)
                    if answer is not None:
                        self._journal.put(self._slice_id, self._key(task), answer.body, answer.at)
                        yield task, answer

    def _start_one(self, pool: ThreadPoolExecutor, under_way: dict[Future[Fetched], Task]) -> bool:
        """Starts one more if it is worth it, and returns whether there is any to wait for."""
        may_begin = self._client.flights.may_begin(len(under_way)) and not self._at_limit()
        task = self._next_task() if may_begin else None
        if task is not None:
            self._started += 1
            self._reader.continuing = True
            self._began(task)
            under_way[pool.submit(self._reader.fetch, task)] = task
        return bool(under_way)

    def _at_limit(self) -> bool:
        """Whether no further request may start in this slice."""
        out_of_requests = self._limits.max_requests is not None and self._started >= self._limits.max_requests
        listed = sum(self._limits.rows.get(table, 0) for table in LIST_TABLES)
        enough_rows = self._limits.max_rows is not None and listed >= self._limits.max_rows
        out_of_time = self._ends_at is not None and self._client.clock.monotonic() >= self._ends_at
        stopped = self._client.stop.is_set() or self._client.allowance.spent
        return self._error is not None or out_of_requests or enough_rows or out_of_time or stopped

    def _outcome(self, task: Task, future: Future[Fetched]) -> Fetched | None:
        """Returns the answer; None when the request failed and nothing is to be taken up."""
        try:
            answer = future.result()
        except RecordGone:
            return Fetched(GONE_BODY, self._client.clock.now())
        except DashlyError as error:
            self._agenda.ended(task)
            self._fail(task, error)
            return None
        self._reader.count_success()
        return answer

    def _fail(self, task: Task, error: DashlyError) -> None:
        if isinstance(error, Stopped):
            self._error = self._error or error
            return
        try:
            self._reader.count_failure(task, error)
        except DashlyError as fatal:
            self._error = fatal if self._error is None or isinstance(self._error, Stopped) else self._error

    def _key(self, task: Task) -> str:
        """Returns what the page is called in the journal: its request, and the how-manieth time it was sent."""
        request = task.request_text(self._client.app_id)
        self._asked[request] = self._asked.get(request, 0) + 1
        return f"{request}#{self._asked[request]}"

    # ---- how it went -------------------------------------------------------------------------------------------

    def _count(self, page: PageRows, now: int) -> None:
        limits = self._limits
        limits.pages += 1
        limits.began_at = now if limits.began_at is None else min(now, limits.began_at)
        for rows_by_table in page.by_resource.values():
            for table, rows in rows_by_table.items():
                limits.rows[table] = limits.rows.get(table, 0) + len(rows)
        if limits.on_page is not None:
            limits.on_page(limits)

    def _conclude(self) -> None:
        """Notes how the slice ended."""
        limits, error, coverage = self._limits, self._error, self._agenda.coverage
        limits.finished = error is None and not limits.replayed and self._next_task() is None
        limits.error = None if isinstance(error, Stopped) else error
        self._reader.drift.remember(self._state.source.setdefault("fields", {}), is_whole=limits.finished)
        limits.open_lists = [name for name, known in coverage.items() if not known.complete]
        if limits.finished:
            self._state.source.pop("run", None)
        elif left := self._reconciler.left_to_look_at():
            self._state.run["moved"] = left
        unsettled = None if self._reader.settled else self._state.source.get("unsettled_since")
        limits.read_again |= unsettled is not None
        began = min((at for at in (limits.began_at, unsettled) if at is not None), default=None)
        limits.began_at = self._state.source["unsettled_since"] = began
        states = {name: self._state.of(name) for name in coverage if name in self._agenda.selected}
        limits.listed_since = {name: of["listed_since"] for name, of in states.items() if "listed_since" in of}
