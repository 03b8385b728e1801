"""What a run would cost before it starts: requests by resource, hours, and when it would be done.

Costs a handful of requests: the heads of the lists, a few older places of a list whose length the API does not say, and
the event counters of a few users.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dashly.endpoints import CHILDREN, LISTS, SNAPSHOTS, TOLD, told_by_conversation
from dashly.paging import PAGE_RECORDS, is_offset, sweep_requests
from dashly.reconcile import LIST_SWEEP_EVERY_SECONDS, RECHECK_AFTER_SECONDS, most_looks
from dashly.records import Record
from dashly.values import MICRO, from_microseconds
from dashly_state.budget import RateLimit
from dashly_state.clock import Clock, SystemClock
from dashly_state.progress import Need, Progress
from dashly_sync.density import YEAR, Certainty
from dashly_sync.durations import duration_text
from dashly_sync.history import History, read_history, read_known
from dashly_sync.memory import open_warehouse
from dashly_sync.outlook import Outlook, Sample, look_out, spread
from dashly_sync.pace import Fit, Pace, fit
from dashly_sync.probe import Probe, open_probe
from dashly_sync.settings import Settings
from dashly_warehouse.query import QueryResult
from dashly_warehouse.specs import check_name_clash, parse_destination

MOST_REQUESTS = 8
EVENT_SAMPLES = 3
"""Users whose events are counted when the warehouse does not know enough of them."""
WITHIN_FACTOR = 2.0
"""Of the simulator's truth, over accounts of 60 to 5,000 users (tests/end_to_end/test_plan.py)."""
RECONCILE = "reconcile"


@dataclass(frozen=True, slots=True)
class Line:
    """What one resource costs.

    Attributes:
        resource: Its name, or `reconcile`.
        requests: How many.
        certainty: How well that is known.
        because: Where the number comes from.
    """

    resource: str
    requests: int
    certainty: Certainty
    because: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would cost.

    Attributes:
        lines: By resource.
        limit: The rate limit that decides how long it takes.
        begins_at: When it would begin.
        spent: Requests that this plan has cost.
        fit: How it goes with a schedule; None when none was asked about.
    """

    lines: tuple[Line, ...]
    limit: RateLimit
    begins_at: datetime
    spent: int
    fit: Fit | None = None

    @property
    def requests(self) -> int:
        """Requests in all."""
        return sum(line.requests for line in self.lines)

    @property
    def seconds(self) -> float:
        """How long the rate limit makes it take: what exceeds one window's worth waits."""
        return max(0, self.requests - self.limit.requests) * self.limit.seconds / self.limit.requests

    @property
    def certainty(self) -> Certainty:
        """How well the sum is known."""
        found = Certainty.EXACT
        for line in self.lines:
            found = found.and_then(line.certainty)
        return found

    @property
    def finishes_at(self) -> datetime:
        """When a run that begins now would be done."""
        return from_microseconds(int((self.begins_at.timestamp() + self.seconds) * MICRO))

    def sentence(self) -> str:
        """Returns the closing sentence."""
        how = {Certainty.EXACT: "", Certainty.ESTIMATED: "About ", Certainty.AT_LEAST: "At least "}[self.certainty]
        doubt = "" if self.certainty is Certainty.EXACT else f", as a rule right within a factor of {WITHIN_FACTOR:g}"
        when = f"{self.finishes_at:%Y-%m-%d %H:%M} UTC"
        took = duration_text(self.seconds) if self.seconds >= 1 else "less than a second of waiting"
        done = f"{how}{self.requests:,} requests: {took} at {self.limit}, done at {when} when begun now{doubt}."
        return f"{done} This plan cost {self.spent}."

    def to_json(self) -> dict[str, Any]:
        """Returns what `--json` prints."""
        return {
            "requests": self.requests,
            "certainty": self.certainty.value,
            "seconds": round(self.seconds, 1),
            "begins_at": _iso(self.begins_at),
            "finishes_at": _iso(self.finishes_at),
            "resources": {
                line.resource: {
                    "requests": line.requests,
                    "certainty": line.certainty.value,
                    "because": line.because,
                }
                for line in self.lines
            },
            "spent": self.spent,
            "schedule": None if self.fit is None else self.fit.to_json(),
            "sentence": self.sentence(),
        }

    def result(self) -> QueryResult:
        """Returns the lines, for printing."""
        rows = ((line.resource, line.requests, line.certainty.value, line.because) for line in self.lines)
        return QueryResult(("resource", "requests", "known", "because"), iter(rows))


