"""The records of the world, as state: times in unix microseconds, ids as integers, references as indexes or ids."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

AuthorType = Literal["user", "admin", "bot", "default_admin"]


@dataclass(slots=True)
class Admin:
    """An operator or a bot."""

    id: int
    name: str
    avatar: str
    type: Literal["admin", "bot"]
    name_internal: str | None = None


@dataclass(slots=True)
class Channel:
    """A way in which conversations reach the app."""

    id: int
    name: str
    type: str
    avatar: str
    operator_ids: tuple[int, ...]


@dataclass(slots=True)
class EventType:
    """What an event is an instance of."""

    id: int
    name: str
    score: int
    visible: bool = True
    active: bool = True


@dataclass(slots=True)
class Event:
    """Something a user did; `created_us` may be earlier than the id says (backdated)."""

    id: int
    type: EventType
    created_us: int
    props: dict[str, Any]


@dataclass(slots=True)
class Note:
    """What an operator wrote about a user."""

    id: int
    admin_id: int
    body: str
    created_us: int


@dataclass(slots=True)
class User:
    """A lead. `props` is without `$last_seen`, which is `last_seen_us`."""

    index: int
    id: int
    external_id: str | None
    created_us: int
    last_seen_us: int | None
    presence: str
    props: dict[str, Any]
    props_custom: dict[str, Any]
    base_events: int
    base_first_ms: int
    base_last_ms: int
    map_url: str | None = None
    tags: list[str] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    email_ok: bool | None = None
    timezone_offset: float | None = None
    removed_us: int | None = None
    added: list[Event] = field(default_factory=list)


@dataclass(slots=True)
class Attachment:
    """A file of a part."""

    id: int
    filename: str
    mime_type: str
    size: int
    url: str
    created_us: int


@dataclass(slots=True)
class Part:
    """One message or service entry of a conversation. An author of type user is the conversation's user."""

    id: int
    created_us: int
    type: str
    body: str
    author_type: AuthorType
    admin_id: int | None = None
    sent_via: str | None = None
    is_first: bool = False
    read: bool | None = None
    tag: str | None = None
    assignee_id: int | None = None
    edited_us: int | None = None
    removed_us: int | None = None
    inbound_email: int | None = None
    random_id: int | None = None
    body_json: dict[str, Any] | None = None
    attachments: list[Attachment] = field(default_factory=list)


@dataclass(slots=True)
class ServiceStep:
    """A service part that a conversation's state calls for."""

    type: str
    tag: str | None = None
    assignee_id: int | None = None


@dataclass(slots=True)
class Conversation:
    """A conversation's own state; base parts are generated from `base_parts`, the span and the script."""

    index: int
    id: int
    user_index: int
    created_us: int
    last_update_us: int
    base_parts: int
    base_last_us: int
    script: dict[int, ServiceStep]
    type: str
    reply_type: str
    closed: bool = False
    read: bool = True
    replied: bool = False
    clicked: bool = False
    unsubscribed: bool = False
    message_id: int | None = None
    assignee_id: int | None = None
    last_admin_id: int | None = None
    channel_id: int | None = None
    unread_parts: int = 0
    hidden_parts: int = 0
    tags: list[str] = field(default_factory=list)
    added: list[Part] = field(default_factory=list)
    changed: dict[int, Part] = field(default_factory=dict)
