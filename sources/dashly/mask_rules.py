"""Which values are masked, and how: the rules as people write them, and the profiles that stand for many.

A rule names a value by the table and column where it lands, but it holds wherever the API sends that value: the e-mail
of `users.email` is also in the user object of a conversation row and in `user_props`. So a rule is kept as places in
the API's records: the kind of record, and the key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from functools import lru_cache

from dashly.errors import SettingsError
from dashly.tables import TABLES


class Method(StrEnum):
    """What becomes of a value."""

    HMAC = "hmac"
    """A keyed hash: equal values stay equal, so joins survive, and nobody without the key can look one up."""
    REDACT = "redact"
    """A constant: only that there was a value can be seen."""
    NULL = "null"
    """Null."""
    KEEP = "keep"
    """As it is: an exception from a profile."""


class Kind(StrEnum):
    """The kinds of objects in the API's answers; an object that no document knows is of the kind that it is in."""

    ANY = "any"
    USER = "user"
    USER_PROPS = "user properties"
    EVENT = "event"
    EVENT_PROPS = "event properties"
    TYPED_EVENT = "event that a visitor typed"
    TYPED_PROPS = "what a visitor typed"
    EVENT_TYPE = "event type"
    CONVERSATION = "conversation"
    PART = "part"
    ATTACHMENT = "attachment"
    ADMIN = "admin"
    CHANNEL = "channel"
    NOTE = "note"
    SEGMENT = "segment"
    LABEL = "label"


Place = tuple[Kind, str]
"""The kind of object, and the key in it; `Kind.ANY` for a name with `$`, which means the same wherever it stands."""

TYPED = frozenset({"$name_changed", "$email_changed", "$phone_changed", "$input_filled", "$form_sended"})
"""Events whose parameters hold what a visitor typed, or who somebody is, under names that no document shows."""
_RULED_AS = {Kind.TYPED_EVENT: Kind.EVENT, Kind.TYPED_PROPS: Kind.EVENT_PROPS}
IMPERSONAL = frozenset({Kind.EVENT_TYPE, Kind.ADMIN, Kind.CHANNEL, Kind.SEGMENT, Kind.LABEL})
"""What describes the company and not its users: no key in there is personal, whatever it is called."""
UNSEARCHED = frozenset({Kind.ADMIN, Kind.CHANNEL})
"""Where addresses are the company's own."""

_BODY_KEYS = ("body", "body_json", "text", "html", "subject", "content", "title", "preview")
"""Where the words of a message are: `body`, and what newer parts may call it inside objects that no document shows."""

COLUMNS: Mapping[str, tuple[Place, ...]] = {
    "users.external_id": ((Kind.USER, "user_id"), (Kind.ANY, "$user_id")),
    "users.name": ((Kind.USER, "name"), (Kind.ANY, "$name")),
    "users.email": ((Kind.USER, "email"), (Kind.ANY, "$email")),
    "users.phone": ((Kind.USER, "phone"), (Kind.ANY, "$phone")),
    "user_details.notes": tuple((Kind.NOTE, key) for key in _BODY_KEYS),
    "user_details.segments": ((Kind.SEGMENT, "filters"),),
    "active_users.presence_details": ((Kind.USER, "presence_details"),),
    "parts.body": tuple((kind, key) for kind in (Kind.PART, Kind.CONVERSATION) for key in _BODY_KEYS),
    "part_attachments.filename": ((Kind.ATTACHMENT, "filename"), (Kind.ATTACHMENT, "name")),
    "part_attachments.url": ((Kind.ATTACHMENT, "url"),),
    "admins.name": ((Kind.ADMIN, "name"), (Kind.ADMIN, "name_internal")),
    "admins.avatar": ((Kind.ADMIN, "avatar"),),
    "channels.name": ((Kind.CHANNEL, "name"),),
}
"""Each column that can be masked, and where the API sends what lands there."""
PROPERTIES = {"users": Kind.USER_PROPS, "events": Kind.EVENT_PROPS}
EXTRAS = {
    "users": Kind.USER,
    "user_details": Kind.USER,
    "active_users": Kind.USER,
    "events": Kind.EVENT,
    "conversations": Kind.CONVERSATION,
    "parts": Kind.PART,
    "part_attachments": Kind.ATTACHMENT,
    "admins": Kind.ADMIN,
    "channels": Kind.CHANNEL,
}
_STRUCTURE = frozenset(
    {
        *("id", "user", "user_id", "app", "presence", "removed", "props", "props_custom", "props_events", "events"),
        *(
            "type",
            "created",
            "conversation",
            "first",
            "from",
            "edited",
            "attachments",
            "assignee",
            "last_admin",
            "tags",
        ),
        *("channel", "message", "part_last", "parts_count", "unread_parts_count", "last_update", "operators"),
    }
)
"""What no column `extra` holds: these make the tables and tell the sync where it stands."""
_NEEDED_PROPERTY = "$last_seen"
"""The user list's order: without it nobody can tell who moved."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What is masked.

    Attributes:
        at: The method of each place that a rule or a profile names.
        finds_personal: Masks what its key or its own look says is personal, see `is_personal` and `looks_personal`.
        masks_free_text: Masks every text in properties that are the customer's own.
    """

    at: Mapping[Place, Method]
    finds_personal: bool = False
    masks_free_text: bool = False

    def method(self, kind: Kind, key: str) -> Method | None:
        """Returns what becomes of the value under `key`; None when no rule names it."""
        named = self.at.get((_RULED_AS.get(kind, kind), key))
        return named or (self.at.get((Kind.ANY, key)) if key.startswith("$") else None)

    @property
    def use_key(self) -> bool:
        """Whether any value is hashed."""
        return self.finds_personal or self.masks_free_text or Method.HMAC in self.at.values()


