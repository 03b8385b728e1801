"""What a row of the warehouse asks of Dashly: which column is whose id, which key, which text."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any, Literal

from dashly_activation.values import Unsendable, moment, parameter_value, property_value, text_value

Kind = Literal["props", "events", "messages"]
KINDS: tuple[Kind, ...] = ("props", "events", "messages")

OPERATIONS = ("update_or_create", "set_once", "add", "append", "union", "exclude", "delete")
"""What the API does with a property (api-reference.md, section 8)."""
REPEATABLE = frozenset(OPERATIONS) - {"add", "append"}
"""Twice is as good as once."""
_OF_LISTS = frozenset({"append", "union", "exclude"})
"""These take one text, so that a list is as many operations."""
MESSAGE_TYPES = ("popup_chat", "popup_small", "popup_big", "email")
LONGEST_EVENT_NAME = LONGEST_USER_ID = 255
LONGEST_PARAMETER_NAME = 70
CREATED_COLUMNS = ("created", "created_at")
CLOCKS_DIFFER = timedelta(minutes=5)
"""So far ahead of this machine, or of the moment at which a push began, a row's time is taken for now."""
_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)
_READ_ONLY_KEYS = frozenset({"$last_seen"})


class MappingError(Exception):
    """The columns of the rows and what was said of them do not fit together.

    Attributes:
        mend: What to say instead.
    """

    def __init__(self, message: str, mend: str) -> None:
        super().__init__(f"{message}. {mend}")
        self.mend = mend


@dataclass(frozen=True, slots=True)
class Request:
    """What one row asks for.

    Attributes:
        key: The row, within its push.
        user: Whose card, by Dashly's id or the customer's own.
        by_user_id: Whether it is the customer's own.
        content: JSON. Of properties, `{key: [operation, value]}`; of an event `event`, `created` (ISO 8601) and
            `params`; of a message `body` and `type`.
    """

    key: str
    user: str
    by_user_id: bool
    content: dict[str, Any]

    @property
    def digest(self) -> str:
        """What is equal for equal requests only."""
        return digest_of([self.user, self.by_user_id, self.content])

    def to_json(self, content: Mapping[str, Any] | None = None) -> str:
        """The request, or the part of it that has this content, as the ledger keeps it."""
        return canonical([self.user, self.by_user_id, self.content if content is None else content])

    @classmethod
    def from_json(cls, key: str, text: str) -> Request:
        """The request that `to_json` wrote."""
        user, by_user_id, content = json.loads(text)
        return cls(key, user, by_user_id, content)

    @classmethod
    def of_props(cls, key: str, content: dict[str, Any]) -> Request:
        """The request for properties of the user whom the key names."""
        which, _, user = key.partition(" ")
        return cls(key, user, which == "user_id", content)


