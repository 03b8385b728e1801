"""Which request reads which resource, and what a record of it says of its place and its children.

| resource | request | order | position | costs |
| --- | --- | --- | --- | --- |
| users | GET /apps/{app}/users | last seen, newest first | `$last_seen`, microseconds | 1 per 50 users |
| conversations | GET /apps/{app}/conversations | last update, newest first | `last_update`, microseconds | 1 per 50 |
| events | GET /users/{id}/events | id, newest first | id | 1 per 50 events, at least 1 per user who moved |
| parts | GET /conversations/{id}/parts | id, newest first | id | 1 per 50, 0 where the list row says it all |
| user_details | GET /users/{id} | | | 1 per user who moved |
| channels, active_users | GET /apps/{app}/channels, .../activeusers | | | 1 a run |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dashly import records
from dashly.records import Record, Rows
from dashly.values import MICRO, boolean, id_number, integer, microseconds
from dashly_state.progress import Told

CLOCK_AHEAD_SECONDS = 300
"""This machine's clock may be so far ahead of the server's."""


@dataclass(frozen=True, slots=True)
class ListEndpoint:
    """A list of parents, newest change first."""

    resource: str
    path: str
    rows: Callable[[Sequence[Record]], Rows]
    position: Callable[[Record], int]
    """Microseconds since 1970 of the record's last change, as the list shows it; 0 when it has none."""
    children: tuple[str, ...]
    """Child resources whose progress every page of this list records."""
    optional_children: tuple[str, ...] = ()
    look_back_seconds: int = 0
    """How far below the newest known position a head walk goes again."""
    params: Mapping[str, str] = field(default_factory=dict)
    pages: bool = True
    may_offset: bool = False
    """Whether the list may page by offset and limit instead of `after`."""

    def settled(self, looked_at: int | None) -> int | None:
        """Returns up to where everything had come that comes late, when the head was looked at; microseconds.

        Whatever changed before that showed no later than `look_back_seconds` after its time. So a list in which nothing
        happened for a while costs one page, however much had happened just before.
        """
        return None if looked_at is None else looked_at - (self.look_back_seconds + CLOCK_AHEAD_SECONDS) * MICRO


@dataclass(frozen=True, slots=True)
class ChildEndpoint:
    """What belongs to one parent, newest id first."""

    resource: str
    path: str
    rows: Callable[[Sequence[Record], str], Rows]
    params: Mapping[str, str] = field(default_factory=dict)
    pages: bool = True
    """False for a single record, which has neither pages nor known ids."""
    may_offset: bool = False


@dataclass(frozen=True, slots=True)
class SnapshotEndpoint:
    """A short list that is read whole, once a run."""

    resource: str
    path: str
    rows: Callable[[Sequence[Record], datetime], Rows]
    params: Mapping[str, str] = field(default_factory=dict)
    pages: bool = True
    may_offset: bool = False


def last_seen(record: Record) -> int:
    """Returns the user's `$last_seen` in microseconds since 1970; 0 for someone never seen, who is listed last."""
    props = record.get("props")
    return (microseconds(props.get("$last_seen")) or 0) if isinstance(props, Mapping) else 0


def last_update(record: Record) -> int:
    """Returns the conversation's `last_update` in microseconds since 1970."""
    return microseconds(record.get("last_update")) or 0


def told_by_user(record: Record) -> Told:
    """Returns what a user's list row says of the user's events: only when the user was last seen."""
    return Told(last_seen(record))


def told_by_conversation(record: Record) -> Told:
    """Returns what a conversation's list row says of its parts.

    `part_last` is taken for the part itself only when it has what a part always has; `first` on it means that it is
    the only one (api-reference.md, section 9).
    """
    last = record.get("part_last")
    last = last if isinstance(last, Mapping) else {}
    return Told(
        at=last_update(record),
        count=integer(record.get("parts_count")),
        last_id=id_number(last),
        last_is_whole=last.keys() >= _ALWAYS_IN_A_PART,
        last_is_only=boolean(last.get("first")) is True,
    )


_USER_FIELDS = (
    *("props", "props_custom", "props_events", "events", "presence_details", "segments", "notes", "tags"),
    *("email_status", "timezone_offset"),
)
"""What GET /users/{id} leaves out unless it is asked for, custom properties among it."""
_ALWAYS_IN_A_PART = {"id", "created", "type", "body", "from"}

LISTS = {
    "users": ListEndpoint(
        resource="users",
        path="/apps/{app}/users",
        rows=records.user_rows,
        position=last_seen,
        children=("events",),
        optional_children=("user_details",),
        look_back_seconds=15 * 60,  # the list comes from a search index that lags by several minutes
        may_offset=True,
    ),
    "conversations": ListEndpoint(
        resource="conversations",
        path="/apps/{app}/conversations",
        rows=records.conversation_rows,
        position=last_update,
        children=("parts",),
        look_back_seconds=60,  # shown in whole seconds; and a change may show later than its time says
        params={"include_not_assigned": "true"},  # without it, conversations of nobody are left out
    ),
}
CHILDREN = {
    "events": ChildEndpoint("events", "/users/{parent}/events", records.event_rows),
    "parts": ChildEndpoint("parts", "/conversations/{parent}/parts", records.part_rows),
    "user_details": ChildEndpoint(
        "user_details",
        "/users/{parent}",
        records.user_detail_rows,
        params=dict.fromkeys(_USER_FIELDS, "true"),
        pages=False,
    ),
}
SNAPSHOTS = {
    "channels": SnapshotEndpoint("channels", "/apps/{app}/channels", records.channel_rows),
    "active_users": SnapshotEndpoint("active_users", "/apps/{app}/activeusers", records.active_user_rows),
}
TOLD: Mapping[str, Callable[[Mapping[str, Any]], Told]] = {
    "events": told_by_user,
    "user_details": told_by_user,
    "parts": told_by_conversation,
}
"""How a parent's list row speaks of each child resource."""
DEFAULT_RESOURCES = ("users", "events", "conversations", "parts", "channels", "active_users")
RESOURCES = (*DEFAULT_RESOURCES, "user_details")
