"""The tables of the source: columns, types, keys and references, as dlt takes them.

Ids are text, times are `timestamptz` in UTC with microseconds. Every table ends in `extra` (JSON: what the API sent and
no column takes, under its original key), `_synced_at` (when the API said so) and `_deleted_at` (since when the API no
longer returns the row).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

TEXT, BOOL, INTEGER, DOUBLE, JSON, TIME = "text", "bool", "bigint", "double", "json", "timestamp"

Columns = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Table:
    """One table: its key, its columns in order, and the columns that point at a parent."""

    name: str
    key: tuple[str, ...]
    types: dict[str, str]
    parents: dict[str, str]
    """Column to the table whose `id` it holds. dlt keeps one reference per parent table (`last_admin_id` has none)."""
    description: str
    indexed: tuple[str, ...] = ()
    """Columns that deserve an index where the destination has indexes."""

    def columns(self) -> Columns:
        """Returns dlt's column hints: types, the primary key, and the newest row as the one that stays."""
        columns = {name: self._column(name, kind) for name, kind in {**self.types, **_BOOKKEEPING}.items()}
        columns["_synced_at"]["dedup_sort"] = "desc"
        for name in self.indexed:
            columns[name]["x-index"] = True
        return columns

    def references(self) -> list[dict[str, Any]]:
        """Returns dlt's table references, one for each parent."""
        return [
            {"referenced_table": parent, "columns": [column], "referenced_columns": ["id"]}
            for column, parent in self.parents.items()
        ]

    def hints(self) -> dict[str, Any]:
        """Returns what `dlt.resource` and `dlt.mark.make_hints` take: rows merge on the key, the newest one stays."""
        return {
            "columns": self.columns(),
            "primary_key": list(self.key),
            "write_disposition": {"disposition": "merge", "strategy": "delete-insert"},
            "references": self.references(),
        }

    def _column(self, name: str, kind: str) -> dict[str, Any]:
        hints: dict[str, Any] = {"name": name, "data_type": kind, "nullable": name not in self.key}
        hints["description"] = {**COLUMN_NOTES.get(self.name, {}), **BOOKKEEPING_NOTES}.get(name, "")
        return {**hints, "precision": 6, "timezone": True} if kind == TIME else hints


_BOOKKEEPING = {"extra": JSON, "_synced_at": TIME, "_deleted_at": TIME}


def _table(name: str, key: Sequence[str], description: str, parents: dict[str, str], /, **types: str) -> Table:
    return Table(name, tuple(key), types, parents, description)


USERS = _table(
    "users",
    ["id"],
    "Leads: everyone whose name, e-mail, phone or own id is known, or who had a conversation",
    {},
    id=TEXT,
    external_id=TEXT,
    name=TEXT,
    email=TEXT,
    phone=TEXT,
    presence=TEXT,
    last_seen_at=TIME,
    removed_at=TIME,
    props=JSON,
)
USER_PROPS = _table(
    "user_props",
    ["user_id", "name"],
    "Each property of each user, its name exactly as Dashly has it",
    {"user_id": "users"},
    user_id=TEXT,
    name=TEXT,
    value=TEXT,
    value_type=TEXT,
    origin=TEXT,
)
USER_DETAILS = _table(
    "user_details",
    ["user_id"],
    "What GET /users/{id} adds to the list; opt-in, one request a user",
    {"user_id": "users"},
    user_id=TEXT,
    props_custom=JSON,
    props_events=JSON,
    events=JSON,
    segments=JSON,
    tags=JSON,
    notes=JSON,
    email_status=JSON,
    timezone_offset=DOUBLE,
)
EVENTS = _table(
    "events",
    ["id"],
    "What users did",
    {"user_id": "users", "type_id": "event_types"},
    id=TEXT,
    user_id=TEXT,
    type_id=TEXT,
    name=TEXT,
    created_at=TIME,
    props=JSON,
)
EVENT_TYPES = _table(
    "event_types",
    ["id"],
    "The kinds of events that were seen",
    {},
    id=TEXT,
    name=TEXT,
    score=INTEGER,
    visible=BOOL,
    active=BOOL,
)
CONVERSATIONS = _table(
    "conversations",
    ["id"],
    "Conversations with a human side",
    {"user_id": "users", "assignee_id": "admins", "channel_id": "channels"},
    id=TEXT,
    user_id=TEXT,
    created_at=TIME,
    updated_at=TIME,
    closed=BOOL,
    read=BOOL,
    replied=BOOL,
    clicked=BOOL,
    unsubscribed=BOOL,
    type=TEXT,
    reply_type=TEXT,
    message_id=TEXT,
    assignee_id=TEXT,
    last_admin_id=TEXT,
    channel_id=TEXT,
    parts_count=INTEGER,
    unread_parts_count=INTEGER,
    part_last_id=TEXT,
)
CONVERSATION_TAGS = _table(
    "conversation_tags",
    ["conversation_id", "tag"],
    "The tags of each conversation",
    {"conversation_id": "conversations"},
    conversation_id=TEXT,
    tag=TEXT,
)
PARTS = _table(
    "parts",
    ["id"],
    "The messages and service entries of conversations",
    {"conversation_id": "conversations", "assignee_id": "admins"},
    id=TEXT,
    conversation_id=TEXT,
    created_at=TIME,
    type=TEXT,
    body=TEXT,
    sent_via=TEXT,
    author_type=TEXT,
    author_id=TEXT,
    is_first=BOOL,
    read=BOOL,
    tag=TEXT,
    assignee_id=TEXT,
    edited_at=TIME,
    removed_at=TIME,
)
PART_ATTACHMENTS = _table(
    "part_attachments",
    ["id"],
    "Files sent with parts; the file itself stays at Dashly",
    {"part_id": "parts", "conversation_id": "conversations"},
    id=TEXT,
    part_id=TEXT,
    conversation_id=TEXT,
    filename=TEXT,
    mime_type=TEXT,
    size=INTEGER,
    url=TEXT,
    created_at=TIME,
    type=TEXT,
)
ADMINS = _table(
    "admins",
    ["id"],
    "Operators and bots, as far as conversations, parts and channels name them",
    {},
    id=TEXT,
    name=TEXT,
    avatar=TEXT,
    type=TEXT,
)
CHANNELS = _table(
    "channels",
    ["id"],
    "The inbox's channels",
    {},
    id=TEXT,
    name=TEXT,
    type=TEXT,
    avatar=TEXT,
    operator_ids=JSON,
)
ACTIVE_USERS = _table(
    "active_users",
    ["user_id", "sampled_at"],
    "Who was on the site when it was looked at: a sample, not a history",
    {"user_id": "users"},
    user_id=TEXT,
    sampled_at=TIME,
    presence=TEXT,
    presence_details=JSON,
)
SYNC_PROGRESS = replace(
    _table(
        "sync_progress",
        ["stream", "parent_id"],
        "What is known of each parent's children: the source's own memory",
        {},
        stream=TEXT,
        parent_id=TEXT,
        parent_updated_at=TIME,
        parent_count=INTEGER,
        parent_last_id=TEXT,
        newest_id=TEXT,
        rows_held=INTEGER,
        walks=JSON,
        missing_before=TIME,
        checked_at=TIME,
        gone_at=TIME,
    ),
    indexed=("missing_before", "checked_at"),
)

