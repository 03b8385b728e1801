"""API records into rows: pure functions from one record, and the time it was fetched, to rows by table.

Rows come without bookkeeping columns where they are empty; `_synced_at` is added by `stamp`. What no column takes goes
to `extra` under its original key, so a field that the API adds tomorrow is kept from the first day.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from dashly.values import boolean, identifier, integer, json_column, json_text, json_type, text, timestamp

Record = Mapping[str, Any]
Row = dict[str, Any]
Rows = dict[str, list[Row]]
"""Rows by table name."""


def user_rows(record: Record) -> Rows:
    """Returns `users` and `user_props` of one row of the user list."""
    props = _properties(record)
    user_id = identifier(record.get("id"))
    row = {
        "id": user_id,
        "external_id": text(record.get("user_id")),
        "name": text(props.get("$name")),
        "email": text(props.get("$email")),
        "phone": text(props.get("$phone")),
        "presence": text(record.get("presence")),
        "last_seen_at": timestamp(props.get("$last_seen")),
        "removed_at": timestamp(record.get("removed")),
        "props": json_text(props),
        "extra": _extra(record, "id", "user_id", "presence", "removed", "props", "props_custom"),
    }
    return {"users": [row], "user_props": _property_rows(user_id, props, "users")}


def user_detail_rows(record: Record, user_id: str | None) -> Rows:
    """Returns `user_details`, `user_props` and `admins` (authors of notes) of one `GET /users/{id}`."""
    user_id = identifier(record.get("id")) or user_id
    columns = ("props_custom", "props_events", "events", "segments", "tags", "notes", "email_status")
    row: Row = {"user_id": user_id, **{name: json_column(record.get(name)) for name in columns}}
    row["timezone_offset"] = _number(record.get("timezone_offset"))
    row["extra"] = _extra(record, "id", "user_id", "presence", "removed", "props", "timezone_offset", *columns)
    authors = [note.get("author") for note in _mappings(record.get("notes"))]
    return {
        "user_details": [row],
        "user_props": _property_rows(user_id, _properties(record), "user_details"),
        "admins": _admins(authors),
    }


def event_rows(record: Record, user_id: str) -> Rows:
    """Returns `events` and `event_types` of one event of `user_id`."""
    kind = record.get("type")
    row = {
        "id": identifier(record.get("id")),
        "user_id": identifier(record.get("user")) or user_id,
        "type_id": identifier(kind),
        "name": text(_mapping(kind).get("name")),
        "created_at": timestamp(record.get("created")),
        "props": json_column(record.get("props")),
        "extra": _extra(record, "id", "user", "type", "created", "props"),
    }
    return {"events": [row], "event_types": [_event_type(kind)] if identifier(_mapping(kind)) else []}


def conversation_rows(record: Record) -> Rows:
    """Returns `conversations`, `conversation_tags` and `admins` of one row of the conversation list."""
    conversation_id = identifier(record.get("id"))
    row = {
        "id": conversation_id,
        "user_id": identifier(record.get("user")),
        "created_at": timestamp(record.get("created")),
        "updated_at": timestamp(record.get("last_update")),
        **{name: boolean(record.get(name)) for name in ("closed", "read", "replied", "clicked", "unsubscribed")},
        "type": text(record.get("type")),
        "reply_type": text(record.get("reply_type")),
        "message_id": identifier(record.get("message")),
        "assignee_id": identifier(record.get("assignee")),
        "last_admin_id": identifier(record.get("last_admin")),
        "channel_id": identifier(record.get("channel")),
        "parts_count": integer(record.get("parts_count")),
        "unread_parts_count": integer(record.get("unread_parts_count")),
        "part_last_id": identifier(record.get("part_last")),
        "extra": _extra(record, *_CONVERSATION_FIELDS),
    }
    tags = sorted({str(text(tag)) for tag in _list(record.get("tags")) if tag is not None})
    return {
        "conversations": [row],
        "conversation_tags": [{"conversation_id": conversation_id, "tag": tag} for tag in tags],
        "admins": _admins([record.get("assignee"), record.get("last_admin")]),
    }


def part_rows(record: Record, conversation_id: str) -> Rows:
    """Returns `parts`, `part_attachments` and `admins` of one part of a conversation."""
    part_id = identifier(record.get("id"))
    conversation_id = identifier(record.get("conversation")) or conversation_id
    author_type, author_id = _author(record.get("from"))
    row = {
        "id": part_id,
        "conversation_id": conversation_id,
        "created_at": timestamp(record.get("created")),
        "type": text(record.get("type")),
        "body": text(record.get("body")),
        "sent_via": text(record.get("sent_via")),
        "author_type": author_type,
        "author_id": author_id,
        "is_first": bool(boolean(record.get("first"))),
        "read": boolean(record.get("read")),
        "tag": text(record.get("tag")),
        "assignee_id": identifier(record.get("assignee")),
        "edited_at": timestamp(record.get("edited")),
        "removed_at": timestamp(record.get("removed")),
        "extra": _extra(record, *_PART_FIELDS),
    }
    attachments = _mappings(record.get("attachments"))
    return {
        "parts": [row],
        "part_attachments": [_attachment(one, part_id, conversation_id) for one in attachments],
        "admins": _admins([record.get("from"), record.get("assignee")]),
    }


def channel_rows(record: Record, _fetched_at: datetime) -> Rows:
    """Returns `channels` and `admins` (its operators) of one channel."""
    operators = _list(record.get("operators"))
    row = {
        "id": identifier(record.get("id")),
        "name": text(record.get("name")),
        "type": text(record.get("type")),
        "avatar": text(record.get("avatar")),
        "operator_ids": json_text([identifier(one) for one in operators]) if "operators" in record else None,
        "extra": _extra(record, "id", "name", "type", "avatar", "operators"),
    }
    return {"channels": [row], "admins": _admins(operators)}


def active_user_rows(record: Record, sampled_at: datetime) -> Rows:
    """Returns `active_users` of one user who is on the site."""
    row = {
        "user_id": identifier(record.get("id")),
        "sampled_at": sampled_at,
        "presence": text(record.get("presence")),
        "presence_details": json_column(record.get("presence_details")),
        "extra": _extra(record, "id", "presence", "presence_details"),
    }
    return {"active_users": [row]}


def merge_rows(many: Iterable[Rows]) -> Rows:
    """Returns the rows of many records by table, in their order; an admin or event type only once."""
    merged: Rows = {}
    for rows in many:
        for table, new in rows.items():
            if new:
                merged.setdefault(table, []).extend(new)
    return {table: _once(rows) if table in ("admins", "event_types") else rows for table, rows in merged.items()}


def stamp(rows: Rows, fetched_at: datetime) -> Rows:
    """Returns `rows` with `_synced_at`, without those that lack a key: a record without an id is no record."""
    stamped = {
        table: [
            {**row, "_synced_at": fetched_at, "_deleted_at": None} for row in many if row[_FIRST_KEY[table]] is not None
        ]
        for table, many in rows.items()
    }
    return {table: many for table, many in stamped.items() if many}


_FIRST_KEY = {
    "users": "id",
    "user_props": "user_id",
    "user_details": "user_id",
    "events": "id",
    "event_types": "id",
    "conversations": "id",
    "conversation_tags": "conversation_id",
    "parts": "id",
    "part_attachments": "id",
    "admins": "id",
    "channels": "id",
    "active_users": "user_id",
}
_CONVERSATION_FIELDS = (
    *("id", "user", "created", "last_update", "closed", "read", "replied", "clicked", "unsubscribed", "type"),
    *("reply_type", "message", "assignee", "last_admin", "channel", "parts_count", "unread_parts_count"),
    *("part_last", "tags"),
)
_PART_FIELDS = (
    *("id", "conversation", "created", "type", "body", "sent_via", "from", "first", "read", "tag", "assignee"),
    *("edited", "removed", "attachments"),
)


def _properties(record: Record) -> dict[str, Any]:
    """System properties begin with `$`, custom ones never do, so the two maps cannot collide."""
    return {**_mapping(record.get("props")), **_mapping(record.get("props_custom"))}


def _property_rows(user_id: str | None, props: Record, origin: str) -> list[Row]:
    rows = {text(name): value for name, value in props.items()}
    return [
        {"user_id": user_id, "name": name, "value": text(value), "value_type": json_type(value), "origin": origin}
        for name, value in rows.items()
    ]


def _event_type(record: Any) -> Row:
    kind = _mapping(record)
    return {
        "id": identifier(kind.get("id")),
        "name": text(kind.get("name")),
        "score": integer(kind.get("score")),
        "visible": boolean(kind.get("visible")),
        "active": boolean(kind.get("active")),
        "extra": _extra(kind, "id", "name", "score", "visible", "active"),
    }


def _attachment(record: Record, part_id: str | None, conversation_id: str | None) -> Row:
    return {
        "id": identifier(record.get("id")),
        "part_id": part_id,
        "conversation_id": conversation_id,
        "filename": text(record.get("filename")),
        "mime_type": text(record.get("mime_type")),
        "size": integer(record.get("size")),
        "url": text(record.get("url")),
        "created_at": timestamp(record.get("created")),
        "type": text(record.get("type")),
        "extra": _extra(record, "id", "filename", "mime_type", "size", "url", "created", "type"),
    }


def _author(sender: Any) -> tuple[str | None, str | None]:
    """`from` is a user's id or an admin object; a `default_admin` has no id."""
    if isinstance(sender, Mapping):
        return text(sender.get("type")) or "admin", identifier(sender)
    user_id = identifier(sender)
    return (None, None) if user_id is None else ("user", user_id)


def _admins(people: Iterable[Any]) -> list[Row]:
    """Rows of the admin objects among `people` that have an id, each once."""
    rows = {
        identifier(person): {
            "id": identifier(person),
            "name": text(person.get("name")),
            "avatar": text(person.get("avatar")),
            "type": text(person.get("type")),
            "extra": _extra(person, "id", "name", "avatar", "type"),
        }
        for person in people
        if isinstance(person, Mapping)
    }
    return [row for admin_id, row in rows.items() if admin_id is not None]


def _once(rows: list[Row]) -> list[Row]:
    return list({row["id"]: row for row in rows}.values())


def _extra(record: Record, *taken: str) -> str | None:
    left = {key: value for key, value in record.items() if key not in taken}
    return json_text(left) if left else None


def _number(value: Any) -> float | None:
    """A finite number that fits a double; None for anything else."""
    fits = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
    return float(value) if fits else None


def _mapping(value: Any) -> Record:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _mappings(value: Any) -> list[Record]:
    return [one for one in _list(value) if isinstance(one, Mapping)]
