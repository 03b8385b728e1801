"""The arguments of a request as the API takes them: text. What it would refuse is refused here, and costs no request.

The rules are those of api-reference.md, section 1.2: an id is 1 to 2^64-1, a boolean a word, a time unix seconds, a
list or an object JSON.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from dashly.errors import InvalidArgument
from dashly.values import MICRO

Id = str | int
"""An id of Dashly's own: a number, or its digits."""

LARGEST_ID = 2**64 - 1
LONGEST_USER_ID = 255
"""Characters of the customer's own user id (api-reference.md, section 3)."""
LATEST = datetime(9999, 12, 31, tzinfo=UTC)


def identifier(name: str, value: Id) -> str:
    """Returns an id as text.

    Example:
        >>> identifier("user_id", 1448121617782670208), identifier("user_id", "12")
        ('1448121617782670208', '12')
    """
    written = str(value) if isinstance(value, str) or type(value) is int else ""
    if not (written.isascii() and written.isdecimal() and len(written) <= 20 and 0 < int(written) <= LARGEST_ID):
        raise _refused(name, value, "an id of Dashly's, a whole number from 1 to 2^64-1")
    return written


def user_in_path(user_id: Id, *, by_user_id: bool) -> str:
    """Returns how a path names a user: by Dashly's id, or by the customer's own with its odd characters escaped.

    Example:
        >>> user_in_path("shop/7", by_user_id=True), user_in_path(12, by_user_id=False)
        ('shop%2F7', '12')
    """
    if not by_user_id:
        return identifier("user_id", user_id)
    written = text("user_id", str(user_id), longest=LONGEST_USER_ID)
    if written.strip(".") == "":
        raise _refused("user_id", user_id, "more than dots, which mean another path")
    return quote(written, safe="")


def text(name: str, value: str, longest: int | None = None) -> str:
    """Returns text that is not empty, not longer than `longest` characters, and all UTF-8."""
    if not isinstance(value, str) or not value:
        raise _refused(name, value, "text that is not empty")
    if longest is not None and len(value) > longest:
        raise InvalidArgument(f"{name} has {len(value)} characters", f"The API takes {longest} at most")
    return _encodable(name, value)


def one_of(name: str, value: str, choices: Collection[str]) -> str:
    """Returns one of the choices."""
    if value not in choices:
        raise _refused(name, value, f"one of {', '.join(choices)}")
    return value


def whole(name: str, value: int, lowest: int, highest: int) -> str:
    """Returns a whole number within bounds.

    Example:
        >>> whole("count", 50, 1, 50)
        '50'
    """
    if type(value) is not int or not lowest <= value <= highest:
        raise _refused(name, value, f"a whole number from {lowest} to {highest}")
    return str(value)


def truth(name: str, value: bool) -> str:
    """Returns `true` or `false`: of the API's own rule, that any other word is true, nobody is to make use."""
    if not isinstance(value, bool):
        raise _refused(name, value, "True or False")
    return "true" if value else "false"


def unix_seconds(name: str, value: datetime, latest: datetime = LATEST) -> str:
    """Returns a time as unix seconds, exact to the microsecond.

    Example:
        >>> unix_seconds("created", datetime(2026, 11, 1, 12, 0, 0, 500_000, tzinfo=UTC))
        '1793534400.5'
    """
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise _refused(name, value, "a datetime with a time zone, as in datetime(2026, 1, 31, tzinfo=UTC)")
    if value > latest:
        raise _refused(name, value.isoformat(), f"not in the future; it is {latest.isoformat()}")
    since = value - datetime(1970, 1, 1, tzinfo=UTC)
    micros = (since.days * 86_400 + since.seconds) * MICRO + since.microseconds
    return f"{(Decimal(micros) / MICRO).normalize():f}"


def json_of(name: str, value: Any) -> str:
    """Returns the value as JSON text.

    Example:
        >>> json_of("params", {"цена": 7})
        '{"цена": 7}'
    """
    try:
        written = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        reason = str(error)
    else:
        return _encodable(name, written)
    raise InvalidArgument(
        f"{name} is no JSON: {reason}", "Give text, finite numbers, True, False, lists and mappings; times as ISO 8601"
    )


def object_of(name: str, value: Mapping[str, Any]) -> str:
    """Returns a mapping as a JSON object; its keys are text."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise _refused(name, value, "a mapping with text as keys")
    return json_of(name, dict(value))


def given(**arguments: str | None) -> dict[str, str]:
    """Returns the arguments that have a value: to the API, nothing is not the same as empty.

    Example:
        >>> given(body="Hi", from_admin=None, admin="")
        {'body': 'Hi', 'admin': ''}
    """
    return {name: value for name, value in arguments.items() if value is not None}


def comma_joined(name: str, words: Iterable[str]) -> str:
    """Returns a flat list as the API takes it."""
    return ",".join(without_comma(name, word) for word in words)


def without_comma(name: str, value: str) -> str:
    """Returns text that can stand in a list that commas separate, as tags do."""
    if "," in text(name, value):
        raise _refused(name, value, "text without a comma")
    return value


def _encodable(name: str, value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _refused(name, value, "text that UTF-8 can hold") from None
    return value


def _refused(name: str, value: object, valid: str) -> InvalidArgument:
    """Returns the error; a long value is cut, as it may hold a customer's data."""
    seen = repr(value)
    return InvalidArgument(f"{name} is {seen if len(seen) <= 60 else seen[:57] + '…'}", f"It has to be {valid}")