_PII = {
    **dict.fromkeys(("users.name", "users.email", "users.phone", "users.props.$ip"), Method.HMAC),
    **dict.fromkeys(("users.props.$avatar", "users.extra.avatar", "users.extra.map_url"), Method.REDACT),
    **dict.fromkeys(("user_details.notes", "user_details.segments", "parts.body"), Method.REDACT),
    **dict.fromkeys(("part_attachments.filename", "part_attachments.url"), Method.REDACT),
}
_STRICT = {
    **dict.fromkeys(("users.external_id", "admins.name", "users.props.$city", "users.props.$region"), Method.HMAC),
    **dict.fromkeys(("admins.avatar", "users.props.$initial_referrer", "users.props.$referrer"), Method.REDACT),
    **dict.fromkeys(("users.props.$current_page_url", "users.props.$current_page_title"), Method.REDACT),
}
PROFILES: Mapping[str, Mapping[str, Method]] = {"pii": _PII, "pii-strict": {**_PII, **_STRICT}}
"""The rules that each profile stands for; both find what is personal besides, `pii-strict` takes all free text too."""

_PERSONAL_KEYS = (
    r"\b(e ?mails?|mails?|почт[аыеу]|имейл|имэйл|емейл|емайл|мейл)\b",
    r"\b(ip|ipv|айпи)\b",
    r"^names?$|\b(first|last|full|middle|family|given|user|customer|client|contact|person|display|nick) ?names?\b",
    r"\b(surname|patronymic|имя|фамилия|отчество|фио|ф и о)\b",
    r"\b(address|адрес|latitude|longitude|coordinates|координаты|birth ?(day|date)?|рождения|passport|паспорт)\b",
)
_PHONE_KEYS = r"\b(phones?|tel|telephone|cellphone|msisdn|whats ?app|viber|телефоны?|тел|мобильный)\b"
_NOT_PERSONAL = frozenset({"email_status", "inbound_email"})
"""Fields of Dashly's own that only sound so: an object that says whether e-mails arrive, and an id."""
_PERSONAL = re.compile("|".join(_PERSONAL_KEYS))
_PHONE = re.compile(_PHONE_KEYS)
_WORD_EDGE = re.compile(r"[\W_]+|(?<=[^\W\d_A-ZА-ЯЁ])(?=[A-ZА-ЯЁ])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[^\W\d_])(?=\d)")
_BETWEEN_RULES = re.compile(rf",(?=\s*(?:,|$|pii\b|(?:{'|'.join(TABLES)})\.))")
"""A comma that a rule or a profile follows: names of properties may hold other commas."""


@lru_cache(maxsize=4096)
def is_personal(key: str) -> bool:
    """Returns whether a property of this name holds a name, an address of any kind, or what else tells who it is.

    Example:
        >>> [is_personal(key) for key in ("Work e-mail", "userEmail", "Телефон 2", "ФИО", "client_ip", "name")]
        [True, True, True, True, True, True]
        >>> [is_personal(key) for key in ("Plan Name", "email_status", "zip file", "mailing", "$sessions")]
        [False, False, False, False, False]
    """
    if key in _NOT_PERSONAL:
        return False
    return is_phone(key) or _PERSONAL.search(_words(key)) is not None


