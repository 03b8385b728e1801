"""What the Web API has names and limits for, and one change of a user's property.

From api-reference.md, sections 6.1 and 8.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dashly.arguments import json_of, one_of, text
from dashly.errors import InvalidArgument

USER_FIELDS = ("props_custom", "props_events", "events", "presence_details", "segments", "notes", "tags")
"""What GET /users/{id} leaves out unless it is asked for."""
LONGEST_NAME = 255
"""Characters of an event's name."""
OPERATIONS = ("update_or_create", "set_once", "add", "delete", "append", "union", "exclude")
MOST_OPERATIONS = 250
"""Of one call to `set_user_props`."""
REPLY_TYPES = ("reply_admin", "note")
MESSAGE_TYPES = ("popup_chat", "popup_small", "popup_big", "email")
PRESENCES = ("online", "idle")
LARGEST_RANDOM_ID = 2**63 - 1
SESSION_CHARACTERS = 32


@dataclass(frozen=True, slots=True)
class Operation:
    """One change of one property of a user.

    Attributes:
        op: `update_or_create` sets it; `set_once` only where there is none; `add` adds a number to it; `append` adds a
            value to a list, `union` only one that is not in it, `exclude` takes it out; `delete` needs no value.
        key: Its name. One that begins with `$` is the system's, such as `$email`.
        value: What JSON can hold; a time is text in ISO 8601.
    """

    op: str
    key: str
    value: Any = None

    def to_json(self) -> dict[str, Any]:
        """Returns the operation as the API takes it.

        Raises:
            InvalidArgument: The API would refuse or ignore it.

        Example:
            >>> Operation("add", "orders", 1).to_json()
            {'op': 'add', 'key': 'orders', 'value': 1}
        """
        named = {"op": one_of("op", self.op, OPERATIONS), "key": text("key", self.key)}
        if self.op == "delete":
            return named
        if self.value is None:
            raise InvalidArgument(f"{self.op} of {self.key!r} has no value", "To take a property away, delete it")
        if self.op == "add" and (isinstance(self.value, bool) or not isinstance(self.value, int | float)):
            raise InvalidArgument(f"add to {self.key!r} is given {type(self.value).__name__}", "It needs a number")
        json_of(f"the value of {self.key!r}", self.value)
        return {**named, "value": self.value}


@dataclass(frozen=True, slots=True)
class PropsChange:
    """What `set_user_props` did.

    Attributes:
        affected: Names of the properties that changed.
        ignored: Operations that did nothing, as they were sent: the value was empty, or is there already, or the
            operation does not fit the property.
    """

    affected: tuple[str, ...]
    ignored: tuple[Mapping[str, Any], ...]