def make_plan(
    settings: Settings, resources: Sequence[str], pace: Pace | None = None, clock: Clock | None = None
) -> Plan:
    """Returns what a run of these resources would cost if it began now. Costs `MOST_REQUESTS` at most.

    Args:
        settings: Of the run.
        resources: With the lists that children need.
        pace: The schedule that it is to be held against.
        clock: What time it is.

    Raises:
        DashlyError: The API does not answer.
        WarehouseError: The warehouse cannot be opened.
    """
    clock = clock or SystemClock()
    now = clock.now()
    check_name_clash(parse_destination(settings.destination), settings.dataset_name)
    with open_warehouse(settings) as connection:
        history = read_history(connection, from_microseconds(int((now - RECHECK_AFTER_SECONDS) * MICRO)))
    with open_probe(settings, MOST_REQUESTS, clock) as probe:
        planner = _Planner(settings, frozenset(resources), history, probe, now)
        lines = tuple(planner.lines())
        spent = probe.spent
    arriving = planner.arrivals(pace.every_seconds) if pace is not None else 0.0
    requests = sum(line.requests for line in lines)
    held_against = None if pace is None else fit(pace, requests, arriving, settings.rate_limit)
    return Plan(lines, settings.rate_limit, from_microseconds(int(now * MICRO)), spent, held_against)


class _Planner:
    """Puts together what the warehouse knows and what a few requests show."""

    def __init__(
        self, settings: Settings, selected: frozenset[str], history: History, probe: Probe, now: float
    ) -> None:
        self._settings, self._selected, self._history = settings, selected, history
        self._probe, self._now = probe, now
        self._outlooks: dict[str, Outlook] = {}
        self._looks = 0
        """Requests for older children of parents that moved by one."""

    def lines(self) -> Iterator[Line]:
        """Yields what each resource costs; asks on the way."""
        for name in (name for name in LISTS if name in self._selected):
            spare = self._requests_for_users() + (2 if name == "users" else 0)
            memory, live = self._history.memory, self._history.live.get(name, 0)
            coverage, floor = memory.coverage(name), memory.head_floor(name)
            self._outlooks[name] = look_out(self._probe, name, coverage, floor, live, spare, int(self._now * MICRO))
            outlook = self._outlooks[name]
            yield Line(name, math.ceil(outlook.pages), outlook.certainty, outlook.because)
        for name, endpoint in LISTS.items():
            for stream in (*endpoint.children, *endpoint.optional_children):
                if stream in self._selected and name in self._outlooks:
                    yield self._children(stream, self._outlooks[name])
        for name in SNAPSHOTS:
            if name in self._selected:
                yield Line(name, 1, Certainty.EXACT, "one page, once a run")
        yield self._reconcile()

    def arrivals(self, seconds: float) -> float:
        """Returns the requests that new work costs in so many seconds: heads, and children of what changed."""
        requests = float(len(self._outlooks) + len(self._selected & SNAPSHOTS.keys()))
        for name, outlook in self._outlooks.items():
            changed = outlook.arrivals(seconds, self._now)
            streams = self._selected & {*LISTS[name].children, *LISTS[name].optional_children}
            requests += changed / PAGE_RECORDS + changed * len(streams)
        return requests

    def _requests_for_users(self) -> int:
        """Returns how many requests the sampling of users needs: their counters, and a page of older ones."""
        if "events" not in self._selected or "events" in self._history.average_pages:
            return 0
        users = self._outlooks.get("users")
        return EVENT_SAMPLES + (users is not None and users.unmet > 2 * PAGE_RECORDS)

    def _children(self, stream: str, outlook: Outlook) -> Line:
        """Returns what the children of a list's parents cost: of those that wait, that changed, and that are new."""
        groups, slice_number = self._history.pending.get(stream, ()), self._history.memory.slice
        is_read_anew = self._history.memory.coverage(_list_of(stream)).newest is None
        unmet = max(0.0, outlook.unmet - (self._history.known.get(stream, 0) if is_read_anew else 0))
        told = list(self._told(stream, outlook))
        news = [pages for need, pages in told if need is Need.READ]
        self._looks += round(sum(pages for need, pages in told if need is Need.LAST_ONLY) * outlook.head_pages)
        fresh = any(not group.was_read_whole and group.counted is None for group in groups)
        average, how = self._average(stream, outlook) if unmet or fresh else (1.0, "")
        backlog, waiting = sum(group.parents * group.pages(average) for group in groups), self._history.waiting(stream)
        parts = (
            (waiting, f"{waiting:,} waiting"),
            (news, f"{len(news)} changed"),
            (unmet, f"{unmet:,.0f} unseen: {how}" if slice_number else how),
        )
        because = ", ".join(words for holds, words in parts if holds) or "nothing is known to be missing"
        certainty = outlook.certainty.and_then(Certainty.ESTIMATED) if waiting or news or unmet else outlook.certainty
        requests = round(backlog + sum(news) * outlook.head_pages + unmet * average)
        return Line(stream, requests, certainty, because)

    def _told(self, stream: str, outlook: Outlook) -> Iterator[tuple[Need, float]]:
        """Yields what each parent on the first page asks for that the backlog does not count, and its requests."""
        if self._history.memory.coverage(_list_of(stream)).newest is None:
            return
        parents = {str(record.get("id")): record for record in outlook.head.records}
        with open_warehouse(self._settings) as connection:
            known = read_known(connection, stream, list(parents))
        for parent_id, record in parents.items():
            before = known.get(parent_id) or Progress(stream, parent_id)
            _, need = before.hear(TOLD[stream](record), int(self._now * MICRO))
            if need is Need.READ and not before.pending:
                yield need, 1.0 if before.known else max(1.0, part_pages(record))
            elif need is Need.LAST_ONLY:
                yield need, part_pages(record)

    def _average(self, stream: str, outlook: Outlook) -> tuple[float, str]:
        """Returns the requests for a parent's children, and how that is known."""
        if stream == "parts":
            mean = outlook.mean(part_pages)
            return mean, f"{mean:.2f} each, by {_sampled(outlook.samples)} conversations"
        if not CHILDREN[stream].pages:
            return 1.0, "1 each"
        read = self._history.average_pages.get(stream)
        if read is not None:
            return read, f"{read:.2f} each, as those before"
        samples = self._users_here_and_there(outlook)
        counts = [self._probe.event_count(str(user.get("id"))) for user in spread(samples, self._probe.left)]
        seen = [max(1, math.ceil(count / PAGE_RECORDS)) for count in counts if count is not None]
        average = typical(seen)
        return average, f"{average:.2f} each, by the events of {len(seen)} users"

    def _users_here_and_there(self, outlook: Outlook) -> list[Sample]:
        """Returns users of the first page, and of one from within a long list: who was here lately may do more."""
        here = Sample(outlook.head.records, 1.0)
        if outlook.unmet <= 2 * PAGE_RECORDS or self._probe.left <= EVENT_SAMPLES:
            return [here]
        if is_offset(outlook.head.following):
            deep = self._probe.page("users", f"offset:{int(outlook.unmet / 2)}")
        else:
            deep = self._probe.page_before("users", outlook.head.positions[0] - YEAR)
        return [here] if deep is None or not deep.records else [here, Sample(deep.records, 1.0)]

    def _reconcile(self) -> Line:
        allowed = self._history.memory.allowance(self._settings.reconcile_share, self._settings.rate_limit, self._now)
        wanted = sum(pages for stream, pages in self._history.unchecked.items() if stream in self._selected)
        for name in self._outlooks:
            known = self._history.memory.coverage(name)
            if known.read_whole_at is not None and self._now - known.read_whole_at / MICRO >= LIST_SWEEP_EVERY_SECONDS:
                wanted += sweep_requests(self._history.live.get(name, 0), shifted=known.shift_next)
        looks = min(self._looks, most_looks(self._settings.reconcile_share, self._settings.rate_limit))
        parts = (
            (wanted, f"{wanted:,} due, {allowed:,} allowed by now"),
            (looks, f"{looks:,} for older parts where one is new"),
        )
        because = "; ".join(words for holds, words in parts if holds) or "nothing is due"
        certainty = Certainty.ESTIMATED if looks else Certainty.EXACT
        return Line(RECONCILE, min(allowed, wanted) + looks, certainty, because)


