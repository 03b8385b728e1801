"""The users and events of the beginning: pure functions of the settings and an index, made when asked for."""

from __future__ import annotations

from math import log
from random import Random
from typing import Any

from . import catalogue as words
from .clock import microseconds_of
from .dice import dice, pick, unit
from .ids import make_id, owner_index
from .records import Event, Note, User
from .settings import SimulatorSettings
from .timeline import Timeline, spread_ms

USER, USER_SEEN, EVENT_COUNT, EVENT, EVENT_TIME = 11, 12, 13, 14, 15
FIRST_EXTERNAL_ID = 27_000
HEAVY_SHARE = 0.03
NEVER_SEEN_SHARE = 0.03
MOST_ACTIVE = 300
"""An account of any size has at most about so many visitors on the site at once; activeusers is one page."""
SHOWCASE_EVENTS = {0: 0, 1: 337, 2: 50, 3: 51, 4: 100}
"""Users whose event counts are the awkward ones, so that the smallest account has them."""
ONLINE_US, IDLE_US = 5 * 60_000_000, 30 * 60_000_000


class People:
    """Base users and their base events."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self._settings = settings
        self.seed = settings.seed
        self.count = settings.users
        self.legacy_count = int(settings.users * settings.legacy_ids)
        self.end_us = microseconds_of(settings.start_time)
        self._timeline = Timeline(self.seed, USER, self.count, self.legacy_count, self.end_us // 1000)
        self._active_share = min(0.03, MOST_ACTIVE / max(1, self.count))

    def identifier(self, index: int) -> int:
        """The user's id; grows with the index."""
        return make_id(self._timeline.created_ms(index), index, self.legacy_count)

    def index_of(self, identifier: int) -> int:
        """The only index that `identifier` could have."""
        return owner_index(identifier, self.legacy_count)

    def event_count(self, index: int) -> int:
        """How many events the user began with."""
        mean = self._settings.events_per_user
        if mean >= 20 and index in SHOWCASE_EVENTS:
            return SHOWCASE_EVENTS[index]
        draw = unit(self.seed, EVENT_COUNT, index)
        if draw < HEAVY_SHARE:
            return int(mean * (1.7 + 8.2 * draw / HEAVY_SHARE))
        rest = 1.0 - (draw - HEAVY_SHARE) / (1.0 - HEAVY_SHARE)
        return int(min(-log(rest) * mean, mean * 1.6))

    def last_seen_us(self, index: int) -> int | None:
        """The `$last_seen` the user began with, before ties are made."""
        draw = unit(self.seed, USER_SEEN, index)
        created_us = self._timeline.created_ms(index) * 1000
        if draw < NEVER_SEEN_SHARE:
            return None
        if draw > 1 - self._active_share:
            return self.end_us - 1_000_000 - int((1 - draw) / self._active_share * IDLE_US)
        share = ((draw - NEVER_SEEN_SHARE) / (1 - NEVER_SEEN_SHARE)) ** 0.5
        earliest = created_us + 21_600_000_000
        return earliest + int((self.end_us - IDLE_US - 1_000_000 - earliest) * share)

    def make(self, index: int, last_seen_us: int | None) -> User:
        """The user as it was at the start; `last_seen_us` comes from the world, which makes ties."""
        rng = dice(self.seed, USER, index, 1)
        created_ms = self._timeline.created_ms(index)
        first, last = pick(rng, words.FIRST_NAMES), pick(rng, words.LAST_NAMES)
        props = self._props(rng, index, f"{first} {last}")
        return User(
            index=index,
            id=make_id(created_ms, index, self.legacy_count),
            external_id=str(FIRST_EXTERNAL_ID + index) if rng.random() > 0.1 else None,
            created_us=created_ms * 1000,
            last_seen_us=last_seen_us,
            presence=self._presence(last_seen_us),
            props=props,
            props_custom=self._props_custom(rng, index),
            base_events=self.event_count(index),
            base_first_ms=created_ms,
            base_last_ms=(last_seen_us // 1000) if last_seen_us is not None else created_ms + 21_600_000,
            map_url=f"https://maps.example.com/?q={index}" if rng.random() < 0.2 else None,
            tags=[pick(rng, words.TAGS)] if rng.random() < 0.2 else [],
            notes=_notes(index, created_ms) if rng.random() < 0.1 else [],
            email_ok=None if rng.random() < 0.5 else rng.random() < 0.9,
            timezone_offset=pick(rng, (None, 180.0, -300.0, 330.0)),
        )

    def is_active(self, last_seen_us: int | None) -> bool:
        """Whether a user who was last seen then is still on the site at the start."""
        return last_seen_us is not None and last_seen_us >= self.end_us - IDLE_US - 1_000_000

    def _presence(self, last_seen_us: int | None) -> str:
        if last_seen_us is None or not self.is_active(last_seen_us):
            return "offline"
        return "online" if last_seen_us >= self.end_us - ONLINE_US else "idle"

    def _props(self, rng: Random, index: int, name: str) -> dict[str, Any]:
        country, city = pick(rng, words.CITIES)
        props: dict[str, Any] = {"$sessions": int(rng.random() * 40), "$country": country, "$city": city}
        if rng.random() > 0.05:
            props["$name"] = self._maybe_poisoned(rng.random(), index, name)
        if rng.random() > 0.15:
            props["$email"] = f"user{index}@example.com"
        if rng.random() < 0.4:
            props["$phone"] = None if rng.random() < 0.1 else f"+7900{index:07d}"
        if rng.random() < 0.5:
            props["$plan"] = pick(rng, words.PLANS)
        return props

    def _props_custom(self, rng: Random, index: int) -> dict[str, Any]:
        candidates: dict[str, Any] = {
            "План": pick(rng, words.PLANS),
            "Plan Name": pick(rng, words.PLANS),
            "plan-name": int(rng.random() * 4),
            "plan_name": rng.random() < 0.5,
            "Списки": ["а", "b", "в, г"][: int(rng.random() * 4)],
            "signup_date": f"20{18 + index % 8}-0{1 + index % 9}-1{index % 10}T10:00:00",
            "Доход, ₽": int(rng.random() * 2**53) * pick(rng, (1, -1)),
            "empty": None,
            "comment": self._maybe_poisoned(rng.random(), index, 'it\'s "quoted", <b>bold</b>'),
        }
        return {name: value for name, value in candidates.items() if rng.random() < 0.5}

    def _maybe_poisoned(self, draw: float, index: int, text: str) -> str:
        if self._settings.poison_text and draw < 0.1:
            return words.POISON[index % len(words.POISON)]
        return text

    def event_id(self, user: User, ordinal: int) -> int:
        """The id of one of the user's base events; grows with the ordinal, and costs no event."""
        return make_id(self._event_ms(user, ordinal), user.index, self.legacy_count, ordinal)

    def _event_ms(self, user: User, ordinal: int) -> int:
        jitter = unit(self.seed, EVENT_TIME, user.index, ordinal)
        return spread_ms(user.base_first_ms, user.base_last_ms, user.base_events, ordinal, jitter)

    def event(self, user: User, ordinal: int) -> Event:
        """One of the user's base events; about 1 % are backdated."""
        rng = dice(self.seed, EVENT, user.index, ordinal)
        milliseconds = self._event_ms(user, ordinal)
        created_us = milliseconds * 1000 + int(rng.random() * 1000)
        if rng.random() < 0.01:
            created_us -= int((1 + rng.random() * 60) * 86_400_000_000)
        return Event(
            id=make_id(milliseconds, user.index, self.legacy_count, ordinal),
            type=pick(rng, words.EVENT_TYPES),
            created_us=created_us,
            props=self.event_props(user.index, ordinal, rng.random()),
        )

    def event_props(self, index: int, ordinal: int, draw: float) -> dict[str, Any]:
        """Properties of every documented kind: number, string, bool, list, ISO date, an id, or none at all."""
        if draw < 0.3:
            return {}
        if draw < 0.5:
            return {"$referrer": "https://ya.ru/поиск?q=тест", "$browser": "Chrome", "$ip": f"10.0.{index % 256}.1"}
        if draw < 0.6:
            return {"$conversation_id": (1 << 60) + index * 1000 + ordinal, "ok": draw < 0.55}
        text = self._maybe_poisoned((draw - 0.6) * 2.5, index, "Eva99 😀")
        return {"App": text, "сумма": ordinal * 10, "Plan Name": "pro", "план": ["a", "б"], "at": "2026-05-01T10:00:00"}


def _notes(index: int, created_ms: int) -> list[Note]:
    admin_id = words.OPERATOR_IDS[index % len(words.OPERATOR_IDS)]
    return [Note(900 + index, admin_id, words.NOTE_BODIES[index % 3], created_ms * 1000)]
