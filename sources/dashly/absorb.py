"""What an answer means: rows for the tables, and what is known from then on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from dashly.agenda import Agenda
from dashly.drift import Drift
from dashly.endpoints import CHILDREN, LISTS, SNAPSHOTS, TOLD, ListEndpoint
from dashly.envelope import Envelope
from dashly.errors import ApiChanged, RecordGone
from dashly.held import progress_row
from dashly.paging import Page, is_offset, next_token, records_in, step_back
from dashly.reconcile import Reconciler
from dashly.records import Record, Rows, merge_rows, part_rows, stamp, untaken
from dashly.slices import PageRows, Slice, SourceState
from dashly.tasks import Fetched, Parent, Task
from dashly.values import from_microseconds, id_number, microseconds
from dashly_state.coverage import Coverage, Walk
from dashly_state.progress import Need, Progress

GONE_BODY = b'{"meta": {"status": 400, "error": "LookupError"}, "data": {}}'
"""What stands for an answer that the API does not know the parent."""
LAST_FEW = 3
"""Records of a page that say how recent the next page is."""


class Absorber:
    """Takes the answers of one slice.

    Args:
        agenda: What is known, and what is to be read next.
        reconciler: Goes on with sweeps.
        state: dlt's state.
        outcome: Where is noted that children were read again.
        drift: What the API sends otherwise than before.
    """

    def __init__(
        self, agenda: Agenda, reconciler: Reconciler, state: SourceState, outcome: Slice, drift: Drift
    ) -> None:
        self._agenda, self._reconciler, self._state, self._drift = agenda, reconciler, state, drift
        self._outcome = outcome
        self._heard_in_flight: set[Parent] = set()
        self._last_page: dict[str, frozenset[str]] = {}
        self._tokens: set[tuple[Any, ...]] = set()

    def absorb(self, task: Task, answer: Fetched, now: int) -> PageRows:
        """Returns the answer's rows, and notes what is known then.

        Args:
            task: What was asked for.
            answer: What came.
            now: When, microseconds since 1970 and later than any answer before it.

        Raises:
            DashlyError: The answer is not what the documents describe.
        """
        try:
            page = self._page(task, answer.envelope(task.name), answer.at)
        except RecordGone:
            if task.progress is None:
                raise
            gone = task.progress.give_up(now)
            self._agenda.note(task.progress, gone)
            return self._rows({task.resource: {}}, now, [gone])
        rows = self._shaped(task, page, now)  # first, as a schema contract may refuse them
        if task.resource in LISTS:
            return self._absorb_list(task, page, rows, now)
        if task.progress is not None:
            return self._absorb_children(task, task.progress, page, rows, now)
        return self._absorb_snapshot(task, page, rows, now)

    def _shaped(self, task: Task, page: Page, now: int) -> Rows:
        """Returns the page's rows; none when nobody selected them."""
        name, parent_id = task.resource, task.progress.parent_id if task.progress is not None else ""
        if name not in self._agenda.selected:
            return {}
        if name in LISTS:
            rows = LISTS[name].rows(page.records)
        elif name in CHILDREN:
            rows = CHILDREN[name].rows(page.records, parent_id)
        else:
            rows = SNAPSHOTS[name].rows(page.records, from_microseconds(now))
        self._drift.see(name, page.records, untaken(rows))
        return rows

    def _page(self, task: Task, envelope: Envelope, fetched_at: float) -> Page:
        records = records_in(envelope, task.resource, task.name)
        may_offset = task.resource in LISTS and LISTS[task.resource].may_offset
        after, asked = task.walk.after, task.asked
        token = next_token(envelope, len(records), after, task.name, may_offset=may_offset, asked=asked)
        self._refuse_circle(task, token)
        return Page(records, token, fetched_at)

    def _refuse_circle(self, task: Task, token: str | None) -> None:
        """Raises ApiChanged for a page token that this walk was given before: following it would never end."""
        if token is None or is_offset(token):
            return
        walk = task.walk
        key = (task.name, walk.top, walk.floor, walk.began_at, walk.is_sweep, walk.is_shifted, token)
        if key in self._tokens:
            raise ApiChanged(
                f"{task.name}: the page token {token} was given twice",
                "The API may have changed its paging: run `dashly-sync check`",
            )
        self._tokens.add(key)

    # ---- lists -------------------------------------------------------------------------------------------------

    def _absorb_list(self, task: Task, page: Page, own: Rows, now: int) -> PageRows:
        name, endpoint = task.resource, LISTS[task.resource]
        positions = [min(endpoint.position(record), now) for record in page.records]
        token, in_order = self._checked_offset(task, page, positions)
        if not task.walk.begun and not task.walk.is_sweep:
            self._state.run["heads_at"] = page.fetched_at
            self._state.of(name)["looked_at"] = now
        known = self._agenda.coverage[name]
        coverage, going_on = known.advance(task.walk, positions if in_order else [], token, now)
        self._agenda.set_coverage(name, coverage)
        if going_on is None:
            self._confirm_absence(name, task.walk, known, now)
        elif not going_on.is_sweep:
            self._agenda.push_list(name, going_on)
        heard, taken = self._hear(endpoint, page.records, now, again=task.walk.is_sweep)
        return self._rows({name: own, "parts": taken}, now, heard)

    def _confirm_absence(self, name: str, walk: Walk, before: Coverage, now: int) -> None:
        """Notes, when a walk closed, since when a record that is still listed must have been seen.

        A record that changes while a walk goes on jumps to the head, behind the reader's back. So what whole walks did
        not show is known to be gone only when a head walk that began after them has closed too.
        """
        state, read_twice_at = self._state.of(name), self._agenda.coverage[name].read_twice_at
        waiting = state.get("unconfirmed")
        if waiting is not None and not walk.is_sweep and (walk.began_at or now) >= waiting["ended_at"]:
            state["listed_since"] = state.pop("unconfirmed")["since"]
        if read_twice_at != before.read_twice_at:
            state["unconfirmed"] = {"since": read_twice_at, "ended_at": now}

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

    def _hear(
        self, endpoint: ListEndpoint, records: list[Record], now: int, *, again: bool
    ) -> tuple[list[Progress], Rows]:
        """Returns the progress of parents about which the page says something new, and children it carries whole.

        Args:
            endpoint: The list.
            records: Of the page.
            now: Microseconds since 1970.
            again: What is known is being read again: so are children whom the page shows.
        """
        parents = {str(record.get("id")): record for record in records if record.get("id") is not None}
        news: list[Progress] = []
        taken: list[Rows] = []
        for stream in (*endpoint.children, *(self._agenda.selected & frozenset(endpoint.optional_children))):
            for parent_id, before in self._agenda.known(stream, list(parents)).items():
                after, need = self._hear_one(before, parents[parent_id], now, again)
                if need is Need.LAST_ONLY:
                    taken.append(part_rows([parents[parent_id]["part_last"]], parent_id))
                if after != before:
                    news.append(after)
        return news, merge_rows(taken)

    def _hear_one(self, before: Progress, record: Record, now: int, again: bool) -> tuple[Progress, Need]:
        stream, parent = before.stream, (before.stream, before.parent_id)
        told = TOLD[stream](record)
        told = replace(told, last_is_whole=told.last_is_whole and stream in self._agenda.selected)
        if self._state.source.get("counts_miss_some"):
            told = replace(told, count=None)
        seen = before.see_only(told, now) if again else None
        after, need = (seen, Need.LAST_ONLY) if seen is not None else before.hear(told, now)
        self._outcome.read_again |= seen is not None
        if need is Need.LAST_ONLY and not told.last_is_only:
            self._reconciler.look_at(after)
        if need is Need.READ and self._agenda.is_in_flight(parent):
            self._heard_in_flight.add(parent)
        if after != before:
            self._agenda.note(before, after)
        return after, need

    # ---- children and snapshots --------------------------------------------------------------------------------

    def _absorb_children(self, task: Task, progress: Progress, page: Page, rows: Rows, now: int) -> PageRows:
        endpoint = CHILDREN[task.resource]
        current = self._agenda.progress(progress)
        numbers = [number for number in map(id_number, page.records) if number is not None] if endpoint.pages else []
        after = current.read(task.walk, numbers, page.next_token, next_page_from(page.records), now)
        is_first = task.walk.floor is None and not task.walk.is_sweep and "all_rows_known" in self._state.source
        self._outcome.read_again |= page.next_token is None and not is_first
        if task.parent in self._heard_in_flight:
            self._heard_in_flight.discard(task.parent)
            after = after.begin()
        self._agenda.note(current, after)
        self._doubt_counts(after)
        if task.walk.is_sweep:
            self._reconciler.go_on(after)
        return self._rows({task.resource: rows}, now, [after])

    def _doubt_counts(self, progress: Progress) -> None:
        """Notes for good when this account's `parts_count` leaves out parts that the API lists, such as notes.

        Then a count that grew by one may mean two new parts, and only the list can tell. A part that arrived between
        the list row and the reading proves nothing: the newest part has to be the one that the row named.
        """
        told = progress.told
        same_moment = told.last_id is not None and told.last_id == progress.newest_id
        if same_moment and progress.coverage.complete and told.count is not None and progress.held > told.count:
            self._state.source["counts_miss_some"] = True

    def _absorb_snapshot(self, task: Task, page: Page, rows: Rows, now: int) -> PageRows:
        if page.next_token is not None:
            self._agenda.push(replace(task, walk=replace(task.walk, after=page.next_token)))
        else:
            self._state.run["snapshots"] = [*self._state.run.get("snapshots", ()), task.resource]
        return self._rows({task.resource: rows}, now, [])

    def _rows(self, found: dict[str, Rows], now: int, progress: list[Progress]) -> PageRows:
        """Returns the rows of selected resources, stamped; progress rides with whichever of them is there."""
        moment, selected = from_microseconds(now), self._agenda.selected
        by_resource = {name: stamp(rows, moment) for name, rows in found.items() if name in selected}
        if progress:
            carrier = by_resource.setdefault(next(iter(by_resource), min(selected)), {})
            carrier["sync_progress"] = [progress_row(one, moment) for one in progress]
        return PageRows(by_resource)


def next_page_from(records: Sequence[Record]) -> int | None:
    """Returns about when the newest child of the next page was created, microseconds since 1970.

    Children come by id, newest first, but an event may be written down long after it happened. So a single one at the
    end of a page says little: the newest of the last few does.

    Example:
        >>> next_page_from([{"created": 9}, {"created": 8}, {"created": 1}, {"created": 7}])
        8000000
    """
    moments = (microseconds(record.get("created")) for record in records[-LAST_FEW:])
    return max((moment for moment in moments if moment is not None), default=None)