@dataclass(frozen=True)
class RowMap:
    """Which column means what.

    Attributes:
        kind: What a row becomes.
        identity: The column that says whose card.
        by_user_id: Whether it holds the customer's own ids.
        keys: Property or parameter by column; without any, all other columns under their own names, but for those
            that begin with an underscore.
        operations: Of a property that is not simply set, by key.
        operation: Of all others.
        deletes_null: Whether a property that is NULL is deleted; it is left alone otherwise.
        row_key: The columns that tell one event or message from all others; all columns together without any.
        event: The name of all events; the column `event` without it.
        created: The column that says when an event happened; `created` or `created_at` without it.
    """

    kind: Kind
    identity: str
    by_user_id: bool = False
    keys: Mapping[str, str] = field(default_factory=dict)
    operations: Mapping[str, str] = field(default_factory=dict)
    operation: str = "update_or_create"
    deletes_null: bool = False
    row_key: Sequence[str] = ()
    event: str | None = None
    created: str | None = None

    def bind(self, columns: Sequence[str], now: datetime) -> Callable[[Mapping[str, Any]], Request]:
        """Returns what makes a request of a row with these columns; it raises `Unsendable` where that cannot be done.

        Args:
            columns: Of the rows.
            now: No event may be later.

        Raises:
            MappingError: A column is named that is not there, or one that is needed is missing.
        """
        self._check(columns)
        if self.kind == "props":
            return self._of_props(columns)
        if self.kind == "events":
            return self._of_events(columns, now)
        return self._of_messages(columns)

    def _check(self, columns: Sequence[str]) -> None:
        for operation in (*self.operations.values(), self.operation):
            if operation not in OPERATIONS:
                raise MappingError(f"there is no operation {operation!r}", f"There are: {', '.join(OPERATIONS)}")
        named = (self.identity, *self.keys, *self.row_key, *([self.created] if self.created else []))
        for column in named:
            if column not in columns:
                raise MappingError(f"the rows have no column {column!r}", f"They have: {', '.join(columns)}")

    def _of_props(self, columns: Sequence[str]) -> Callable[[Mapping[str, Any]], Request]:
        keys = self._keys(columns, ())
        unknown = sorted(set(self.operations) - set(keys.values()))
        if unknown:
            raise MappingError(
                f"no column becomes the property {unknown[0]!r}", f"There are: {', '.join(keys.values())}"
            )
        if wrong := sorted(_READ_ONLY_KEYS & set(keys.values())):
            raise MappingError(f"the property {wrong[0]} is Dashly's own", "Leave it out")

        def request(row: Mapping[str, Any]) -> Request:
            user = self._user(row)
            content = {}
            for column, key in keys.items():
                operation = self._operation(key, row[column])
                if operation is not None:
                    content[key] = operation
            return Request(_key_of(user, self.by_user_id), user, self.by_user_id, content)

        return request

    def _operation(self, key: str, value: Any) -> list[Any] | None:
        """The operation and its value; None where there is nothing to do."""
        operation = self.operations.get(key, self.operation)
        if value is None:
            return ["delete", None] if self.deletes_null else None
        if operation == "delete":
            return ["delete", None]
        try:
            found = property_value(value)
        except Unsendable as error:
            raise Unsendable(f"{key}: {error}") from None
        if operation == "add" and (isinstance(found, bool) or not isinstance(found, int)):
            raise Unsendable(f"{key}: {found!r} is no number to add")
        return None if found == [] and operation in _OF_LISTS else [operation, found]

    def _of_events(self, columns: Sequence[str], now: datetime) -> Callable[[Mapping[str, Any]], Request]:
        created = self.created or next((column for column in CREATED_COLUMNS if column in columns), None)
        if created is None:
            raise MappingError(
                "the rows have no column that says when the event happened",
                "It is sent with every event, so that none sets off an auto-message twice: name it with --created",
            )
        if self.event is None and "event" not in columns:
            raise MappingError("the rows have no column 'event'", "Name the event with --event, or select one")
        keys = self._keys(columns, (created, *(() if self.event else ("event",))))
        if long := [key for key in keys.values() if len(key) > LONGEST_PARAMETER_NAME]:
            raise MappingError(f"the parameter {long[0]!r} is too long", f"Dashly takes {LONGEST_PARAMETER_NAME}")

        def request(row: Mapping[str, Any]) -> Request:
            at = _named("created", moment, row[created])
            if at > now + CLOCKS_DIFFER:
                raise Unsendable(f"created: {at.isoformat()} is in the future")
            at = min(at, now)
            name = self.event or row["event"]
            content = {
                "event": _named("event", lambda value: text_value(value, LONGEST_EVENT_NAME), name),
                "created": at.isoformat(),
                "params": {
                    key: _named(key, parameter_value, row[column])
                    for column, key in keys.items()
                    if row[column] is not None
                },
            }
            return Request(self._row_key(row), self._user(row), self.by_user_id, content)

        return request

    def _of_messages(self, columns: Sequence[str]) -> Callable[[Mapping[str, Any]], Request]:
        column_of = {key: column for column, key in self.keys.items()}
        body, kind = column_of.get("body", "body"), column_of.get("type", "type")
        if other := sorted(set(column_of) - {"body", "type"}):
            raise MappingError(f"a message has no {other[0]!r}", "It has body and type")
        if self.by_user_id:
            raise MappingError("a message is sent by Dashly's own id", "Name its column with --id")
        if body not in columns:
            raise MappingError("the rows have no column 'body'", "Select one, or name it: --map COLUMN=body")

        def request(row: Mapping[str, Any]) -> Request:
            type_ = row.get(kind) or MESSAGE_TYPES[0]
            if type_ not in MESSAGE_TYPES:
                raise Unsendable(f"type: {type_!r} is none of {', '.join(MESSAGE_TYPES)}")
            content = {"body": _named("body", text_value, row[body]), "type": type_}
            return Request(self._row_key(row), self._user(row), self.by_user_id, content)

        return request

    def _keys(self, columns: Sequence[str], taken: Sequence[str]) -> dict[str, str]:
        """Key by column, for the columns that become one."""
        if self.keys:
            return dict(self.keys)
        found = {
            column: column
            for column in columns
            if column != self.identity and column not in taken and column not in self.row_key and column[:1] != "_"
        }
        if not found and self.kind == "props":
            raise MappingError("the rows have no column besides the id", "Select what the properties are to be")
        return found

    def _user(self, row: Mapping[str, Any]) -> str:
        return identity(row[self.identity], self.by_user_id)

    def _row_key(self, row: Mapping[str, Any]) -> str:
        if not self.row_key:  # what a sync notes of a row, such as `_synced_at`, makes no other event of it
            return digest_of({column: value for column, value in row.items() if column[:1] != "_"})
        if any(row[column] is None for column in self.row_key):
            raise Unsendable(f"the key ({', '.join(self.row_key)}) is NULL")
        return canonical([row[column] for column in self.row_key])


