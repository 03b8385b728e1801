"""API records into rows: pure functions from one record, and the time it was fetched, to rows by table.

A `Shape` says which field fills which column and how its value is read. What no column takes, and a value that its
column cannot hold, goes to `extra` under its original key: a field that the API adds tomorrow, or sends as something
else, is kept from the first day. `stamp` makes the rows ready for the warehouse.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

import orjson

from dashly.values import boolean, identifier, integer, json_column, json_text, json_type, text, timestamp

Record = Mapping[str, Any]
Row = dict[str, Any]
Rows = dict[str, list[Row]]
"""Rows by table name."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How a record becomes a row.

    Attributes:
        columns: By field of the record, the column that it fills and how its value is read.
        taken: Fields that columns or tables are made of in another way, and of which type they are then.
    """

    columns: Mapping[str, tuple[str, Callable[[Any], Any]]]
    taken: Mapping[str, tuple[type, ...]] = field(default_factory=dict)

    def row(self, record: Record) -> Row:
        """Returns the row; `extra` is what no column took, under its original key, or None."""
        row: Row = {}
        extra: dict[str, Any] = {}
        for name, (column, read) in self.columns.items():
            sent = record.get(name)
            if sent is None:
                row[column] = None
                continue
            row[column] = value = read(sent)
            if value is None and sent not in _NOTHING:
                extra[name] = sent
        if not record.keys() <= self.columns.keys():
            extra.update(self._beside_columns(record))
        row["extra"] = extra or None
        return row

    def _beside_columns(self, record: Record) -> Iterator[tuple[str, Any]]:
        """Yields what neither a column nor a table takes."""
        for name in (name for name in record if name not in self.columns):
            fits = isinstance(record[name], self.taken.get(name, ()))
            if not fits and (name not in self.taken or record[name] not in _NOTHING):
                yield name, record[name]


_NOTHING: tuple[Any, ...] = (None, "", {}, [])


def _number(value: Any) -> float | None:
    """A finite number that fits a double; None for anything else."""
    fits = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
    return float(value) if fits else None


def _operator_ids(operators: Any) -> str | None:
    return json_text([identifier(one) for one in operators]) if isinstance(operators, list) else None


def _named(*fields: str, read: Callable[[Any], Any]) -> dict[str, tuple[str, Callable[[Any], Any]]]:
    """Columns that are called like their fields."""
    return {field: (field, read) for field in fields}


SHAPES = {
    "users": Shape(
        {
            "id": ("id", identifier),
            "user_id": ("external_id", text),
            "presence": ("presence", text),
            "removed": ("removed_at", timestamp),
        },
        {"props": (dict,), "props_custom": (dict,)},
    ),
    "user_details": Shape(
        {
            "id": ("user_id", identifier),
            "timezone_offset": ("timezone_offset", _number),
            **_named("props_custom", "props_events", "events", "segments", "tags", "notes", read=json_column),
            "email_status": ("email_status", json_column),
        },
        {"user_id": (str, int), "presence": (str,), "removed": (str, int, float), "props": (dict,)},
    ),
    "events": Shape(
        {
            "id": ("id", identifier),
            "user": ("user_id", identifier),
            "type": ("type_id", identifier),
            "created": ("created_at", timestamp),
            "props": ("props", json_column),
        }
    ),
    "event_types": Shape(
        {
            "id": ("id", identifier),
            "name": ("name", text),
            "score": ("score", integer),
            **_named("visible", "active", read=boolean),
        }
    ),
    "conversations": Shape(
        {
            "id": ("id", identifier),
            "user": ("user_id", identifier),
            "created": ("created_at", timestamp),
            "last_update": ("updated_at", timestamp),
            **_named("closed", "read", "replied", "clicked", "unsubscribed", read=boolean),
            **_named("type", "reply_type", read=text),
            "message": ("message_id", identifier),
            "assignee": ("assignee_id", identifier),
            "last_admin": ("last_admin_id", identifier),
            "channel": ("channel_id", identifier),
            **_named("parts_count", "unread_parts_count", read=integer),
            "part_last": ("part_last_id", identifier),
        },
        {"tags": (list,)},
    ),
    "parts": Shape(
        {
            "id": ("id", identifier),
            "conversation": ("conversation_id", identifier),
            "created": ("created_at", timestamp),
            **_named("type", "body", "sent_via", read=text),
            "first": ("is_first", boolean),
            "read": ("read", boolean),
            "tag": ("tag", text),
            "assignee": ("assignee_id", identifier),
            "edited": ("edited_at", timestamp),
            "removed": ("removed_at", timestamp),
        },
        {"from": (str, int, dict), "attachments": (list,)},
    ),
    "part_attachments": Shape(
        {
            "id": ("id", identifier),
            **_named("filename", "mime_type", "url", "type", read=text),
            "size": ("size", integer),
            "created": ("created_at", timestamp),
        }
    ),
    "admins": Shape({"id": ("id", identifier), **_named("name", "avatar", "type", read=text)}),
    "channels": Shape(
        {
            "id": ("id", identifier),
            **_named("name", "type", "avatar", read=text),
            "operators": ("operator_ids", _operator_ids),
        }
    ),
    "active_users": Shape(
        {
            "id": ("user_id", identifier),
            "presence": ("presence", text),
            "presence_details": ("presence_details", json_column),
        }
    ),
}
"""By table, how the API's records become its rows."""


