"""The arguments of a request, read by the documented rules."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .answers import ApiError, invalid

FALSE_WORDS = frozenset({"", "0", "false"})
LARGEST_ID = 2**64 - 1


def truth_of(text: str) -> bool:
    """A boolean argument: `false` in any letter case, `0` and nothing are false, any other word is true.

    >>> [truth_of(text) for text in ("False", "0", "", "no", "true")]
    [False, False, False, True, True]
    """
    return text.lower() not in FALSE_WORDS


class Arguments:
    """The arguments of one request; every reader raises ValidationError for what it cannot read."""

    def __init__(self, params: Mapping[str, str]) -> None:
        self._params = params

    def text(self, name: str) -> str | None:
        """The argument as sent; None when absent, which is not the same as empty."""
        return self._params.get(name)

    def required(self, name: str, longest: int | None = None) -> str:
        """The argument as sent, not empty and not longer than `longest`."""
        text = self._params.get(name)
        if not text:
            raise invalid(name, "This field is required.")
        if longest is not None and len(text) > longest:
            raise invalid(name, f"Longer than {longest} characters.")
        return text

    def flag(self, name: str, default: bool = False) -> bool:
        """A boolean."""
        text = self._params.get(name)
        return default if text is None else truth_of(text)

    def integer(self, name: str, default: int, lowest: int, highest: int) -> int:
        """A whole number within bounds."""
        text = self._params.get(name)
        if text is None:
            return default
        number = _whole(text)
        if number is None or not lowest <= number <= highest:
            raise invalid(name, f"Must be a whole number from {lowest} to {highest}.")
        return number

    def identifier(self, name: str) -> int | None:
        """An id; None when absent or empty."""
        text = self._params.get(name)
        return parse_identifier(name, text) if text else None

    def number(self, name: str) -> float | None:
        """A number; None when absent."""
        text = self._params.get(name)
        if text is None:
            return None
        try:
            return float(text)
        except ValueError:
            raise invalid(name, "Must be a number.") from None

    def data(self, name: str, kind: type) -> Any:
        """A JSON-encoded argument of the given Python type; None when absent."""
        text = self._params.get(name)
        if text is None:
            return None
        try:
            value = json.loads(text)
        except ValueError:
            raise invalid(name, "Must be JSON.") from None
        if not isinstance(value, kind):
            raise invalid(name, f"Must be a JSON {kind.__name__}.")
        return value

    def words(self, name: str) -> list[str]:
        """A flat list: JSON, or joined by commas; empty when absent."""
        text = self._params.get(name) or ""
        if text.startswith("["):
            return [str(word) for word in self.data(name, list)]
        return [word for word in text.split(",") if word]


def parse_identifier(name: str, text: str) -> int:
    """An id of 1 to 2^64-1; raises ValidationError."""
    number = _whole(text)
    if number is None or not 0 < number <= LARGEST_ID:
        raise invalid(name, "Must be an id.")
    return number


def _whole(text: str) -> int | None:
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) <= 20 else None


def unknown_choice(name: str, *choices: str) -> ApiError:
    """The error for an argument that is none of its choices."""
    return invalid(name, f"Must be one of {', '.join(choices)}.")
