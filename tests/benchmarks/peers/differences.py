"""What is wrong with what somebody holds, against the truth: rows missing, stale, doubled, or gone in truth. Pure.

A row is its id and its content, a tuple of what changes in it: the same for the truth, for a record as the API sends
it, and for a row of our own tables.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

Content = tuple[Any, ...]
Row = tuple[str, Content]
TABLES = ("users", "events", "conversations", "parts")


@dataclass(frozen=True)
class Wrong:
    """How many rows are wrong, in which way.

    >>> str(Wrong(missing=5, stale=1)), str(Wrong())
    ('5 missing, 1 stale', '')
    """

    missing: int = 0
    """Not there."""
    stale: int = 0
    """There, with an older content."""
    doubled: int = 0
    """There more than once; each further one counts."""
    ghosts: int = 0
    """There, and gone in truth."""

    def __add__(self, other: Wrong) -> Wrong:
        return Wrong(**{one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(self)})

    def __bool__(self) -> bool:
        return any(asdict(self).values())

    def __str__(self) -> str:
        return ", ".join(f"{number} {name}" for name, number in asdict(self).items() if number)


def differences(truth: Mapping[str, Content], held: Iterable[Row]) -> Wrong:
    """Holds the rows of one table against the truth.

    >>> differences({"1": ("a",), "2": ("b",)}, [("1", ("a",)), ("1", ("a",)), ("3", ("c",))])
    Wrong(missing=1, stale=0, doubled=1, ghosts=1)
    """
    times: Counter[str] = Counter()
    right: set[str] = set()
    for identifier, content in held:
        times[identifier] += 1
        if truth.get(identifier) == content:
            right.add(identifier)
    return Wrong(
        missing=len(truth.keys() - times.keys()),
        stale=len(truth.keys() & times.keys() - right),
        doubled=sum(number - 1 for identifier, number in times.items() if identifier in truth),
        ghosts=len(times.keys() - truth.keys()),
    )


def of_record(table: str, record: Mapping[str, Any]) -> Row:
    """The row in a record as the API sends it, whichever way its values were kept."""
    content = _OF_RECORDS[table](record)
    return str(record["id"]), content


def of_row(table: str, row: Mapping[str, Any]) -> Row:
    """The row in a row of our own tables, and of the simulator's truth, which has the same columns."""
    return str(row["id"]), _OF_ROWS[table](row)


def _parsed(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)


def _unix(value: datetime | None) -> int | None:
    return None if value is None else int(value.timestamp())


def _text(value: Any) -> str | None:
    """An id or a text as text; PyAirbyte keeps a text in a column without one type as JSON."""
    return None if value is None else str(value).strip('"')


_OF_RECORDS: dict[str, Callable[[Mapping[str, Any]], Content]] = {
    "users": lambda one: (_text(one.get("user_id")), one.get("presence"), _parsed(one["props"]).get("$last_seen")),
    "events": lambda one: (_text(one["user"]), _parsed(one["type"])["name"], _whole(one["created"])),
    "conversations": lambda one: (_whole(one["last_update"]), _whole(one["parts_count"]), one["closed"]),
    "parts": lambda one: (
        _text(one["conversation"]),
        one.get("body"),
        _whole(one["created"]),
        _whole(one.get("edited")),
        _whole(one.get("removed")),
    ),
}
_OF_ROWS: dict[str, Callable[[Mapping[str, Any]], Content]] = {
    "users": lambda one: (one["external_id"], one["presence"], _parsed(one["props"])["$last_seen"]),
    "events": lambda one: (one["user_id"], one["name"], _unix(one["created_at"])),
    "conversations": lambda one: (_unix(one["updated_at"]), one["parts_count"], one["closed"]),
    "parts": lambda one: (
        one["conversation_id"],
        one["body"],
        _unix(one["created_at"]),
        _unix(one["edited_at"]),
        _unix(one["removed_at"]),
    ),
}