def part_pages(record: Record) -> float:
    """Returns the requests for a conversation's parts: none when its list row carries the only one.

    Example:
        >>> part_pages({"parts_count": 51}), part_pages({})
        (2.0, 1.0)
    """
    told = told_by_conversation(record)
    if told.last_is_whole and told.last_is_only:
        return 0.0
    return float(max(1, math.ceil((told.count or 1) / PAGE_RECORDS)))


def typical(pages: Sequence[int]) -> float:
    """Returns the mean of a few, of which the largest counts for twice the next one at most; 1 for none.

    Of four users in whom a few have many times the events of the others, the plain mean is out by more than a factor of
    two in 5 of 100 cases, this one in 1 (simulated accounts, 60 events a user).

    Example:
        >>> typical([1, 1, 12]), typical([2, 1, 3]), typical([])
        (1.3333333333333333, 2.0, 1.0)
    """
    *rest, largest = sorted(pages) if pages else [1]
    return (sum(rest) + (min(largest, 2 * rest[-1]) if rest else largest)) / (len(rest) + 1)


def _list_of(stream: str) -> str:
    return next(n for n, endpoint in LISTS.items() if stream in (*endpoint.children, *endpoint.optional_children))


def _sampled(samples: Sequence[Sample]) -> int:
    return sum(len(sample.records) for sample in samples)


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
