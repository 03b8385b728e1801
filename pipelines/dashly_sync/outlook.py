"""What a run will find in a list: new records at its head, what an open walk still has to read, or the whole of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from dashly.paging import PAGE_RECORDS
from dashly.records import Record
from dashly.values import MICRO
from dashly_state.coverage import Coverage, Walk
from dashly_sync.density import Certainty, Stretch, extent, next_place
from dashly_sync.probe import Look, Probe


@dataclass(frozen=True, slots=True)
class Sample:
    """Records that stand for a part of a list.

    Attributes:
        records: From one page.
        weight: For how many records of the list they speak.
    """

    records: list[Record]
    weight: float


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a run will read of one list.

    Attributes:
        head: Its first page as it is now.
        head_pages: Requests until what is known is met.
        pages: Requests in all.
        unmet: Records that no run has seen yet, without those at the head of a list that is known.
        certainty: How well `pages` and `unmet` are known.
        because: Where the numbers come from.
        samples: Records that stand for those that no run has seen.
    """

    head: Look
    head_pages: int
    pages: float
    unmet: float
    certainty: Certainty
    because: str
    samples: list[Sample] = field(default_factory=list)

    def mean(self, cost: Callable[[Record], float]) -> float:
        """Returns what one of the unseen records costs on average."""
        spoken = [(sample.weight, [cost(record) for record in sample.records]) for sample in self.samples]
        weights = sum(weight for weight, costs in spoken if costs)
        return sum(weight * sum(costs) / len(costs) for weight, costs in spoken if costs) / weights if weights else 0.0

    def arrivals(self, seconds: float, now: float) -> float:
        """Returns how many records change in so many seconds, going by the first page."""
        since = (now - seconds) * MICRO
        positions = [position for position in self.head.positions if position]
        if not positions:
            return 0.0
        if self.head.following is None or positions[-1] <= since:
            return float(sum(1 for position in positions if position > since))
        return len(positions) * seconds * MICRO / max(1.0, now * MICRO - positions[-1])


def look_out(
    probe: Probe, name: str, coverage: Coverage, floor: int | None, live: int, spare: int, now: int
) -> Outlook:
    """Returns what a run will find in a list.

    Args:
        probe: Asks once for the head, and more often where the list has to be measured.
        name: Of the list.
        coverage: What has been read of it.
        floor: How far down its head is looked at; None when nothing of it is known.
        live: Rows of it in the warehouse.
        spare: Requests to leave for others.
        now: Microseconds since 1970.
    """
    head = probe.page(name) or Look([], [], None)
    if floor is None:
        return _whole_list(probe, name, head, spare, now)
    pages, certainty = _head_pages(head, floor)
    known = f"head: {pages} page{'' if pages == 1 else 's'}"
    begun = [walk for walk in coverage.gaps if walk.begun]
    if not begun:
        return Outlook(head, pages, pages, 0.0, certainty, known)
    if head.total is not None:
        rest, found = float(max(0, head.total - live)), Certainty.ESTIMATED
        samples = [Sample(head.records, rest)]
    else:
        rest, found, samples = _rest_of(probe, name, begun, spare)
    because = f"{known}, open walk: {rest:,.0f} {name} left"
    left = max(float(len(begun)), math.ceil(rest / PAGE_RECORDS))
    return Outlook(head, pages, pages + left, rest, certainty.and_then(found), because, samples)


def _whole_list(probe: Probe, name: str, head: Look, spare: int, now: int) -> Outlook:
    """Returns the outlook of a first load."""
    if head.following is None:
        head = Look(head.records, head.positions, None, len(head.records))
    if head.total is not None:
        samples = [Sample(head.records, head.total)]
        because = f"{head.total:,} {name} in the list"
        return Outlook(head, 1, _pages(head.total), head.total, Certainty.EXACT, because, samples)
    size, certainty, samples = _measure(probe, name, head, max(now, head.positions[0]), spare)
    by = f"by the density of {len(samples)} page{'' if len(samples) == 1 else 's'}"
    because = f"{'at least' if certainty is Certainty.AT_LEAST else 'about'} {size:,.0f} {name}, {by}"
    return Outlook(head, 1, _pages(size), size, certainty, because, samples)


def _rest_of(probe: Probe, name: str, begun: list[Walk], spare: int) -> tuple[float, Certainty, list[Sample]]:
    """Returns how many records open walks have still to read; measures the oldest, which may go on to the end."""
    oldest = begun[-1]
    look = probe.page(name, oldest.after)
    if look is None or not look.positions or oldest.low is None:
        return 0.0, Certainty.AT_LEAST, []
    if oldest.floor is not None:
        density = Stretch(oldest.low, look.positions[-1], len(look.positions)).density
        rest = density * max(0, oldest.low - oldest.floor)
        return rest, Certainty.ESTIMATED, [Sample(look.records, rest)]
    return _measure(probe, name, look, oldest.low, spare)


def _measure(probe: Probe, name: str, first: Look, start: int, spare: int) -> tuple[float, Certainty, list[Sample]]:
    """Returns how long a list is from `first` to its end, by looking at a few older places."""
    looks = [first]
    stretches = [_stretch(first, start)]
    empty_at: int | None = None
    while probe.left > spare and (place := next_place(stretches, empty_at)) is not None:
        look = probe.page_before(name, place)
        if look is None:
            break
        if not look.records:
            empty_at = place
        else:
            looks.append(look)
            stretches.append(_stretch(look, place))
    found = extent(stretches, empty_at)
    samples = [Sample(look.records, weight) for look, weight in zip(looks, found.weights, strict=True)]
    return found.records, found.certainty, samples


def _stretch(look: Look, start: int) -> Stretch:
    return Stretch(start, look.positions[-1], len(look.positions), ends=look.following is None)


def _head_pages(head: Look, floor: int) -> tuple[int, Certainty]:
    """Returns the requests from the head down to what is known."""
    if not head.positions or head.following is None or head.positions[-1] < floor:
        return 1, Certainty.EXACT
    rows = _stretch(head, head.positions[0]).density * (head.positions[0] - floor)
    rows = rows if head.total is None else min(rows, head.total)
    return int(rows / PAGE_RECORDS) + 1, Certainty.ESTIMATED


def _pages(records: float) -> int:
    return max(1, math.ceil(records / PAGE_RECORDS))


def spread(samples: list[Sample], count: int) -> Iterator[Record]:
    """Yields so many records from all over the samples, by turns one of each."""
    for number in range(count):
        records = samples[number % len(samples)].records if samples else []
        if records:
            yield records[(2 * number + 1) * len(records) // (2 * count)]
