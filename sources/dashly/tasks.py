"""One request that would bring something: what it reads, how recent that may be, and how it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, urlencode

from dashly.endpoints import CHILDREN, LISTS, SNAPSHOTS
from dashly.envelope import Envelope, parse_envelope
from dashly.paging import PAGE_RECORDS, SHIFT_RECORDS, page_params
from dashly_state.coverage import Walk
from dashly_state.progress import Progress

HEAD = 2**62
"""More recent than any time: the head of a list, which nobody has looked at yet."""
RECONCILE = -1
"""Less recent than any time: what is read again although it is known."""

Parent = tuple[str, str]
"""Child resource and id of the parent."""


@dataclass(frozen=True, slots=True)
class Task:
    """One page of a list, of a parent's children, or of a snapshot."""

    resource: str
    recency: int
    """How recent what it brings may be, microseconds since 1970: the most recent task comes first."""
    walk: Walk
    progress: Progress | None = None
    """Of the parent, for children."""

    @property
    def parent(self) -> Parent | None:
        """Child resource and id of the parent; None for lists and snapshots."""
        return None if self.progress is None else (self.progress.stream, self.progress.parent_id)

    @property
    def asked(self) -> int:
        """How many records its page holds at most."""
        return SHIFT_RECORDS if self.walk.is_shifted and not self.walk.begun else PAGE_RECORDS

    @property
    def name(self) -> str:
        """What is read, for messages."""
        return self.resource if self.progress is None else f"{self.resource} of {self.progress.parent_id}"

    def request(self, app_id: str) -> tuple[str, dict[str, str]]:
        """Returns path and parameters, without the token."""
        endpoint = LISTS.get(self.resource) or CHILDREN.get(self.resource) or SNAPSHOTS[self.resource]
        params = {"id_as_string": "true", **endpoint.params}
        if endpoint.pages:
            params |= page_params(self.walk.after, may_offset=endpoint.may_offset, asked=self.asked)
        parent = "" if self.progress is None else quote(self.progress.parent_id, safe="")
        return endpoint.path.format(app=quote(app_id, safe="$"), parent=parent), params

    def request_text(self, app_id: str) -> str:
        """Returns the request in one line, the same for the same request."""
        path, params = self.request(app_id)
        return f"{path}?{_in_one_line(tuple(sorted(params.items())))}"


@lru_cache(maxsize=256)
def _in_one_line(params: tuple[tuple[str, str], ...]) -> str:
    """The first pages of everybody's children are asked for in the same way."""
    return urlencode(params)


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came for a task, from the API or out of the journal."""

    body: bytes
    at: float
    """Unix seconds when it had arrived."""
    parsed: Envelope | None = None
    """What is in the body, where somebody has parsed it already."""

    def envelope(self, where: str) -> Envelope:
        """Returns what is in the body.

        Raises:
            DashlyError: The error that it reports.
        """
        return self.parsed or parse_envelope(self.body, where, 200)
