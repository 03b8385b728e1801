"""The tables of the source: columns, types, keys and references, as dlt takes them.

Ids are text, times are `timestamptz` in UTC with microseconds. Every table ends in `extra` (JSON: what the API sent and
no column takes, under its original key), `_synced_at` (when the API said so) and `_deleted_at` (since when the API no
longer returns the row).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

TEXT, BOOL, INTEGER, JSON, TIME = "text", "bool", "bigint", "json", "timestamp"

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
    timezone_offset="double",
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
    ),
    indexed=("missing_before",),
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
