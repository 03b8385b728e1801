"""The conversations and parts of the beginning: pure functions of the settings and an index, made when asked for."""

from __future__ import annotations

from math import log
from random import Random
from typing import Any

from . import catalogue as words
from .clock import microseconds_of
from .dice import dice, mix, pick, unit
from .ids import make_id, owner_index
from .records import Attachment, AuthorType, Conversation, Part, ServiceStep
from .settings import SimulatorSettings
from .timeline import Timeline, spread_ms

TALK, PART, PART_TIME, PART_COUNT, UPDATED, OWNER = 21, 22, 23, 24, 25, 26
SHOWCASE_PARTS = {0: 1, 1: 50, 2: 51, 3: 130, 4: 2, 5: 100}
"""Conversations whose part counts are the awkward ones; they come again every 2,000 conversations."""
SINGLE_SHARE = 0.2
UNASSIGNED_SHARE = 0.2
LONGEST_US = 30 * 86_400_000_000
SHORTEST_PART_US = 20_000
"""Least mean time between two parts: ids need milliseconds of their own."""
REPLY_TURNS: tuple[tuple[float, str, AuthorType], ...] = (
    (0.45, "reply_user", "user"),
    (0.80, "reply_admin", "admin"),
    (0.88, "note", "admin"),
    (0.95, "chat_bot_admin", "bot"),
    (1.01, "auto_reply", "default_admin"),
)


