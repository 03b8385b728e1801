"""Every choice that a simulated account has; what the documents leave open is a setting here."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any, Literal, get_args, get_origin, get_type_hints

from .faults import Faults

DEFAULT_START = datetime(2026, 11, 1, tzinfo=UTC)
EARLIEST_START = datetime(2021, 1, 1, tzinfo=UTC)
SECRET_FIELDS = frozenset({"auth_token"})


@dataclass(frozen=True, kw_only=True)
class SimulatorSettings:
    """How large the account is, how the API answers where the documents are silent, and what goes wrong.

    Attributes:
        users: users (leads) that exist at the start.
        conversations: conversations that exist at the start; 0 when there are no users.
        seed: the one source of randomness; equal settings give equal answers.
        events_per_user: mean events of a user; about 3 % of users have several times as many.
        parts_per_conversation: mean parts of a conversation.
        ties: so many rows share one time at every tenth page edge of 50, in users and in conversations.
            A `last_update` tie is what bulk closing and bulk sending produce.
        legacy_ids: share of the oldest users and conversations with 7 to 9 digit ids, as in every 2015-16 example.
        poison_text: NUL characters and lone surrogates in some names, bodies and properties.
        unknown_fields: every record carries one field that no document knows; type and field lists are open.
        start_time: when the virtual clock starts, and the newest moment of the generated past.
        clock: `virtual` moves only when told; `real` is the wall clock (start_time is ignored then).
        app_id: the app; `$self_app` means it too.
        auth_token: the only token that is accepted.
        header_auth: whether `Authorization: Token X` or `Bearer X` works on `/v1`; unconfirmed in the documents.
        users_dialect: `after` pages `/apps/{id}/users` by next_after, as the vendor's page says; `offset` by
            offset/limit with no next_after at all, as later pages say.
        unversioned: what answers without `/v1`: `v2`, the other paging dialect, or `404`.
        last_page_token: whether the last page says `next_after: null` or has no such key; both are documented.
        exact_page_ends: True when a full last page carries a token that leads to one empty page.
        tie_break: `id` pages through rows of equal time, by extra digits in the token (they do not survive a
            float: the vendor says to keep the token as a string); `timestamp` skips ties across a page edge.
        string_ids: what `id_as_string=true` turns into strings: `large`, ids above 2^53, or `all` ids.
        last_update_format: `seconds` or `float` for conversations' last_update.
        created_format: `seconds` or `float` for created, and for first and last of a user's event counters.
        user_removed_format: `unix` or `iso` for a merged user's `removed`; not shown in the documents.
        merged_users: a merged user stays `listed` with `removed` set, or is `gone` (LookupError).
        part_last: `full`, `brief` (id, created, type) or `absent` in conversation rows.
        parts_count: `listed` counts what /parts returns; `with_hidden` also service parts that it never
            returns; `without_notes` leaves out notes, which it does return.
        list_props_custom: whether rows of the user list carry props_custom; the documented example is cut off.
        conversation_channel: whether conversation rows of lists carry their channel; v2 does on single objects only.
        users_lag_seconds: how far the user list, a search index, is behind.
        rate_limit: `requests/seconds`, or None.
        rate_window: how the limit is counted: `fixed`, `sliding` or `bucket`; not documented.
        rejected_calls_count: whether a 429 uses up the limit too.
        retry_after: whether a real 429 carries Retry-After.
        latency_seconds: how long every answer takes.
        faults: the plan of failures, or None.
        stall_seconds: how long a `stall` lasts.
        live_rate: deeds of life per request served, so that lists move while they are read.
        deeds_per_minute: random deeds per minute of `life.tick`.
        random_deeds: `all`, or only the `visible` ones, which some list reveals.
    """

    users: int = 200
    conversations: int = 120
    seed: int = 1
    events_per_user: float = 60.0
    parts_per_conversation: float = 12.5
    ties: int = 4
    legacy_ids: float = 0.05
    poison_text: bool = False
    unknown_fields: bool = False
    start_time: datetime = DEFAULT_START
    clock: Literal["virtual", "real"] = "virtual"
    app_id: str = "1"
    auth_token: str = "app.1.simulated-secret"  # noqa: S105 - a made-up token of a made-up account
    header_auth: bool = False
    users_dialect: Literal["after", "offset"] = "after"
    unversioned: Literal["v2", "404"] = "v2"
    last_page_token: Literal["null", "absent"] = "null"  # noqa: S105 - a page token, not a secret
    exact_page_ends: bool = False
    tie_break: Literal["id", "timestamp"] = "id"
    string_ids: Literal["large", "all"] = "large"
    last_update_format: Literal["seconds", "float"] = "seconds"
    created_format: Literal["seconds", "float"] = "seconds"
    user_removed_format: Literal["unix", "iso"] = "unix"
    merged_users: Literal["listed", "gone"] = "listed"
    part_last: Literal["full", "brief", "absent"] = "full"
    parts_count: Literal["listed", "with_hidden", "without_notes"] = "listed"
    list_props_custom: bool = False
    conversation_channel: bool = True
    users_lag_seconds: float = 0.0
    rate_limit: str | None = None
    rate_window: Literal["fixed", "sliding", "bucket"] = "sliding"
    rejected_calls_count: bool = False
    retry_after: bool = False
    latency_seconds: float = 0.0
    faults: Faults | None = None
    stall_seconds: float = 5.0
    live_rate: float = 0.0
    deeds_per_minute: float = 1.0
    random_deeds: Literal["all", "visible"] = "all"

    def __post_init__(self) -> None:
        _check_choices(self)
        _check_numbers(self)
        if self.start_time.tzinfo is None or self.start_time < EARLIEST_START:
            raise ValueError(f"start_time must have a zone and be {EARLIEST_START.date()} or later")

    def public(self) -> dict[str, Any]:
        """The settings as JSON values, without the token."""
        values = {name: value for name, value in asdict(self).items() if name not in SECRET_FIELDS}
        return values | {"start_time": self.start_time.isoformat()}

    @property
    def rate(self) -> tuple[int, float] | None:
        """(requests, seconds) of `rate_limit`, or None.

        >>> SimulatorSettings(rate_limit="60/60").rate
        (60, 60.0)
        """
        if self.rate_limit is None:
            return None
        try:
            requests, seconds = self.rate_limit.split("/")
            return int(requests), float(seconds)
        except ValueError:
            raise ValueError(f"rate_limit={self.rate_limit!r}: say requests/seconds, such as 60/60") from None


def _check_choices(settings: SimulatorSettings) -> None:
    hints = get_type_hints(SimulatorSettings)
    for field in fields(settings):
        hint, value = hints[field.name], getattr(settings, field.name)
        if get_origin(hint) is Literal and value not in get_args(hint):
            choices = ", ".join(map(repr, get_args(hint)))
            raise ValueError(f"{field.name}={value!r}: choose one of {choices}")


def _check_numbers(settings: SimulatorSettings) -> None:
    for name in ("users", "conversations", "events_per_user", "ties", "users_lag_seconds", "live_rate"):
        if getattr(settings, name) < 0:
            raise ValueError(f"{name}={getattr(settings, name)}: must not be negative")
    if not 0 <= settings.legacy_ids < 1:
        raise ValueError(f"legacy_ids={settings.legacy_ids}: a share, from 0 to below 1")
    if settings.rate is not None and min(settings.rate) <= 0:
        raise ValueError(f"rate_limit={settings.rate_limit!r}: both numbers must be above 0")