TABLES = {
    table.name: table
    for table in (
        USERS,
        USER_PROPS,
        USER_DETAILS,
        EVENTS,
        EVENT_TYPES,
        CONVERSATIONS,
        CONVERSATION_TAGS,
        PARTS,
        PART_ATTACHMENTS,
        ADMINS,
        CHANNELS,
        ACTIVE_USERS,
        SYNC_PROGRESS,
    )
}

RESOURCE_TABLES: dict[str, tuple[str, ...]] = {
    "users": ("users", "user_props", "sync_progress"),
    "events": ("events", "event_types", "sync_progress"),
    "conversations": ("conversations", "conversation_tags", "admins", "sync_progress"),
    "parts": ("parts", "part_attachments", "admins", "sync_progress"),
    "channels": ("channels", "admins"),
    "active_users": ("active_users",),
    "user_details": ("user_details", "user_props", "admins", "sync_progress"),
}
"""Which tables each resource fills, its own first. The others derive from the same records and cost nothing."""

COLUMN_NOTES: dict[str, dict[str, str]] = {
    "users": {
        "id": "Dashly's own id; `user_id` in every other table",
        "external_id": "The customer's id of the user, which the API calls `user_id`; null for who never got one",
        "name": "Property `$name`",
        "email": "Property `$email`",
        "phone": "Property `$phone`",
        "presence": "`online`, `idle` or `offline` when the row was read",
        "last_seen_at": "Last visit, property `$last_seen`; null for who was never seen",
        "removed_at": "When the user was merged into another or erased",
        "props": "Every property that the user list sends, by original name; Dashly's own begin with `$`",
    },
    "user_props": {
        "user_id": "Whose property it is",
        "name": "Name of the property exactly as Dashly has it; Dashly's own begin with `$`",
        "value": "The value as text; a list or an object as JSON",
        "value_type": "What the value is in JSON: `string`, `number`, `boolean`, `list`, `object` or `null`",
        "origin": "Table whose request brought the value last: `users` or `user_details`",
    },
    "user_details": {
        "user_id": "Whom the row describes",
        "props_custom": "Custom properties, under their original names",
        "props_events": "First time, last time and count of each event type: `$event_ID_first`, `_last`, `_count`",
        "events": "The same by event type in readable form",
        "segments": "Segments that the user is in",
        "tags": "Tags of the user",
        "notes": "Notes of operators about the user",
        "email_status": "What Dashly says of the e-mail address",
        "timezone_offset": "The user's distance from UTC in minutes",
    },
    "events": {
        "id": "Id of the event; rises in order of arrival, also where `created_at` is back-dated",
        "user_id": "Who did it",
        "type_id": "What kind of event it is",
        "name": "Name of the event type when the event was read; Dashly's own begin with `$`",
        "created_at": "When it happened; a customer's backend may send a time in the past",
        "props": "Parameters of the event, under their original names",
    },
    "event_types": {
        "id": "Id of the event type",
        "name": "Name; Dashly's own begin with `$`",
        "score": "Score that the app gives to the event",
        "visible": "Whether the type is shown in Dashly",
        "active": "Whether the type is in use; only newer answers say so",
    },
    "conversations": {
        "id": "Id of the conversation",
        "user_id": "With whom",
        "created_at": "When it began",
        "updated_at": "When its newest part was made (`last_update`); edits and removals may leave it as it is",
        "closed": "Whether it is closed",
        "read": "Whether the user has read the first message; always true where the user began",
        "replied": "Whether the user has replied",
        "clicked": "Whether the user has clicked in the message",
        "unsubscribed": "Whether the user has unsubscribed from it",
        "type": "Kind of message that it began with, such as `popup_chat` or `email`; an open set",
        "reply_type": "Which reply the message asks for, such as `text`, `email`, `phone` or `no`",
        "message_id": "The manual or automatic message that started it; null where the user began",
        "assignee_id": "Operator it is assigned to; null for nobody",
        "last_admin_id": "Operator who took part last; in `admins`",
        "channel_id": "Channel it came in by; null where the list does not say",
        "parts_count": "Parts as the API counts them: a hint, it may count what the API does not list",
        "unread_parts_count": "Parts that the user has not read",
        "part_last_id": "Id of the newest part, as the list shows it",
    },
    "conversation_tags": {
        "conversation_id": "Which conversation has the tag",
        "tag": "The tag, as written",
    },
    "parts": {
        "id": "Id of the part; rises in order of creation",
        "conversation_id": "Conversation it belongs to",
        "created_at": "When it was made",
        "type": "`reply_user`, `reply_admin`, `note` (never shown to the user), `assigned`, `closed`, …; an open set",
        "body": "Text, may hold HTML; empty for service entries",
        "sent_via": "Where it was written, such as `web_user` or `email_admin`; null where the API does not say",
        "author_type": "`user`, `admin`, `bot` or `default_admin`; null for nobody",
        "author_id": "In `users` when `author_type` is `user`, else in `admins`; null for a `default_admin`",
        "is_first": "Whether it is the first part of its conversation",
        "read": "Whether it was read; null for kinds that nobody reads",
        "tag": "The tag, for `tag_added` and `tag_deleted`",
        "assignee_id": "The new assignee, for `assigned`",
        "edited_at": "When it was last edited",
        "removed_at": "When it was removed at Dashly",
    },
    "part_attachments": {
        "id": "Id of the attachment",
        "part_id": "Part it was sent with",
        "conversation_id": "Conversation of that part",
        "filename": "Name of the file",
        "mime_type": "Media type, such as `image/png`",
        "size": "Bytes",
        "url": "Where Dashly keeps the file",
        "created_at": "When the attachment was made",
        "type": "What the API calls the attachment: `file`",
    },
    "admins": {
        "id": "Id of the operator or bot",
        "name": "Name shown to users",
        "avatar": "URL of the picture",
        "type": "`admin` or `bot`",
    },
    "channels": {
        "id": "Id of the channel",
        "name": "Name in the inbox",
        "type": "`email`, `mobile`, `manual`, `telegram`, `whatsapp`, …; an open set",
        "avatar": "URL of the picture",
        "operator_ids": "Ids of its operators, a list; null where the API does not say",
    },
    "active_users": {
        "user_id": "Who was there",
        "sampled_at": "When the list was read",
        "presence": "`online` or `idle`",
        "presence_details": "Page, place and session at that moment; its keys differ",
    },
    "sync_progress": {
        "stream": "Which children: `events`, `parts` or `user_details`",
        "parent_id": "Whose: `users.id` for events and user details, `conversations.id` for parts",
        "parent_updated_at": "The parent's `last_seen_at` or `updated_at` when its list last showed it; 1970 for none",
        "parent_count": "The parent's `parts_count` at that time; null for users",
        "parent_last_id": "The parent's `part_last_id` at that time; null for users",
        "newest_id": "Id of the newest child that is held",
        "rows_held": "Children that were read, each counted once",
        "walks": "Open walks over the children, each with the page token to go on from; null for none",
        "missing_before": "Children are missing, the newest at most so recent; null when none is known to be missing",
        "checked_at": "When the children were last read whole; null for never",
        "gone_at": "When the API said that it does not know the parent; null while it does",
    },
}
"""What each column holds, for dlt's schema, for destinations that keep comments, and for docs/reference/tables.md."""

BOOKKEEPING_NOTES = {
    "extra": "What the API sent and no column takes, under its original key; null for nothing",
    "_synced_at": "When the API said so",
    "_deleted_at": "Since when the API no longer returns the row; null while it does",
}