def _key_of(user: str, by_user_id: bool) -> str:
    return f"{'user_id' if by_user_id else 'id'} {user}"


def identity(value: Any, by_user_id: bool) -> str:
    """Returns the id as text.

    Raises:
        Unsendable: It is none.

    Examples:
        >>> identity(1448121617782670208, False), identity("ann@example.com", True)
        ('1448121617782670208', 'ann@example.com')
    """
    if value is None or value == "":
        raise Unsendable("the id is NULL" if value is None else "the id is empty")
    if isinstance(value, float):
        raise Unsendable(f"the id {value!r} is a fraction by its type, which does not hold 64-bit ids: cast it to text")
    text = str(value)
    if by_user_id:
        if len(text) > LONGEST_USER_ID or not text.isprintable():
            raise Unsendable(f"{text[:60]!r} is no user_id, which is text of {LONGEST_USER_ID} characters at most")
        return text
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 2**64):
        raise Unsendable(f"{text!r} is no id of Dashly's, which are numbers: is it a user_id (--by-user-id)?")
    return text


def calls(kind: Kind, content: Mapping[str, Any], most: int) -> list[dict[str, Any]]:
    """Returns the content of a request in as many parts as it needs calls.

    Args:
        kind: Only properties are divided.
        content: Of the request.
        most: How many operations a call may have; those of one property stay together.

    Examples:
        >>> calls("props", {"a": ["union", ["x", "y"]], "b": ["add", 1]}, 2)
        [{'a': ['union', ['x', 'y']]}, {'b': ['add', 1]}]
    """
    if kind != "props":
        return [dict(content)]
    found: list[dict[str, Any]] = []
    count = most
    for key, (operation, value) in content.items():
        size = len(operations(key, operation, value))
        if count + size > most:
            found.append({})
            count = 0
        found[-1][key] = [operation, value]
        count += size
    return found


def operations(key: str, operation: str, value: Any) -> list[tuple[str, str, Any]]:
    """Returns a property's operations; a list that is added to another one is added text by text.

    Example:
        >>> operations("tags", "union", ["a", "b"])
        [('union', 'tags', 'a'), ('union', 'tags', 'b')]
    """
    if operation in _OF_LISTS and isinstance(value, list):
        return [(operation, key, one) for one in value]
    return [(operation, key, value)]


def canonical(value: Any) -> str:
    """Returns JSON that is the same text for the same value; a lone surrogate, which no file takes, is a `?`."""
    text = _ENCODER.encode(value)
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def digest_of(value: Any) -> str:
    """Returns 32 characters that differ for different values."""
    return blake2b(canonical(value).encode(), digest_size=16).hexdigest()


def _named(name: str, read: Callable[[Any], Any], value: Any) -> Any:
    try:
        return read(value)
    except Unsendable as error:
        raise Unsendable(f"{name}: {error}") from None