def user_rows(record: Record) -> Rows:
    """Returns `users` and `user_props` of one row of the user list."""
    props = _properties(record)
    row = SHAPES["users"].row(record)
    row["name"], row["email"], row["phone"] = (text(props.get(name)) for name in ("$name", "$email", "$phone"))
    row["last_seen_at"] = timestamp(props.get("$last_seen"))
    row["props"] = json_text(props)
    return {"users": [row], "user_props": _property_rows(row["id"], props, "users")}


def user_detail_rows(record: Record, user_id: str | None) -> Rows:
    """Returns `user_details`, `user_props` and `admins` (authors of notes) of one `GET /users/{id}`."""
    row = SHAPES["user_details"].row(record)
    row["user_id"] = row["user_id"] or user_id
    authors = [note.get("author") for note in _mappings(record.get("notes"))]
    return {
        "user_details": [row],
        "user_props": _property_rows(row["user_id"], _properties(record), "user_details"),
        "admins": _admins(authors),
    }


def event_rows(record: Record, user_id: str) -> Rows:
    """Returns `events` and `event_types` of one event of `user_id`."""
    row, kind = SHAPES["events"].row(record), record.get("type")
    row["user_id"] = row["user_id"] or user_id
    row["name"] = text(_mapping(kind).get("name"))
    return {"events": [row], "event_types": _event_types(kind)}


def conversation_rows(record: Record) -> Rows:
    """Returns `conversations`, `conversation_tags` and `admins` of one row of the conversation list."""
    row = SHAPES["conversations"].row(record)
    tags = sorted({str(text(tag)) for tag in _list(record.get("tags")) if tag is not None})
    return {
        "conversations": [row],
        "conversation_tags": [{"conversation_id": row["id"], "tag": tag} for tag in tags],
        "admins": _admins([record.get("assignee"), record.get("last_admin")]),
    }


def part_rows(record: Record, conversation_id: str) -> Rows:
    """Returns `parts`, `part_attachments` and `admins` of one part of a conversation."""
    row = SHAPES["parts"].row(record)
    row["conversation_id"] = row["conversation_id"] or conversation_id
    row["author_type"], row["author_id"] = _author(record.get("from"))
    row["is_first"] = bool(row["is_first"])
    attachments = [SHAPES["part_attachments"].row(one) for one in _mappings(record.get("attachments"))]
    for attachment in attachments:
        attachment["part_id"], attachment["conversation_id"] = row["id"], row["conversation_id"]
    return {
        "parts": [row],
        "part_attachments": attachments,
        "admins": _admins([record.get("from"), record.get("assignee")]),
    }


