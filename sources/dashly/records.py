"""API records into rows: pure functions from the records of a page to rows by table.

A `Shape` says which field fills which column and how its value is read. What no column takes, and a value that its
column cannot hold, goes to `extra` under its original key: a field that the API adds tomorrow, or sends as something
else, is kept from the first day. A page is read column by column, as most columns need no look at each value. `stamp`
makes the rows ready for the warehouse.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dashly.values import (
    boolean,
    booleans,
    identifier,
    identifiers,
    integer,
    json_column,
    json_text,
    json_type,
    text,
    texts,
    timestamp,
    timestamps,
)

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

    def rows(self, records: Sequence[Record]) -> list[Row]:
        """Returns a row for each record; its `extra` is what no column took, under its original key, or None."""
        extras: dict[int, Row] = {}
        columns: dict[str, list[Any]] = {}
        for name, (column, read) in self.columns.items():
            sent = [record.get(name) for record in records]
            if sent.count(None) == len(sent):
                columns[column] = sent
                continue
            columns[column] = values = _read_column(read, sent)
            if None in values:
                for place, value in enumerate(values):
                    if value is None and sent[place] not in _NOTHING:
                        extras.setdefault(place, {})[name] = sent[place]
        for place, record in enumerate(records):
            if not record.keys() <= self.columns.keys() and (beside := self._beside_columns(record)):
                extras.setdefault(place, {}).update(beside)
        columns["extra"] = [extras.get(place) for place in range(len(records))]
        return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]

    def _beside_columns(self, record: Record) -> Row:
        """Returns what neither a column nor a table takes."""
        untaken = {name for name in record.keys() - self.columns.keys() if not self._is_taken(name, record[name])}
        return {name: record[name] for name in record if name in untaken} if untaken else {}

    def _is_taken(self, name: str, value: Any) -> bool:
        return name in self.taken and (isinstance(value, self.taken[name]) or value in _NOTHING)


_NOTHING: tuple[Any, ...] = (None, "", {}, [])


_FASTER: Mapping[Callable[[Any], Any], Callable[[list[Any]], list[Any]]] = {
    identifier: identifiers,
    text: texts,
    timestamp: timestamps,
    boolean: booleans,
}
"""By reader of a value, what reads a whole column at once."""


def _read_column(read: Callable[[Any], Any], sent: list[Any]) -> list[Any]:
    faster = _FASTER.get(read)
    return faster(sent) if faster is not None else [None if value is None else read(value) for value in sent]


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


def user_rows(records: Sequence[Record]) -> Rows:
    """Returns `users` and `user_props` of rows of the user list."""
    rows, props = SHAPES["users"].rows(records), [_properties(record) for record in records]
    for row, own in zip(rows, props, strict=True):
        row["name"], row["email"], row["phone"] = (text(own.get(name)) for name in ("$name", "$email", "$phone"))
        row["last_seen_at"] = timestamp(own.get("$last_seen"))
        row["props"] = json_text(own)
    return {"users": rows, "user_props": _property_rows(rows, "id", props, "users")}


def user_detail_rows(records: Sequence[Record], user_id: str | None) -> Rows:
    """Returns `user_details`, `user_props` and `admins` (authors of notes) of `GET /users/{id}`."""
    rows, props = SHAPES["user_details"].rows(records), [_properties(record) for record in records]
    for row in rows:
        row["user_id"] = row["user_id"] or user_id
    return {
        "user_details": rows,
        "user_props": _property_rows(rows, "user_id", props, "user_details"),
        "admins": _admins(note.get("author") for record in records for note in _mappings(record.get("notes"))),
    }


def event_rows(records: Sequence[Record], user_id: str) -> Rows:
    """Returns `events` and `event_types` of events of `user_id`."""
    rows, kinds = SHAPES["events"].rows(records), [_mapping(record.get("type")) for record in records]
    for row, kind in zip(rows, kinds, strict=True):
        row["user_id"] = row["user_id"] or user_id
        row["name"] = text(kind.get("name"))
    return {"events": rows, "event_types": _each_once("event_types", kinds)}


def conversation_rows(records: Sequence[Record]) -> Rows:
    """Returns `conversations`, `conversation_tags` and `admins` of rows of the conversation list."""
    rows = SHAPES["conversations"].rows(records)
    return {
        "conversations": rows,
        "conversation_tags": [
            {"conversation_id": row["id"], "tag": tag}
            for row, record in zip(rows, records, strict=True)
            for tag in sorted({str(text(tag)) for tag in _list(record.get("tags")) if tag is not None})
        ],
        "admins": _admins(record.get(who) for record in records for who in ("assignee", "last_admin")),
    }


def part_rows(records: Sequence[Record], conversation_id: str) -> Rows:
    """Returns `parts`, `part_attachments` and `admins` of parts of a conversation."""
    rows = SHAPES["parts"].rows(records)
    attached: list[tuple[Row, Record]] = []
    for row, record in zip(rows, records, strict=True):
        row["conversation_id"] = row["conversation_id"] or conversation_id
        row["author_type"], row["author_id"] = _author(record.get("from"))
        row["is_first"] = bool(row["is_first"])
        attached += [(row, one) for one in _mappings(record.get("attachments"))]
    attachments = SHAPES["part_attachments"].rows([one for _, one in attached])
    for attachment, (part, _) in zip(attachments, attached, strict=True):
        attachment["part_id"], attachment["conversation_id"] = part["id"], part["conversation_id"]
    return {
        "parts": rows,
        "part_attachments": attachments,
        "admins": _admins(record.get(who) for record in records for who in ("from", "assignee")),
    }


def channel_rows(records: Sequence[Record], _fetched_at: datetime) -> Rows:
    """Returns `channels` and `admins` (their operators) of channels."""
    operators = (one for record in records for one in _list(record.get("operators")))
    return {"channels": SHAPES["channels"].rows(records), "admins": _admins(operators)}


def active_user_rows(records: Sequence[Record], sampled_at: datetime) -> Rows:
    """Returns `active_users` of users who are on the site."""
    return {"active_users": [{**row, "sampled_at": sampled_at} for row in SHAPES["active_users"].rows(records)]}


def merge_rows(many: Iterable[Rows]) -> Rows:
    """Returns the rows of many pages by table, in their order; an admin or event type only once."""
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


def _property_rows(owners: Sequence[Row], key: str, props: Sequence[Record], origin: str) -> list[Row]:
    return [
        {"user_id": owner[key], "name": name, "value": text(value), "value_type": json_type(value), "origin": origin}
        for owner, own in zip(owners, props, strict=True)
        for name, value in {text(name): value for name, value in own.items()}.items()
    ]


def _each_once(table: str, records: Iterable[Any]) -> list[Row]:
    """Rows of the records that have an id, each once, with what was said last."""
    named = {identifier(record.get("id")): record for record in records if isinstance(record, dict)}
    named.pop(None, None)
    return SHAPES[table].rows(list(named.values()))


def _author(sender: Any) -> tuple[str | None, str | None]:
    """`from` is a user's id or an admin object; a `default_admin` has no id."""
    if isinstance(sender, dict):
        return text(sender.get("type")) or "admin", identifier(sender)
    user_id = identifier(sender)
    return (None, None) if user_id is None else ("user", user_id)


def _admins(people: Iterable[Any]) -> list[Row]:
    """Rows of the admin objects among `people`."""
    return _each_once("admins", people)


def _once(rows: list[Row]) -> list[Row]:
    return list({row["id"]: row for row in rows}.values())


def _mapping(value: Any) -> Record:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _mappings(value: Any) -> list[Record]:
    return [one for one in _list(value) if isinstance(one, dict)]
