"""Single values as the warehouse takes them: ids as text, times as UTC datetimes, JSON as text, text without poison.

Every function takes what `json.loads` gives and raises nothing: a value of an unexpected kind becomes None or text.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson

MICRO = 1_000_000
"""Microseconds in a second."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_POISON = re.compile("[\x00\ud800-\udfff]")
"""NUL stops Postgres, a lone surrogate stops every destination."""
_WRITTEN_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
"""NUL as `json.dumps` writes it, and not the six characters of a text that only looks like it."""
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_EARLIEST_MICROSECONDS, _LATEST_MICROSECONDS = -62_135_596_800_000_000, 253_402_300_799_999_999
_LATEST_SECONDS = _LATEST_MICROSECONDS // MICRO
"""0001-01-01 and 9999-12-31: no other time fits a timestamp of Python's."""
_LONGEST_NUMBER = 4300
"""Digits that `int` takes (`sys.int_info.default_max_str_digits`); an id has 20 at most."""


def text(value: Any) -> str | None:
    r"""Returns the value as text without NUL characters and lone surrogates; None stays None.

    Example:
        >>> text("a\x00b"), text(12), text(True), text({"a": 1})
        ('ab', '12', 'true', '{"a":1}')
    """
    if value is None:
        return None
    if not isinstance(value, str):
        return json_text(value)
    return value if value.isascii() and "\x00" not in value else _POISON.sub("", value)


def texts(values: list[Any]) -> list[str | None]:
    """Returns `text` of each value."""
    return values if _are_plain(values) else [None if value is None else text(value) for value in values]


def _are_plain(values: list[Any]) -> bool:
    """Whether all are text that every destination takes as it is."""
    try:
        together = "".join(values)
    except TypeError:
        return False
    return together.isascii() and "\x00" not in together


def identifier(value: Any) -> str | None:
    """Returns an id as text; None for what is no id.

    Example:
        >>> identifier(1448121617782670208), identifier("12"), identifier({"id": 7}), identifier(None)
        ('1448121617782670208', '12', '7', None)
    """
    if type(value) is str:  # what the API sends, as it is asked for ids as text
        return text(value) or None
    while isinstance(value, dict):
        value = value.get("id")
    if type(value) is int:
        return str(value)
    return None if isinstance(value, bool) else text(value) or None


def identifiers(values: list[Any]) -> list[str | None]:
    """Returns `identifier` of each value."""
    if _are_plain(values) and all(values):
        return values
    return [None if value is None else identifier(value) for value in values]


def id_number(record: Mapping[str, Any]) -> int | None:
    """Returns the record's id as a number, its place in a list in order of id; None without a numeric id."""
    written = record.get("id")
    if type(written) is not str:
        written = identifier(record)
    return int(written) if written and written.isdecimal() and len(written) <= _LONGEST_NUMBER else None


def boolean(value: Any) -> bool | None:
    """Returns a truth value; by the API's rule any word but `false`, `0` and the empty one is true."""
    if value is None or isinstance(value, bool):
        return value
    return not isinstance(value, str | int | float) or str(value).strip().lower() not in ("false", "0", "")


def booleans(values: list[Any]) -> list[bool | None]:
    """Returns `boolean` of each value."""
    return [value if value is True or value is False else boolean(value) for value in values]


def integer(value: Any) -> int | None:
    """Returns a whole number that fits 64 bits; None for anything else."""
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if -(2**63) <= number < 2**63 else None


def microseconds(value: Any) -> int | None:
    """Returns microseconds since 1970 of a time as the API writes it; None for what is no time.

    Top-level times are unix seconds, whole or with a fraction; property values are ISO 8601 without a zone, taken as
    UTC (api-reference.md, section 3).

    Example:
        >>> microseconds(1447339319.900966), microseconds("2026-05-17T13:01:32"), microseconds("2026-05-17")
        (1447339319900966, 1779022892000000, 1778976000000000)
    """
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return None
    try:
        parsed = _from_words(value.strip()) if isinstance(value, str) else _from_seconds(value)
    except (ValueError, ArithmeticError):
        return None
    return parsed if parsed is not None and _EARLIEST_MICROSECONDS <= parsed <= _LATEST_MICROSECONDS else None


def timestamp(value: Any) -> datetime | None:
    """Returns the UTC datetime of a time as the API writes it; None for what is no time."""
    micros = microseconds(value)
    return None if micros is None else from_microseconds(micros)


def timestamps(values: list[Any]) -> list[datetime | None]:
    """Returns `timestamp` of each value."""
    return [
        datetime.fromtimestamp(value, UTC)  # most are whole seconds, and this is four times as fast
        if type(value) is int and 0 <= value <= _LATEST_SECONDS
        else timestamp(value)
        for value in values
    ]


def from_microseconds(micros: int) -> datetime:
    """Returns the UTC datetime so many microseconds after 1970.

    Example:
        >>> from_microseconds(1447339319900966).isoformat()
        '2015-11-12T14:41:59.900966+00:00'
    """
    return EPOCH + timedelta(microseconds=micros)


def json_text(value: Any) -> str:
    """Returns compact JSON text that every destination takes, whatever text is inside; keys keep their order.

    A number beyond a float, such as 1e999, is no JSON number again: it becomes the text `Infinity`. orjson writes ten
    times as fast as `json`, which takes what orjson does not.
    """
    try:
        written = orjson.dumps(value, default=_unusual).decode()
    except TypeError:  # a number beyond 64 bit, a lone surrogate, 255 levels
        written = _POISON.sub("", _dump(value))
    return _WRITTEN_NUL.sub(r"\1", written) if "\\u0000" in written else written


def json_column(value: Any) -> str | None:
    """Returns JSON text for a JSON column; None for None, so that the column is null and not the JSON `null`."""
    return None if value is None else json_text(value)


def json_type(value: Any) -> str:
    """Returns the JSON type's name: string, number, boolean, list, object or null."""
    return _JSON_TYPES.get(type(value)) or ("number" if isinstance(value, float) else "null")


_JSON_TYPES = {bool: "boolean", int: "number", float: "number", str: "string", list: "list", dict: "object"}


def _dump(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=str)
    except ValueError:
        return _dump(json.loads(json.dumps(value, default=str), parse_constant=str))
    except RecursionError:
        return '"nested too deeply to keep"'


def _unusual(value: Any) -> Any:
    """Returns what to write for a float that remembers its text, and for what is no JSON."""
    if not isinstance(value, float):
        return str(value)
    return float(value) if math.isfinite(value) else json.dumps(float(value))


def _from_seconds(seconds: int | float) -> int | None:
    if isinstance(seconds, int):
        return seconds * MICRO
    return round(seconds * MICRO) if math.isfinite(seconds) else None


def _exactly(written: str) -> int:
    """Returns microseconds of seconds as they are written: a float has too few digits."""
    whole, _, fraction = written.partition(".")
    if len(fraction) <= 6 and whole.isdecimal() and (not fraction or fraction.isdecimal()):
        return int(whole) * MICRO + int(fraction.ljust(6, "0"))
    return int((Decimal(written) * MICRO).to_integral_value())


def _from_words(words: str) -> int | None:
    if _NUMBER.fullmatch(words):
        return _exactly(words)
    moment = datetime.fromisoformat(words)
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - EPOCH) // timedelta(microseconds=1)
