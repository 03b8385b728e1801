"""A value of the warehouse as Dashly takes it: which types there are, and how far each goes."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

LARGEST_NUMBER = 2**53
"""Properties hold whole numbers of -2^53 to 2^53 (api-reference.md, section 3)."""
LONGEST_TEXT = 255
LONGEST_LIST = 30


class Unsendable(Exception):
    """No request can be made of a row, and why."""


def property_value(value: Any) -> Any:
    """Returns the value of a user's property: a number, text, a boolean, a list of texts or a date.

    Times lose their zone, as they have none in Dashly, and are in UTC then.

    Raises:
        Unsendable: Dashly has no property like it.

    Examples:
        >>> property_value(Decimal("42.00")), property_value(date(2026, 1, 31)), property_value(["a", "b"])
        (42, '2026-01-31', ['a', 'b'])
        >>> property_value(datetime(2026, 1, 31, 12, 0, 0, 5, tzinfo=UTC))
        '2026-01-31T12:00:00'
        >>> property_value(72.5)
        Traceback (most recent call last):
        dashly_activation.values.Unsendable: 72.5 is no whole number, as a property has to be: round() it, or cast it \
to text
    """
    if isinstance(value, list | tuple):
        return _texts(value)
    value = _number(value)
    if isinstance(value, float):
        raise Unsendable(f"{value:g} is no whole number, as a property has to be: round() it, or cast it to text")
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > LARGEST_NUMBER:
        raise Unsendable(f"{value} is larger than Dashly's numbers, which go to 2^53: cast it to text")
    return _text(value, LONGEST_TEXT) if isinstance(value, str) else value


def parameter_value(value: Any) -> Any:
    """Returns the value of an event's parameter, which may also be a fraction, and any JSON.

    Raises:
        Unsendable: JSON has no value like it.

    Examples:
        >>> parameter_value(Decimal("9.90")), parameter_value([1, None])
        (9.9, [1, None])
    """
    if isinstance(value, list | tuple):
        return [None if one is None else parameter_value(one) for one in value]
    if isinstance(value, dict):
        return {str(key): None if one is None else parameter_value(one) for key, one in value.items()}
    return _number(value)


def text_value(value: Any, longest: int | None = None) -> str:
    """Returns what is to be text, such as the body of a message.

    Raises:
        Unsendable: It is empty, too long, or no text.
    """
    if not isinstance(value, str) or not value.strip():
        raise Unsendable("it is empty" if value is None or value == "" else f"{value!r} is no text")
    return _text(value, longest)


def moment(value: Any) -> datetime:
    """Returns a moment in UTC; one without a zone is taken to be in UTC, a number for unix seconds.

    Raises:
        Unsendable: It is none.

    Example:
        >>> moment("2026-01-31T12:00:00+02:00").isoformat()
        '2026-01-31T10:00:00+00:00'
    """
    try:
        found = _moment(value)
    except (ValueError, OverflowError):
        found = None
    if found is None:
        raise Unsendable(f"{value!r} is no date or time")
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def _moment(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    if isinstance(value, str):
        return datetime.fromisoformat(value)
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return datetime.fromtimestamp(float(value), UTC)
    return None


def _number(value: Any) -> Any:
    """Returns numbers as the simplest that is equal, times and ids as text; the rest as it is."""
    if isinstance(value, float | Decimal):
        if not math.isfinite(value):
            raise Unsendable(f"{value} is no number that JSON has")
        return int(value) if value == int(value) else float(value)
    if isinstance(value, bool | int | str):
        return value
    return _as_text(value)


def _as_text(value: Any) -> str:
    if isinstance(value, datetime):
        return moment(value).replace(tzinfo=None).isoformat(timespec="seconds")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    raise Unsendable(f"Dashly has no value like {_shown(value)}: cast it to text")


def _texts(values: list[Any] | tuple[Any, ...]) -> list[str]:
    if len(values) > LONGEST_LIST:
        raise Unsendable(f"a list of {len(values)}, where Dashly takes {LONGEST_LIST} at most")
    for value in values:
        if not isinstance(value, str):
            raise Unsendable(f"{_shown(value)} in a list, where Dashly takes texts: cast it to text")
    return [_text(value, LONGEST_TEXT) for value in values]


def _text(value: str, longest: int | None) -> str:
    if longest is not None and len(value) > longest:
        raise Unsendable(f"text of {len(value)} characters, where Dashly takes {longest} at most")
    if not value.isascii() and any("\ud800" <= one <= "\udfff" for one in value):
        raise Unsendable("half a character (a lone surrogate), which UTF-8 does not have")
    return value


def _shown(value: Any) -> str:
    return f"a {type(value).__name__}" if isinstance(value, dict | list | bytes | None) else repr(value)