def channel_rows(record: Record, _fetched_at: datetime) -> Rows:
    """Returns `channels` and `admins` (its operators) of one channel."""
    return {"channels": [SHAPES["channels"].row(record)], "admins": _admins(_list(record.get("operators")))}


def active_user_rows(record: Record, sampled_at: datetime) -> Rows:
    """Returns `active_users` of one user who is on the site."""
    return {"active_users": [{**SHAPES["active_users"].row(record), "sampled_at": sampled_at}]}


def merge_rows(many: Iterable[Rows]) -> Rows:
    """Returns the rows of many records by table, in their order; an admin or event type only once."""
    merged: Rows = {}
    for rows in many:
        for table, new in rows.items():
            if new:
                merged.setdefault(table, []).extend(new)
    return {table: _once(rows) if table in ("admins", "event_types") else rows for table, rows in merged.items()}


def untaken(rows: Rows) -> Iterator[tuple[str, str, str]]:
    """Yields table, field and reason of what no column of `rows` took."""
    for table, many in rows.items():
        known = SHAPES[table].columns if table in SHAPES else {}
        for name in {name for row in many for name in row.get("extra") or ()}:
            yield table, name, "does not fit its column" if name in known else "is new"


def stamp(rows: Rows, fetched_at: datetime) -> Rows:
    """Returns `rows` as the warehouse takes them, with `_synced_at`; a record without an id is no record."""
    kept = {table: [row for row in many if row[_FIRST_KEY[table]] is not None] for table, many in rows.items()}
    for many in kept.values():
        for row in many:
            row["extra"] = json_column(row.get("extra"))
            row["_synced_at"], row["_deleted_at"] = fetched_at, None
    return {table: many for table, many in kept.items() if many}


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


def _properties(record: Record) -> dict[str, Any]:
    """System properties begin with `$`, custom ones never do, so the two maps cannot collide."""
    return {**_mapping(record.get("props")), **_mapping(record.get("props_custom"))}


def _property_rows(user_id: str | None, props: Record, origin: str) -> list[Row]:
    rows = {text(name): value for name, value in props.items()}
    return [
        {"user_id": user_id, "name": name, "value": text(value), "value_type": json_type(value), "origin": origin}
        for name, value in rows.items()
    ]


def _event_types(kind: Any) -> list[Row]:
    """A page has 50 events of a few types, so the row of one that was just seen is not made again."""
    if not isinstance(kind, Mapping) or identifier(kind) is None:
        return []
    try:
        return [dict(_event_type(orjson.dumps(kind)))]
    except TypeError:  # what orjson does not take is rare, and need not be fast
        return [SHAPES["event_types"].row(kind)]


@lru_cache(maxsize=256)
def _event_type(written: bytes) -> Row:
    return SHAPES["event_types"].row(orjson.loads(written))


def _author(sender: Any) -> tuple[str | None, str | None]:
    """`from` is a user's id or an admin object; a `default_admin` has no id."""
    if isinstance(sender, Mapping):
        return text(sender.get("type")) or "admin", identifier(sender)
    user_id = identifier(sender)
    return (None, None) if user_id is None else ("user", user_id)


def _admins(people: Iterable[Any]) -> list[Row]:
    """Rows of the admin objects among `people` that have an id, each once."""
    rows = {identifier(person): person for person in people if isinstance(person, Mapping)}
    return [SHAPES["admins"].row(person) for admin_id, person in rows.items() if admin_id is not None]


def _once(rows: list[Row]) -> list[Row]:
    return list({row["id"]: row for row in rows}.values())


def _mapping(value: Any) -> Record:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _mappings(value: Any) -> list[Record]:
    return [one for one in _list(value) if isinstance(one, Mapping)]
