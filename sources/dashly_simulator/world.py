"""The account: what exists now. State and its rules, without HTTP.

Records of the beginning are made when asked for; only what changed is held. Indexes number users and
conversations in the order of their creation and are never used again.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Iterator
from copy import deepcopy
from functools import lru_cache
from heapq import merge
from itertools import count
from operator import attrgetter
from typing import Any

from . import catalogue
from .clock import Clock
from .graves import Graves
from .ids import ID_EPOCH_MS, LOW_BITS
from .people import FIRST_EXTERNAL_ID, People
from .ranking import Ranking, tie
from .records import Channel, Conversation, Event, EventType, Part, User
from .settings import SimulatorSettings
from .talks import Talks
from .user_index import UserIndex

BY_ID = attrgetter("id")
REMEMBERED = 2000
"""How many unchanged users, and conversations, are kept ready: about 4 MB."""


class World:
    """Users, events, conversations and parts, as they are now."""

    def __init__(self, settings: SimulatorSettings, clock: Clock) -> None:
        self.settings = settings
        self.clock = clock
        self.people = People(settings)
        self.talks = Talks(settings)
        self.admins = catalogue.make_admins()
        self.channels: dict[int, Channel] = catalogue.CHANNELS
        self.event_types = {kind.name: kind for kind in (*catalogue.EVENT_TYPES, catalogue.USER_MERGED)}
        self.graves = Graves()
        self.numbers = count(900_000_000)
        # shared until they are changed, and held from then on: see change_user and change_talk
        self._base_user = lru_cache(REMEMBERED)(self._make_user)
        self._base_talk = lru_cache(REMEMBERED)(self._make_talk)
        self._users: dict[int, User | None] = {}
        self._talks: dict[int, Conversation | None] = {}
        self._by_external_id: dict[str, int] = {}
        self._moved_talks: dict[int, set[int]] = defaultdict(set)
        self.user_total = self.people.count
        self.talk_total = self.talks.count
        self._base_seen = _tied(settings, [self.people.last_seen_us(i) or 0 for i in range(self.user_total)])
        self._base_updates = _tied(settings, [self.talks.last_update_us(i) for i in range(self.talk_total)])
        self._owners = array("l", [self.talks.owner(i) for i in range(self.talk_total)])
        self._by_owner = array("l", sorted(range(self.talk_total), key=self._owners.__getitem__))
        self.user_index = UserIndex(self._base_seen, round(settings.users_lag_seconds * 1e6), self.user)
        self.talk_order = Ranking(self._base_updates)
        self.active = {i for i in range(self.user_total) if self.people.is_active(self._base_seen[i])}

    def _make_user(self, index: int) -> User:
        return self.people.make(index, self._base_seen[index] or None)

    def _make_talk(self, index: int) -> Conversation:
        return self.talks.make(index, self._base_updates[index])

    # users

    def user(self, index: int) -> User | None:
        """The user number `index`, not to be changed; None when deleted or not there yet."""
        if index in self._users:
            return self._users[index]
        if not 0 <= index < self.people.count:
            return None
        return self._base_user(index)

    def find_user(self, identifier: int) -> User | None:
        """The user with that id."""
        user = self.user(self.people.index_of(identifier))
        return user if user is not None and user.id == identifier else None

    def find_external(self, external_id: str) -> User | None:
        """The user whom the customer calls `external_id`."""
        index = self._by_external_id.get(external_id)
        if index is None and external_id.isascii() and external_id.isdigit():
            index = int(external_id) - FIRST_EXTERNAL_ID
        user = self.user(index) if index is not None else None
        return user if user is not None and user.external_id == external_id else None

    def users(self) -> Iterator[User]:
        """Every user there is, in order of creation."""
        for index in range(self.user_total):
            user = self.user(index)
            if user is not None:
                yield user

    def change_user(self, user: User) -> User:
        """The same user, to be changed; call `user_changed` afterwards."""
        self.user_index.about_to_change(user.index)
        held = self._users.get(user.index)
        if held is None:
            held = self._users[user.index] = user
        return held

    def user_changed(self, user: User) -> None:
        """Bring orders and samples in line with a changed user."""
        if user.presence == "offline":
            self.active.discard(user.index)
        else:
            self.active.add(user.index)
        self.user_index.changed(user.index, self.clock.now_us())

    def add_user(self, external_id: str | None, props: dict[str, Any], props_custom: dict[str, Any]) -> User:
        """A new user, seen just now."""
        index, now_us = self.user_total, self.clock.now_us()
        identifier = (now_us // 1000 - ID_EPOCH_MS) << LOW_BITS | index
        user = User(index, identifier, external_id, now_us, now_us, "online", props, props_custom, 0, 0, 0)
        self.user_index.about_to_change(index)
        self.user_total += 1
        self._users[index] = user
        if external_id is not None:
            self._by_external_id[external_id] = index
        self.user_changed(user)
        return user

    def drop_user(self, user: User) -> None:
        """Delete a user with all events and conversations."""
        for talk in self.talks_of(user):
            self.drop_talk(talk)
        self.graves.bury("users", [str(user.id)])
        self.graves.bury("events", [str(event.id) for event in self.events_of(user)])
        self.graves.bury(
            "user_props", [(str(user.id), name) for name in ("$last_seen", *user.props, *user.props_custom)]
        )
        self.user_index.about_to_change(user.index)
        self._users[user.index] = None
        self.active.discard(user.index)
        self.user_index.changed(user.index, self.clock.now_us())

    # events

    def event_count(self, user: User) -> int:
        """How many events the user has."""
        return user.base_events + len(user.added)

    def events_of(self, user: User, before: int | None = None) -> Iterator[Event]:
        """The user's events with ids below `before`, newest first, made one at a time."""
        ids = range(user.base_events)
        end = len(ids) if before is None else bisect_left(ids, before, key=lambda k: self.people.event_id(user, k))
        base = (self.people.event(user, ordinal) for ordinal in range(end - 1, -1, -1))
        return merge(base, _added_below(user.added, before), key=BY_ID, reverse=True)

    def event_counts(self) -> Iterator[int]:
        """How many events each user has, without making users of the beginning."""
        for index in range(self.user_total):
            if index not in self._users:
                yield self.people.event_count(index)
            elif (user := self._users[index]) is not None:
                yield self.event_count(user)

    def event_type(self, name: str) -> EventType:
        """The type of that name, made when there is none."""
        if name not in self.event_types:
            number = catalogue.FIRST_NEW_EVENT_TYPE_ID + len(self.event_types)
            self.event_types[name] = EventType(number, name, 0)
        return self.event_types[name]

    def add_event(self, user: User, name: str, props: dict[str, Any], created_us: int | None = None) -> Event:
        """A new event; its id is the user's highest, whatever `created_us` says. The user must be one to change."""
        newest = next((event.id for event in self.events_of(user)), 0)
        identifier = self._id_after(newest, user.index)
        created = self.clock.now_us() if created_us is None else created_us
        event = Event(identifier, self.event_type(name), created, props)
        insort(user.added, event, key=BY_ID)
        return event

    def move_events(self, source: User, target: User) -> None:
        """Give all events of `source` to `target`; both must be ones to change."""
        for event in self.events_of(source):
            insort(target.added, event, key=BY_ID)
        source.base_events, source.added = 0, []

    # conversations

    def talk(self, index: int) -> Conversation | None:
        """Conversation number `index`, not to be changed; None when deleted or not there yet."""
        if index in self._talks:
            return self._talks[index]
        if not 0 <= index < self.talks.count:
            return None
        return self._base_talk(index)

    def find_talk(self, identifier: int) -> Conversation | None:
        """The conversation with that id."""
        talk = self.talk(self.talks.index_of(identifier))
        return talk if talk is not None and talk.id == identifier else None

    def all_talks(self) -> Iterator[Conversation]:
        """Every conversation there is, in order of creation."""
        for index in range(self.talk_total):
            talk = self.talk(index)
            if talk is not None:
                yield talk

    def talks_of(self, user: User) -> list[Conversation]:
        """The user's conversations, most recently updated first."""
        start = bisect_left(self._by_owner, user.index, key=self._owners.__getitem__)
        end = bisect_right(self._by_owner, user.index, key=self._owners.__getitem__)
        indexes = {*self._by_owner[start:end], *self._moved_talks.get(user.index, ())}
        talks = [talk for index in indexes if (talk := self.talk(index)) and talk.user_index == user.index]
        return sorted(talks, key=lambda talk: (-talk.last_update_us, -talk.index))

    def owner_of(self, talk: Conversation) -> User:
        """The conversation's user."""
        user = self.user(talk.user_index)
        if user is None:
            raise RuntimeError(f"conversation {talk.id} outlived its user")
        return user

    def change_talk(self, talk: Conversation) -> Conversation:
        """The same conversation, to be changed."""
        held = self._talks.get(talk.index)
        if held is None:
            held = self._talks[talk.index] = talk
        return held

    def add_talk(self, user: User, kind: str, message_id: int | None, channel_id: int | None) -> Conversation:
        """A new conversation without parts; the caller adds the first at once."""
        index, now_us = self.talk_total, self.clock.now_us()
        self.talk_total += 1
        identifier = (now_us // 1000 - ID_EPOCH_MS) << LOW_BITS | index
        talk = Conversation(
            index, identifier, user.index, now_us, now_us, 0, now_us, {}, kind, "text", message_id=message_id
        )
        talk.channel_id, talk.read = channel_id, message_id is None
        self._talks[index] = talk
        self._moved_talks[user.index].add(index)
        self.talk_order.place(index, now_us)
        return talk

    def give_talk(self, talk: Conversation, user: User) -> None:
        """Make `user` the conversation's user."""
        self.change_talk(talk).user_index = user.index
        self._moved_talks[user.index].add(talk.index)

    def drop_talk(self, talk: Conversation) -> None:
        """Delete a conversation with all parts."""
        parts = list(self.parts_of(talk))
        self.graves.bury("conversations", [str(talk.id)])
        self.graves.bury("parts", [str(part.id) for part in parts])
        self.graves.bury("part_attachments", [str(file.id) for part in parts for file in part.attachments])
        self.graves.bury("conversation_tags", [(str(talk.id), tag) for tag in talk.tags])
        self._talks[talk.index] = None
        self.talk_order.remove(talk.index)

    # parts

    def part_count(self, talk: Conversation) -> int:
        """How many parts the API lists."""
        return talk.base_parts + len(talk.added)

    def part_counts(self) -> Iterator[int]:
        """How many parts each conversation has, without making conversations of the beginning."""
        for index in range(self.talk_total):
            if index not in self._talks:
                yield self.talks.part_count(index)
            elif (talk := self._talks[index]) is not None:
                yield self.part_count(talk)

    def notes_count(self, talk: Conversation) -> int:
        """How many of the listed parts are notes."""
        base = sum(self.talks.part_type(talk, ordinal) == "note" for ordinal in range(talk.base_parts))
        return base + sum(part.type == "note" for part in talk.added)

    def parts_of(self, talk: Conversation, before: int | None = None) -> Iterator[Part]:
        """The conversation's parts with ids below `before`, newest first, made one at a time."""
        ids = range(talk.base_parts)
        end = len(ids) if before is None else bisect_left(ids, before, key=lambda k: self.talks.part_id(talk, k))
        base = (self._base_part(talk, ordinal) for ordinal in range(end - 1, -1, -1))
        return merge(base, _added_below(talk.added, before), key=BY_ID, reverse=True)

    def _base_part(self, talk: Conversation, ordinal: int) -> Part:
        if talk.changed:
            identifier = self.talks.part_id(talk, ordinal)
            if identifier in talk.changed:
                return talk.changed[identifier]
        return self.talks.part(talk, ordinal)

    def last_part(self, talk: Conversation) -> Part:
        """The conversation's newest part."""
        return talk.added[-1] if talk.added else self._base_part(talk, talk.base_parts - 1)

    def find_part(self, identifier: int) -> tuple[Conversation, Part]:
        """The part with that id and its conversation; raises LookupError when there is none."""
        talk = self.talk(self.talks.index_of(identifier))
        part = next(self.parts_of(talk, identifier + 1), None) if talk is not None else None
        if talk is None or part is None or part.id != identifier:
            raise LookupError(f"no part {identifier}")
        return talk, part

    def change_part(self, identifier: int) -> Part:
        """The part with that id, to be changed; raises LookupError when there is none."""
        talk, part = self.find_part(identifier)
        talk = self.change_talk(talk)
        if part not in talk.added:
            part = talk.changed.setdefault(identifier, deepcopy(part))
        return part

    def add_part(self, talk: Conversation, **fields: Any) -> Part:
        """A new newest part made now, which brings the conversation to the top of the list."""
        talk = self.change_talk(talk)
        newest = self.last_part(talk).id if self.part_count(talk) else 0
        now_us = self.clock.now_us()
        fields = {"body": "", "author_type": "default_admin"} | fields
        part = Part(id=self._id_after(newest, talk.index), created_us=now_us, is_first=newest == 0, **fields)
        talk.added.append(part)
        talk.last_update_us = now_us
        self.talk_order.place(talk.index, now_us)
        return part

    def _id_after(self, newest: int, index: int) -> int:
        milliseconds = self.clock.now_us() // 1000 - ID_EPOCH_MS
        return max(milliseconds, (newest >> LOW_BITS) + 1) << LOW_BITS | index


def _tied(settings: SimulatorSettings, times: list[int]) -> array[int]:
    packed = array("q", times)
    tie(packed, settings.ties)
    return packed


def _added_below(added: list[Any], before: int | None) -> Iterator[Any]:
    end = len(added) if before is None else bisect_left(added, before, key=BY_ID)
    return iter(added[end - 1 :: -1] if end else [])
