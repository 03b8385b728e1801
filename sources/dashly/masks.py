"""Masks personal data in an answer of the API, before anything of it is written anywhere.

Only `data` is touched. `meta`, with its page tokens, and all numbers that stay come through exactly as sent.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

import orjson

from dashly.errors import ApiChanged, SettingsError
from dashly.mask_rules import (
    IMPERSONAL,
    TYPED,
    UNSEARCHED,
    Kind,
    Method,
    Rules,
    fingerprint_of,
    is_personal,
    is_phone,
    parse_rules,
)
from dashly.values import text

REDACTED = "***"
TOO_DEEP = "nested too deeply to keep"
DEEPEST = 100
"""Levels of nesting that are looked into; below, no value could be told from another, so none is kept."""
DIGEST_CHARACTERS = 32
"""128 bit: among a billion values the chance that any two collide is 10^-21."""
SHORTEST_KEY = 16
FEWEST_DIGITS = 7
"""A number under a key such as `phone` is a telephone number from so many digits on, and not a count of calls."""

OF_RESOURCE = {
    "users": Kind.USER,
    "user_details": Kind.USER,
    "active_users": Kind.USER,
    "events": Kind.EVENT,
    "conversations": Kind.CONVERSATION,
    "parts": Kind.PART,
    "channels": Kind.CHANNEL,
}
"""What the records in an answer are."""
_INSIDE = {
    "user": Kind.USER,
    "props": Kind.USER_PROPS,
    "props_custom": Kind.USER_PROPS,
    "props_events": Kind.USER_PROPS,
    "presence_details": Kind.USER_PROPS,
    "notes": Kind.NOTE,
    "segments": Kind.SEGMENT,
    "tags": Kind.LABEL,
    "app": Kind.LABEL,
    "event_type": Kind.EVENT_TYPE,
    "conversation": Kind.CONVERSATION,
    "part_last": Kind.PART,
    "important_part_last": Kind.PART,
    "reply_last": Kind.PART,
    "message": Kind.PART,
    "attachments": Kind.ATTACHMENT,
    "attachment": Kind.ATTACHMENT,
    "channel": Kind.CHANNEL,
    "author": Kind.ADMIN,
    "assignee": Kind.ADMIN,
    "last_admin": Kind.ADMIN,
    "operators": Kind.ADMIN,
}
"""What stands under a key, whatever it is in; what is not listed is of the kind of the object around it."""
_EVENTS = {Kind.EVENT: Kind.EVENT_PROPS, Kind.TYPED_EVENT: Kind.TYPED_PROPS}
_ADMIN_TYPES = ("admin", "bot", "default_admin")

_EMAIL = re.compile(r"[^\s@]+@[^\s@]+")
_HOLDS_EMAIL = re.compile(r"[^\s@/?&=]+(?:@|%40)[^\s@/?&=]+\.\w", re.IGNORECASE)
_HOLDS_PHONE = re.compile(r"\+\d[\d\s().-]{7,}\d")
_MAYBE_IP = re.compile(r"[0-9a-fA-F:.]{3,45}")
_DATE = re.compile(r"\d{4}-\d\d-\d\d(T[\d:.]+(Z|[+-]\d\d:?\d\d)?)?")


class Masks:
    """Masks by rules, with a key.

    Args:
        rules: What is masked.
        key: Of the hashes; who has it can find out which e-mail a hash stands for, so it is never shown or stored.
    """

    def __init__(self, rules: Rules, key: str = "") -> None:
        self._rules, self._key = rules, key.encode()
        told = hmac.digest(self._key, f"dashly-sync masks\0{fingerprint_of(rules)}".encode(), hashlib.sha256)
        self.fingerprint = told.hex()[:16]
        """The same for the same rules and key, and says nothing of the key."""

    def __repr__(self) -> str:
        return f"Masks({self.fingerprint})"

    def apply(self, body: bytes, resource: str) -> bytes:
        """Returns the answer with its `data` masked.

        Args:
            body: A JSON object.
            resource: What was asked for; decides what the keys mean.

        Raises:
            ApiChanged: Nothing that could be read: nested thousands of levels deep.
        """
        try:
            answer = json.loads(body, parse_float=_Number, parse_int=_Number)
            if isinstance(answer, dict) and "data" in answer:
                answer["data"] = self._value(answer["data"], OF_RESOURCE[resource], 0)
            return _written(answer)
        except RecursionError:
            raise ApiChanged(f"{resource}: the answer is nested too deeply to be masked") from None

    def _value(self, value: Any, kind: Kind, depth: int) -> Any:
        if isinstance(value, str):
            return self._found(value, kind)
        if depth >= DEEPEST and isinstance(value, dict | list):
            return TOO_DEEP
        if isinstance(value, dict):
            kind = Kind.TYPED_EVENT if kind is Kind.EVENT and _is_typed(value) else kind
            return {key: self._field(key, one, kind, depth) for key, one in value.items()}
        return [self._value(one, kind, depth + 1) for one in value] if isinstance(value, list) else value

    def _field(self, key: str, value: Any, kind: Kind, depth: int) -> Any:
        method, rules = self._rules.method(kind, key), self._rules
        if method is not None:
            return self._by_rule(value, method, is_phone(key), depth)
        if rules.finds_personal and kind not in IMPERSONAL and is_personal(key):
            return self._hashed(value, is_phone(key), depth, numbers=is_phone(key))
        if _is_free_text(rules, kind, key):
            return self._hashed(value, False, depth, but=_DATE)
        return self._value(value, _inside(kind, key, value), depth + 1)

    def _by_rule(self, value: Any, method: Method, phone: bool, depth: int) -> Any:
        if method is Method.KEEP or value is None or value == "":
            return value
        if method is Method.HMAC:
            return self._hashed(value, phone, depth, numbers=True, whole=True)
        return REDACTED if method is Method.REDACT else None

    def _hashed(
        self,
        value: Any,
        phone: bool,
        depth: int,
        *,
        numbers: bool = False,
        whole: bool = False,
        but: re.Pattern[str] | None = None,
    ) -> Any:
        """Returns the value with hashes for its texts, of lists and objects the ones in them.

        Args:
            value: A JSON value.
            phone: Of a telephone number only the digits count.
            depth: Levels above the value.
            numbers: Also for numbers, from `FEWEST_DIGITS` digits on.
            whole: Also for shorter numbers, and for truth values.
            but: Texts that are left.
        """
        if isinstance(value, dict | list) and depth >= DEEPEST:
            return TOO_DEEP
        options: dict[str, Any] = {"numbers": numbers, "whole": whole, "but": but}
        if isinstance(value, dict):
            return {key: self._hashed(one, phone, depth + 1, **options) for key, one in value.items()}
        if isinstance(value, list):
            return [self._hashed(one, phone, depth + 1, **options) for one in value]
        if isinstance(value, str):
            return value if but is not None and but.fullmatch(value) else self.digest(value, phone)
        if isinstance(value, _Number):
            return self.digest(value.text, phone) if whole or (numbers and value.is_long) else value
        return self.digest(json.dumps(value)) if whole and isinstance(value, bool) else value

    def _found(self, value: str, kind: Kind) -> str:
        """Returns the text, hashed when it is or holds what is personal by its own look."""
        if not self._rules.finds_personal or kind in UNSEARCHED or not looks_personal(value):
            return value
        return self.digest(value, _HOLDS_PHONE.fullmatch(value.strip()) is not None)

    def digest(self, value: str, phone: bool = False) -> str:
        """Returns the hash of a text: HMAC-SHA256, hexadecimal, the first 32 characters; an empty text stays empty.

        Blanks around the text do not count, in an e-mail address no capitals either, in a telephone number only digits.
        """
        plain = (text(value) or "").strip()
        if phone:
            plain = "".join(filter(str.isdecimal, plain)) or plain
        if _EMAIL.fullmatch(plain):
            plain = plain.lower()
        return hmac.digest(self._key, plain.encode(), hashlib.sha256).hex()[:DIGEST_CHARACTERS] if plain else plain


def make_masks(written: Sequence[str], key: str = "") -> Masks | None:
    """Returns what masks by these rules; None when there are none.

    Args:
        written: As `parse_rules` takes them.
        key: Of the hashes; needed as soon as anything is hashed.

    Raises:
        SettingsError: A rule makes no sense, or the key is missing or too short to be safe.
    """
    rules, key = parse_rules(written), key.strip()
    if rules is None:
        return None
    if rules.use_key and not key:
        raise SettingsError(*_NO_KEY)
    if rules.use_key and len(key) < SHORTEST_KEY:
        raise SettingsError(f"the mask key has {len(key)} characters, fewer than {SHORTEST_KEY}", _NO_KEY[1])
    return Masks(rules, key)


def looks_personal(value: str) -> bool:
    """Returns whether a text is or holds an e-mail address or an international telephone number, or is an IP address.

    Example:
        >>> [looks_personal(one) for one in ("/?m=ann%40example.com", "call +7 900 123-45-67", "10.0.3.1", "fe80::1")]
        [True, True, True, True]
        >>> [looks_personal(one) for one in ("2026-05-17T13:01:32", "@ann", "10:30:00", "1448121617782670208", "1+1")]
        [False, False, False, False, False]
    """
    if ("@" in value or "%40" in value) and _HOLDS_EMAIL.search(value):
        return True
    if "+" in value and _HOLDS_PHONE.search(value):
        return True
    return (value.count(".") == 3 or value.count(":") >= 2) and _is_ip(value.strip())


def _is_ip(value: str) -> bool:
    if not _MAYBE_IP.fullmatch(value):
        return False
    try:
        ip_address(value)
    except ValueError:
        return False
    return True


def _is_free_text(rules: Rules, kind: Kind, key: str) -> bool:
    if kind is Kind.TYPED_PROPS and rules.finds_personal:
        return True
    own = kind in (Kind.USER_PROPS, Kind.EVENT_PROPS, Kind.TYPED_PROPS) and not key.startswith("$")
    return own and rules.masks_free_text


def _is_typed(event: dict[str, Any]) -> bool:
    kind = event.get("type")
    name = kind.get("name") if isinstance(kind, dict) else None
    return isinstance(name, str) and name in TYPED


def _inside(kind: Kind, key: str, value: Any) -> Kind:
    """Returns what stands under the key of an object."""
    if kind in _EVENTS and key in ("props", "type"):
        return _EVENTS[kind] if key == "props" else Kind.EVENT_TYPE
    if key == "from":  # a user's id, or the object of an operator
        by_admin = isinstance(value, dict) and value.get("type") in _ADMIN_TYPES
        return Kind.ADMIN if by_admin else Kind.USER
    return _INSIDE.get(key, kind)


class _Number:
    """A number as it is written: page tokens have more digits than a float, ids more than 64 bit."""

    __slots__ = ("text",)

    def __init__(self, written: str) -> None:
        self.text = written

    @property
    def is_long(self) -> bool:
        return sum(map(str.isdecimal, self.text)) >= FEWEST_DIGITS


def _written(value: Any) -> bytes:
    try:
        return orjson.dumps(value, default=_fragment)
    except TypeError:  # a lone surrogate, or more levels than orjson takes
        return _slowly(value).encode()


def _fragment(number: _Number) -> orjson.Fragment:
    return orjson.Fragment(number.text)


def _slowly(value: Any) -> str:
    """Returns JSON text of what orjson does not take."""
    if isinstance(value, _Number):
        return value.text
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{_slowly(one)}" for key, one in value.items()) + "}"
    return "[" + ",".join(map(_slowly, value)) + "]" if isinstance(value, list) else json.dumps(value)


_NO_KEY = (
    "no mask key: a rule with `hmac`, as in every profile, needs a secret of at least "
    f"{SHORTEST_KEY} characters. Looked for DASHLY_MASK_KEY, SOURCES__DASHLY__MASK_KEY and [sources.dashly] mask_key "
    "in .dlt/secrets.toml",
    "Make one with `openssl rand -hex 32` and keep it: another key gives other hashes",
)
