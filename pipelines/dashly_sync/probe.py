"""A few requests that look and change nothing: pages of lists, and how many events a user has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from dashly.allowance import Allowance
from dashly.client import DashlyClient, RetryPolicy
from dashly.endpoints import LISTS
from dashly.envelope import Envelope
from dashly.errors import AccessError, RecordForbidden, RecordGone, RequestRefused, Stopped
from dashly.paging import next_token, records_in
from dashly.records import Record
from dashly.tasks import Task
from dashly.values import MICRO, integer
from dashly_state.budget import RequestBudget
from dashly_state.clock import Clock
from dashly_state.coverage import Walk
from dashly_state.directory import StateDirectory
from dashly_state.progress import Progress
from dashly_sync.settings import Settings


@dataclass(frozen=True, slots=True)
class Look:
    """One page of a list.

    Attributes:
        records: Newest first.
        positions: Of the records, microseconds since 1970.
        following: Page token of the next page; None at the end of the list.
        total: How many records the list has, where the API says so.
    """

    records: list[Record]
    positions: list[int]
    following: str | None
    total: int | None = None


class Probe:
    """Asks at most `requests` times, retries included; every answer beyond is None.

    Args:
        client: Talks to the API under the shared budget.
    """

    def __init__(self, client: DashlyClient, requests: int) -> None:
        self._client = client
        client.allowance = Allowance(requests)

    @property
    def spent(self) -> int:
        """Requests so far."""
        return self._client.requests_sent

    @property
    def left(self) -> int:
        """Requests that may still be sent."""
        return self._client.allowance.left or 0

    def page(self, name: str, token: str | None = None) -> Look | None:
        """Returns the page of a list at a token, the head of the list without one. Costs one request.

        Raises:
            DashlyError: The API failed; AccessError when the token has no access to the list.
        """
        envelope = self._get(Task(name, 0, Walk(after=token)))
        if envelope is None:
            return None
        endpoint, data = LISTS[name], envelope.data
        records = records_in(envelope, name, name)
        total = integer(data.get("total")) if isinstance(data, Mapping) else None
        following = next_token(envelope, len(records), token, name, may_offset=endpoint.may_offset)
        return Look(records, [endpoint.position(record) for record in records], following, total)

    def page_before(self, name: str, moment: int) -> Look | None:
        """Returns the page of what is older than a moment, microseconds since 1970. Costs one request.

        That a time works as a page token is likely and not promised (api-reference.md, section 2.1): None when the API
        refuses it, or answers with anything that is newer.
        """
        try:
            look = self.page(name, str(moment // MICRO))
        except RequestRefused:
            return None
        return None if look is None or any(position > moment for position in look.positions) else look

    def event_count(self, user_id: str) -> int | None:
        """Returns how many events the user has, by the counters of `GET /users/{id}`. Costs one request.

        None when the API does not know the user or sends no counters.
        """
        try:
            envelope = self._get(Task("user_details", 0, Walk(), Progress("user_details", user_id)), events="true")
        except (RecordGone, RequestRefused):
            return None
        counters = envelope.data.get("events") if envelope is not None and isinstance(envelope.data, Mapping) else None
        if not isinstance(counters, list):
            return None
        counts = [integer(counter.get("count")) for counter in counters if isinstance(counter, Mapping)]
        return sum(count for count in counts if count is not None)

    def _get(self, task: Task, **only: str) -> Envelope | None:
        """Returns the answer to the task's request; `only` takes the place of its optional parameters."""
        if not self.left:
            return None
        path, params = task.request(self._client.app_id)
        if only:
            params = {"id_as_string": "true", **only}
        try:
            return self._client.get(path, params, task.name).envelope
        except Stopped:
            return None
        except RecordForbidden as error:
            raise AccessError(str(error.args[0]), error.mend) from None


@contextmanager
def open_probe(settings: Settings, requests: int, clock: Clock | None = None) -> Iterator[Probe]:
    """Opens a probe into the settings' app; it shares the request budget with every other process.

    Raises:
        SettingsError: There is no token, or the base URL makes no sense.
    """
    path = StateDirectory(settings.state_dir).budget_path
    with RequestBudget(path, settings.auth_token, settings.rate_limit, clock) as budget:
        yield Probe(
            DashlyClient(
                settings.auth_token,
                budget,
                base_url=settings.base_url,
                app_id=settings.app_id,
                clock=clock,
                retry=replace(RetryPolicy(), attempts=2, rate_limited_attempts=2),
            ),
            requests,
        )