@lru_cache(maxsize=4096)
def is_phone(key: str) -> bool:
    """Returns whether a property of this name holds a telephone number."""
    return _PHONE.search(_words(key)) is not None


def _words(key: str) -> str:
    """Returns the words of a key, lower case.

    Example:
        >>> _words("$userEmail2"), _words("IP-Адрес"), _words("first_name")
        ('user email 2', 'ip адрес', 'first name')
    """
    return " ".join(_WORD_EDGE.sub(" ", key).lower().split())


def parse_rules(written: Iterable[str]) -> Rules | None:
    """Returns the rules in force; None when nothing is to be masked.

    Args:
        written: Rules (`users.email=hmac`) and profiles (`pii`), several in one text with commas between. A rule counts
            more than a profile, a later one more than an earlier one for the same value.

    Raises:
        SettingsError: A rule names what cannot be masked, or no method that there is.
    """
    rules = [rule for text in written for rule in _split(text)]
    profiles = [rule for rule in rules if rule in PROFILES]
    named = [target for profile in profiles for target in PROFILES[profile].items()]
    named += [_named(rule) for rule in rules if rule not in PROFILES]
    if not named:
        return None
    at = {place: method for target, method in named for place in _places(target)}
    return Rules(at, finds_personal=bool(profiles), masks_free_text="pii-strict" in profiles)


def fingerprint_of(rules: Rules) -> str:
    """Returns everything that decides about a value in one text, the same for the same rules."""
    places = sorted(f"{kind}\t{key}\t{method}" for (kind, key), method in rules.at.items())
    finds = [_PERSONAL.pattern, _PHONE.pattern, *sorted(TYPED)] if rules.finds_personal else []
    return "\n".join([*places, *finds, str(rules.masks_free_text)])


def _split(text: str) -> list[str]:
    """Returns the rules in a text.

    Example:
        >>> _split("pii, users.props.Доход, ₽=hmac,users.name=keep")
        ['pii', 'users.props.Доход, ₽=hmac', 'users.name=keep']
    """
    return [rule for one in _BETWEEN_RULES.split(text) if (rule := one.strip(", \t\n"))]


def _named(rule: str) -> tuple[str, Method]:
    target, equals, method = (part.strip() for part in rule.rpartition("="))
    methods = ", ".join(Method)
    if not equals:
        raise SettingsError(
            f"the mask {rule!r} is no rule and no profile",
            f"Write TABLE.COLUMN=METHOD, as in users.email=hmac (methods: {methods}), or a profile: "
            f"{', '.join(PROFILES)}",
        )
    if method not in set(Method):
        raise SettingsError(f"the mask {rule!r} has no method {method!r}", f"There are: {methods}")
    return target, Method(method)


def _places(target: str) -> tuple[Place, ...]:
    """Returns where the API sends what `target` names."""
    if target in COLUMNS:
        return COLUMNS[target]
    table, _, column = target.partition(".")
    column, _, name = column.partition(".")
    if column == "props" and name and table in PROPERTIES and name != _NEEDED_PROPERTY:
        anywhere = ((Kind.ANY, name),) if name.startswith("$") and table == "users" else ()
        return ((PROPERTIES[table], name), *anywhere)
    if column == "extra" and name and table in EXTRAS and name not in _STRUCTURE:
        return ((EXTRAS[table], name),)
    raise SettingsError(_why_not(target, table, column), _what_can(target))


def _why_not(target: str, table: str, column: str) -> str:
    if table not in TABLES:
        return f"the mask {target!r} names no table"
    if column not in TABLES[table].columns():
        return f"the mask {target!r} names no column of {table}"
    if column in ("props", "extra") and target == f"{table}.{column}" and table in {**PROPERTIES, **EXTRAS}:
        return f"the mask {target!r} does not say which value in that column"
    return f"{target!r} cannot be masked: ids, keys, times, counts and states are what the sync itself and joins need"


def _what_can(target: str) -> str:
    known = [*COLUMNS, *(f"{table}.props.NAME" for table in PROPERTIES), *(f"{table}.extra.NAME" for table in EXTRAS)]
    close = get_close_matches(target, known, 1)
    hint = f"Did you mean {close[0]}? " if close else ""
    return f"{hint}What can be masked: {', '.join(sorted(known))}"
