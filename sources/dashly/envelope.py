"""The `meta` + `data` wrapper of every answer: parsing it, and turning its errors into ours."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import orjson

from dashly.errors import (
    AccessError,
    ApiChanged,
    ApiUnavailable,
    DashlyError,
    RateLimited,
    RecordForbidden,
    RecordGone,
    RequestRefused,
)
from dashly.values import json_text, text


class ExactFloat(float):
    """A float that remembers how it was written: page tokens go back to the API exactly as sent."""

    text: str

    def __new__(cls, text: str) -> ExactFloat:
        """Returns the float of `text`, remembering the text."""
        number = super().__new__(cls, text)
        number.text = text
        return number


class BrokenBody(Exception):
    """The body is not a complete JSON object: a proxy's page or an answer cut off. Worth a retry."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """One parsed answer with status 200."""

    data: Any
    meta: Mapping[str, Any]

    @property
    def next_token(self) -> str | None:
        """The page token for the next page exactly as sent; None when null or absent."""
        token = self.meta.get("next_after")
        if token is None:
            return None
        return token.text if isinstance(token, ExactFloat) else str(token)

    @property
    def names_next_token(self) -> bool:
        """Whether the answer has a `next_after` at all, be it null."""
        return "next_after" in self.meta


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer: its raw body, for the journal, and the envelope in it."""

    body: bytes
    envelope: Envelope
    fetched_at: float
    """Unix seconds when the answer had arrived."""


_NEXT_AFTER = re.compile(rb'"next_after"\s*:\s*([-+.0-9eE]+)')
_DIGITS = bytes(ord("0") if chr(code).isdecimal() else code for code in range(128)) + bytes(128)
_BEYOND_64_BITS = (b"0" * 20, b"-" + b"0" * 19)


def parse_body(body: bytes) -> dict[str, Any]:
    """Returns the JSON object in `body`, whole numbers exact, and the page token exact as text too.

    Raises:
        BrokenBody: It is no JSON, or no object.
    """
    try:
        parsed = _parse_plain(body) or json.loads(body, parse_float=ExactFloat, parse_constant=_no_number)
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict):  # not inside `except`: the error's own text would carry the whole body along
        raise BrokenBody(excerpt(body.decode("utf-8", "replace")))
    return parsed


def _parse_plain(body: bytes) -> dict[str, Any] | None:
    """Returns what orjson reads, four times as fast; None for what it would not read just as `json` does.

    It makes floats of whole numbers beyond 64 bits, and does not say how a float was written.
    """
    numbers = body.translate(_DIGITS)
    if any(digits in numbers for digits in _BEYOND_64_BITS):
        return None
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    meta = parsed.get("meta") if isinstance(parsed, dict) else None
    if isinstance(meta, dict) and isinstance(meta.get("next_after"), float):
        written = _NEXT_AFTER.findall(body)
        if len(written) != 1:
            return None
        meta["next_after"] = ExactFloat(written[0].decode())
    return parsed if isinstance(parsed, dict) else None


def parse_envelope(body: bytes, where: str, status: int | None = None) -> Envelope:
    """Returns the envelope of a successful answer.

    Args:
        body: As it came.
        where: Resource and path, without secrets, for messages.
        status: HTTP status; None takes the body's own `meta.status`.

    Raises:
        BrokenBody: Worth a retry.
        DashlyError: The error the API reports, as the kind of error it is.

    Example:
        >>> parse_envelope(b'{"meta": {"status": 200, "next_after": 1447339319.900966}, "data": []}', "x").next_token
        '1447339319.900966'
    """
    parsed = parse_body(body)
    meta = parsed.get("meta")
    if not isinstance(meta, dict):
        raise ApiChanged(f"{where}: the answer has no `meta`; got keys {', '.join(sorted(parsed)) or 'none'}")
    seen = status if status not in (None, 200) else meta.get("status", status)
    if seen != 200:
        raise_for_error(seen, meta, where)
    return Envelope(parsed.get("data"), meta)


def raise_for_error(status: object, meta: Mapping[str, Any], where: str) -> NoReturn:
    """Raises the error for an answer that is no success. The status decides first, the error's name second.

    Names differ between pages of the documents (`NotAuthenticated`, `AuthenticationFailed`), statuses do not.
    """
    name, message = text(meta.get("error") or None) or "no error name", text(meta.get("error_message") or None)
    fields = f", fields {json_text(meta['error_fields'])}" if meta.get("error_fields") else ""
    status = status if isinstance(status, int) else text(status)
    raise _error_class(status, name)(
        f"{where}: {status} {name}{': ' + message if message else ''}{fields}", _mend(status, name)
    )


def _error_class(status: object, name: str) -> type[DashlyError]:
    if status == 400 and name == "LookupError":
        return RecordGone
    if isinstance(status, int) and (status >= 500 or status == 408):  # 408: a proxy's time-out
        return ApiUnavailable
    known: dict[object, type[DashlyError]] = {401: AccessError, 403: RecordForbidden, 429: RateLimited}
    refused = isinstance(status, int) and 400 <= status < 500
    return known.get(status, RequestRefused if refused else ApiChanged)


def _mend(status: object, name: str) -> str:
    if status == 401:
        return "Create a token in Dashly under Settings > Developers and set DASHLY_AUTH_TOKEN"
    if status == 404:
        return "Check the base URL: it has to end in /v1, as in https://api.dashly.app/v1"
    if status == 403:
        return "The token has no access to it; check the app id and the token's rights"
    return "" if name != "ValidationError" else "The API may have changed its parameters: run `dashly-sync check`"


def _no_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def excerpt(body: str) -> str:
    """Returns a message about a body that is no JSON object; what was cut off of one holds customers' data."""
    shown = body[:1] if body.lstrip()[:1] in ("{", "[") else body[:60]
    return f"{len(body)} characters that are no JSON object, beginning {shown!r}"