class Talks:
    """Base conversations and their base parts."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self._settings = settings
        self.seed = settings.seed
        self.count = settings.conversations if settings.users else 0
        self._users = settings.users
        self.legacy_count = int(self.count * settings.legacy_ids)
        self._end_us = microseconds_of(settings.start_time)
        self._timeline = Timeline(self.seed, TALK, self.count, self.legacy_count, self._end_us // 1000)

    def identifier(self, index: int) -> int:
        """The conversation's id; grows with the index."""
        return make_id(self._timeline.created_ms(index), index, self.legacy_count)

    def index_of(self, identifier: int) -> int:
        """The only index that a conversation's, or a part's, `identifier` could belong to."""
        return owner_index(identifier, self.legacy_count)

    def owner(self, index: int) -> int:
        """The index of the user whose conversation it is: one who was there before it, the loyal ones more often."""
        return int(unit(self.seed, OWNER, index) * max(1, self._users * index // self.count))

    def part_count(self, index: int) -> int:
        """How many parts the conversation began with."""
        showcase = SHOWCASE_PARTS.get(index % 2000)
        if showcase is not None and self._settings.parts_per_conversation >= 5:
            return showcase
        draw = unit(self.seed, PART_COUNT, index)
        if draw < SINGLE_SHARE:
            return 1
        mean = (self._settings.parts_per_conversation - SINGLE_SHARE) / (1 - SINGLE_SHARE) - 2
        rest = 1.0 - (draw - SINGLE_SHARE) / (1 - SINGLE_SHARE)
        return 2 + int(min(-log(rest) * max(0.0, mean) * 0.8, 4000))

    def last_update_us(self, index: int) -> int:
        """When the conversation's newest part was made, before ties are made."""
        created_us = self._timeline.created_ms(index) * 1000
        parts = self.part_count(index)
        if parts == 1:
            return created_us + mix(self.seed, UPDATED, index) % 1000
        span = int(LONGEST_US * unit(self.seed, UPDATED, index) ** 4) + parts * SHORTEST_PART_US
        last_us = min(created_us + span, self._end_us - 60_000_000)
        return last_us // 1000 * 1000 + mix(self.seed, UPDATED, index) % 1000

    def make(self, index: int, last_update_us: int) -> Conversation:
        """The conversation as it was at the start; `last_update_us` comes from the world, which makes ties."""
        rng = dice(self.seed, TALK, index, 1)
        created_ms = self._timeline.created_ms(index)
        parts = self.part_count(index)
        outbound = rng.random() < 0.2
        talk = Conversation(
            index=index,
            id=make_id(created_ms, index, self.legacy_count),
            user_index=self.owner(index),
            created_us=last_update_us if parts == 1 else created_ms * 1000,
            last_update_us=last_update_us,
            base_parts=parts,
            base_last_us=last_update_us,
            script={},
            type=pick(rng, words.CONVERSATION_TYPES) if outbound else "popup_chat",
            reply_type=pick(rng, words.REPLY_TYPES),
            read=not outbound or rng.random() < 0.7,
            replied=parts > 1,
            clicked=rng.random() < 0.1,
            unsubscribed=rng.random() < 0.02,
            message_id=4000 + index if outbound else None,
            channel_id=pick(rng, (5, 5, 6, 7, 8, None)),
            unread_parts=int(rng.random() * 3) if parts > 3 else 0,
            hidden_parts=int(rng.random() * 3),
        )
        self._plot(rng, talk)
        return talk

    def _plot(self, rng: Random, talk: Conversation) -> None:
        assigned = rng.random() > UNASSIGNED_SHARE
        talk.assignee_id = pick(rng, words.OPERATOR_IDS) if assigned else None
        talk.last_admin_id = talk.assignee_id or pick(rng, (None, words.OPERATOR_IDS[0]))
        talk.closed = rng.random() < 0.5 and talk.base_parts > 2
        room = talk.base_parts - 1 - talk.closed
        steps = _steps(rng, talk.assignee_id)[: max(0, room)]
        talk.script = {1 + k * room // len(steps): step for k, step in enumerate(steps)}
        if talk.closed:
            talk.script[talk.base_parts - 1] = ServiceStep("closed")
        for step in steps:
            if step.type == "tag_added" and step.tag:
                talk.tags.append(step.tag)
            if step.type == "tag_deleted" and step.tag:
                talk.tags.remove(step.tag)

    def part_ms(self, talk: Conversation, ordinal: int) -> int:
        """When a base part was made, in milliseconds; grows with the ordinal."""
        first_ms, last_ms = talk.created_us // 1000, talk.base_last_us // 1000
        jitter = unit(self.seed, PART_TIME, talk.index, ordinal)
        return spread_ms(first_ms, last_ms, talk.base_parts, ordinal, jitter)

    def part_id(self, talk: Conversation, ordinal: int) -> int:
        """The id of one of the base parts; grows with the ordinal, and costs no part."""
        return make_id(self.part_ms(talk, ordinal), talk.index, self.legacy_count, ordinal)

    def part_type(self, talk: Conversation, ordinal: int) -> str:
        """The type of a base part, without making the part."""
        if ordinal in talk.script:
            return talk.script[ordinal].type
        return self._turn(talk, ordinal)[0]

    def part(self, talk: Conversation, ordinal: int) -> Part:
        """One of the conversation's base parts."""
        rng = dice(self.seed, PART, talk.index, ordinal)
        milliseconds = self.part_ms(talk, ordinal)
        part = Part(
            id=make_id(milliseconds, talk.index, self.legacy_count, ordinal),
            created_us=milliseconds * 1000 + int(rng.random() * 1000),
            type="",
            body="",
            author_type="default_admin",
            is_first=ordinal == 0,
        )
        if ordinal == talk.base_parts - 1:
            part.created_us = talk.base_last_us
        elif ordinal == 0:
            part.created_us = talk.created_us
        step = talk.script.get(ordinal)
        if step is not None:
            _write_service(rng, part, step)
        else:
            self._write_reply(rng, part, talk, ordinal)
        return part

    def _turn(self, talk: Conversation, ordinal: int) -> tuple[str, AuthorType]:
        if ordinal == 0:
            return ("reply_admin", "admin") if talk.message_id is not None else ("reply_user", "user")
        draw = unit(self.seed, PART, talk.index, ordinal, 7)
        return next((kind, author) for limit, kind, author in REPLY_TURNS if draw < limit)

    def _write_reply(self, rng: Random, part: Part, talk: Conversation, ordinal: int) -> None:
        part.type, part.author_type = self._turn(talk, ordinal)
        part.body = self._body(rng, part.type, talk.index)
        part.read = None if part.type in ("note", "auto_reply") else rng.random() < 0.9
        if part.author_type == "user":
            part.sent_via = pick(rng, words.USER_VIAS)
            part.random_id = int(rng.random() * 1e9) if rng.random() < 0.3 else None
            part.inbound_email = 7000 + ordinal if part.sent_via == "email_user" else None
        elif part.author_type == "admin":
            part.admin_id = pick(rng, words.OPERATOR_IDS)
            part.sent_via = "message_auto" if ordinal == 0 else pick(rng, words.ADMIN_VIAS)
        elif part.author_type == "bot":
            part.admin_id = pick(rng, words.BOT_IDS)
            part.body_json = {"buttons": [{"text": "Да"}, {"text": "Нет"}]}
        self._decorate(rng, part, talk.index, ordinal)

    def _decorate(self, rng: Random, part: Part, index: int, ordinal: int) -> None:
        draw = rng.random()
        if draw < 0.01:
            part.edited_us = part.created_us + 60_000_000
        elif draw < 0.02:
            part.removed_us, part.body = part.created_us + 90_000_000, ""
        elif draw < 0.08:
            files = 1 + int(draw < 0.04)
            part.attachments = [make_attachment(part, (index * 4096 + ordinal) * 4 + k) for k in range(files)]

    def _body(self, rng: Random, part_type: str, index: int) -> str:
        if self._settings.poison_text and rng.random() < 0.1:
            return words.POISON[index % len(words.POISON)]
        text = pick(rng, _bodies(part_type))
        return text * 400 if rng.random() < 0.005 else text


def _steps(rng: Random, assignee_id: int | None) -> list[ServiceStep]:
    steps = [] if assignee_id is None else [ServiceStep("assigned", assignee_id=assignee_id)]
    first = int(rng.random() * len(words.TAGS))
    names = [words.TAGS[(first + k) % len(words.TAGS)] for k in range(pick(rng, (0, 0, 1, 1, 2, 3)))]
    steps.extend(ServiceStep("tag_added", tag=name) for name in names)
    if rng.random() < 0.1:
        steps.extend(ServiceStep(kind, tag=words.PASSING_TAG) for kind in ("tag_added", "tag_deleted"))
    return steps


def _write_service(rng: Random, part: Part, step: ServiceStep) -> None:
    part.type, part.tag, part.assignee_id = step.type, step.tag, step.assignee_id
    if rng.random() < 0.7:
        part.author_type, part.admin_id = "admin", pick(rng, words.OPERATOR_IDS)
    elif rng.random() < 0.5:
        part.author_type, part.admin_id = "bot", pick(rng, words.BOT_IDS)


def _bodies(part_type: str) -> tuple[str, ...]:
    if part_type == "reply_user":
        return words.USER_BODIES
    if part_type == "note":
        return words.NOTE_BODIES
    return words.BOT_BODIES if part_type == "chat_bot_admin" else words.ADMIN_BODIES


def make_attachment(part: Part, number: int) -> Attachment:
    """A file of `part`; `number` makes its id, and is its own for every attachment."""
    name, mime_type = words.FILES[number % len(words.FILES)]
    url = f"https://files.dashly.app/attachments/{number}/x/{name}"
    return Attachment(2_000_000 + number, name, mime_type, 1000 + number % 90_000, url, part.created_us - 880_000)


def plain_reply(rng: Random, author: AuthorType) -> dict[str, Any]:
    """Type, author and words of a reply that someone writes now, as fields of a Part."""
    if author == "user":
        return {"type": "reply_user", "body": pick(rng, words.USER_BODIES), "sent_via": "web_user"}
    if author == "bot":
        return {"type": "chat_bot_admin", "body": pick(rng, words.BOT_BODIES), "admin_id": pick(rng, words.BOT_IDS)}
    admin_id = pick(rng, words.OPERATOR_IDS)
    return {"type": "reply_admin", "body": pick(rng, words.ADMIN_BODIES), "sent_via": "web_panel", "admin_id": admin_id}
