"""What happens in the account while nobody asks: single deeds, days of activity, and a live background.

Every deed moves a virtual clock a little, so that two deeds never share a moment, and returns the ids that it
touched, as text. Ids are taken as text or numbers; an unknown one raises LookupError.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from threading import RLock
from typing import Any, Literal

from . import catalogue as words
from . import deeds
from .dice import dice, pick
from .properties import properties_of
from .records import Conversation, User
from .talks import make_attachment, plain_reply
from .world import World

LIFE = 31
DEED_SECONDS = 1.37
"""How far a deed moves a virtual clock: more than a second, so that whole-second times can differ, and no whole one."""
Id = str | int

VISIBLE_DEEDS: tuple[tuple[str, int], ...] = (
    ("user_visits", 40),
    ("reply", 25),
    ("start_conversation", 5),
    ("add_user", 5),
    ("tag", 4),
    ("toggle_closed", 4),
    ("assign", 2),
)
SILENT_DEEDS: tuple[tuple[str, int], ...] = (
    ("silent_event", 5),
    ("backdated_event", 2),
    ("silent_tag", 1),
    ("mark_read", 4),
    ("edit_part", 1),
    ("remove_part", 1),
    ("change_prop", 3),
    ("delete_prop", 1),
    ("leave", 2),
    ("rename_admin", 1),
    ("delete_conversation", 1),
    ("merge_users", 1),
)


class Life:
    """The deeds, one method each; thread-safe."""

    def __init__(self, world: World, lock: RLock) -> None:
        self._world = world
        self._lock = lock
        self._rng = dice(world.settings.seed, LIFE)
        self._owed = 0.0
        self._rate = world.settings.live_rate

    # finding

    def _user(self, user_id: Id) -> User:
        user = self._world.find_user(int(user_id))
        if user is None:
            raise LookupError(f"no user {user_id}")
        return user

    def _talk(self, conversation_id: Id) -> Conversation:
        talk = self._world.find_talk(int(conversation_id))
        if talk is None:
            raise LookupError(f"no conversation {conversation_id}")
        return talk

    def _pass_time(self) -> None:
        self._world.clock.advance(DEED_SECONDS)

    # users

    def add_user(self) -> str:
        """A lead nobody knew; returns the user's id."""
        with self._lock:
            self._pass_time()
            number = self._world.user_total
            name = f"{pick(self._rng, words.FIRST_NAMES)} {pick(self._rng, words.LAST_NAMES)}"
            props = {"$name": name, "$email": f"new{number}@example.com", "$sessions": 1}
            return str(self._world.add_user(f"new-{number}", props, {"План": "free"}).id)

    def user_visits(self, user_id: Id, events: int = 1) -> list[str]:
        """The user comes by and does things, which moves `$last_seen`; returns the ids of the events."""
        return [self._event(user_id, days=0.0, is_visit=True) for _ in range(events)]

    def silent_event(self, user_id: Id) -> str:
        """An event that no list reveals, as one tracked by a server; returns its id."""
        return self._event(user_id, days=0.0, is_visit=False)

    def backdated_event(self, user_id: Id, days: float = 30) -> str:
        """A new event with a `created` in the past; returns its id."""
        return self._event(user_id, days=days, is_visit=False)

    def _event(self, user_id: Id, days: float, is_visit: bool) -> str:
        with self._lock:
            self._pass_time()
            user = self._user(user_id)
            props = self._world.people.event_props(user.index, self._world.event_count(user), self._rng.random())
            created_us = self._world.clock.now_us() - round(days * 86_400_000_000)
            name = pick(self._rng, words.EVENT_TYPES).name
            return str(deeds.add_event(self._world, user, name, props, created_us, is_visit).id)

    def leave(self, user_id: Id) -> str:
        """The user goes offline; returns the user's id."""
        with self._lock:
            self._pass_time()
            deeds.leave(self._world, self._user(user_id))
            return str(user_id)

    def change_prop(self, user_id: Id, name: str, value: Any) -> str:
        """A property changes, by an import or an operator; `$last_seen` stays. Returns the user's id."""
        with self._lock:
            self._pass_time()
            user = self._world.change_user(self._user(user_id))
            properties_of(user, name)[name] = value
            self._world.graves.raise_again("user_props", (str(user.id), name))
            self._world.user_changed(user)
            return str(user_id)

    def delete_prop(self, user_id: Id, name: str) -> str:
        """A property goes; returns the user's id."""
        with self._lock:
            self._pass_time()
            user = self._world.change_user(self._user(user_id))
            if name not in properties_of(user, name):
                raise LookupError(f"user {user_id} has no property {name!r}")
            del properties_of(user, name)[name]
            self._world.graves.bury("user_props", [(str(user.id), name)])
            self._world.user_changed(user)
            return str(user_id)

    def merge_users(self, user_id: Id, into: Id) -> str:
        """One user turns out to be another, who gets everything; returns the survivor's id."""
        with self._lock:
            self._pass_time()
            source, target = self._user(user_id), self._user(into)
            if source.id == target.id:
                raise ValueError(f"user {user_id} cannot be merged into itself")
            deeds.merge_users(self._world, source, target)
            return str(target.id)

    def delete_user(self, user_id: Id) -> str:
        """A user is erased, with all events and conversations; returns the user's id."""
        with self._lock:
            self._pass_time()
            self._world.drop_user(self._user(user_id))
            return str(user_id)

    # conversations

    def start_conversation(self, user_id: Id) -> str:
        """The user writes first; returns the conversation's id."""
        with self._lock:
            self._pass_time()
            body = pick(self._rng, words.USER_BODIES)
            return str(deeds.start_conversation(self._world, self._user(user_id), body).id)

    def reply(self, conversation_id: Id, author: Literal["user", "admin", "bot"] = "user", parts: int = 1) -> list[str]:
        """New messages; returns the ids of the parts."""
        return [self._reply(conversation_id, author) for _ in range(parts)]

    def _reply(self, conversation_id: Id, author: Literal["user", "admin", "bot"]) -> str:
        with self._lock:
            self._pass_time()
            talk = self._world.change_talk(self._talk(conversation_id))
            fields = plain_reply(self._rng, author)
            part = self._world.add_part(talk, author_type=author, read=author == "user", **fields)
            if self._rng.random() < 0.1:
                part.attachments = [make_attachment(part, next(self._world.numbers))]
            if author == "user":
                talk.replied = True
            else:
                talk.unread_parts += 1
                talk.last_admin_id = part.admin_id
            return str(part.id)

    def tag(self, conversation_id: Id, tag: str, add: bool = True) -> list[str]:
        """A tag is put on or taken off, which makes a part; returns its id, or nothing when nothing changed."""
        with self._lock:
            self._pass_time()
            part = deeds.tag(self._world, self._talk(conversation_id), tag, add, self._operator())
            return [str(part.id)] if part is not None else []

    def silent_tag(self, conversation_id: Id, tag: str, add: bool = True) -> str:
        """A tag changes and nothing says so; returns the conversation's id."""
        with self._lock:
            self._pass_time()
            deeds.set_tag(self._world, self._talk(conversation_id), tag, add)
            return str(conversation_id)

    def close(self, conversation_id: Id) -> list[str]:
        """The conversation is closed; returns the part's id, or nothing when it was closed."""
        return self._set_closed(conversation_id, True)

    def reopen(self, conversation_id: Id) -> list[str]:
        """The conversation is opened again; returns the part's id, or nothing when it was open."""
        return self._set_closed(conversation_id, False)

    def _set_closed(self, conversation_id: Id, closed: bool) -> list[str]:
        with self._lock:
            self._pass_time()
            part = deeds.set_closed(self._world, self._talk(conversation_id), closed, self._operator())
            return [str(part.id)] if part is not None else []

    def assign(self, conversation_id: Id, admin_id: Id | None = None) -> list[str]:
        """The conversation gets another assignee, or none; returns the part's id, or nothing when unchanged."""
        with self._lock:
            self._pass_time()
            number = None if admin_id is None else self._admin(admin_id)
            part = deeds.assign(self._world, self._talk(conversation_id), number, self._operator())
            return [str(part.id)] if part is not None else []

    def mark_read(self, conversation_id: Id) -> str:
        """The visitor has read everything; returns the conversation's id."""
        with self._lock:
            self._pass_time()
            deeds.mark_read(self._world, self._talk(conversation_id))
            return str(conversation_id)

    def edit_part(self, part_id: Id, body: str = "отредактировано ✏️") -> str:
        """A message gets other words; `last_update` stays. Returns the part's id."""
        with self._lock:
            self._pass_time()
            part = self._world.change_part(int(part_id))
            part.body, part.edited_us = body, self._world.clock.now_us()
            return str(part_id)

    def remove_part(self, part_id: Id) -> str:
        """A message is taken back: it stays in the list, empty, with `removed` set. Returns the part's id."""
        with self._lock:
            self._pass_time()
            part = self._world.change_part(int(part_id))
            part.body, part.removed_us = "", self._world.clock.now_us()
            return str(part_id)

    def delete_conversation(self, conversation_id: Id) -> str:
        """A conversation goes, with all parts; returns its id."""
        with self._lock:
            self._pass_time()
            self._world.drop_talk(self._talk(conversation_id))
            return str(conversation_id)

    # operators

    def rename_admin(self, admin_id: Id | None = None, name: str = "Новое Имя") -> str:
        """An operator is called differently, everywhere at once; returns the operator's id."""
        with self._lock:
            self._pass_time()
            number = self._admin(admin_id if admin_id is not None else words.OPERATOR_IDS[0])
            self._world.admins[number].name = name
            return str(number)

    def _admin(self, admin_id: Id) -> int:
        if int(admin_id) not in self._world.admins:
            raise LookupError(f"no admin {admin_id}")
        return int(admin_id)

    def _operator(self) -> int | None:
        return pick(self._rng, (None, *words.OPERATOR_IDS))

    # many deeds at once

    def churn(self, share: float = 0.05) -> dict[str, list[str]]:
        """A while of ordinary life: that share of users and of conversations is active, and some are new.

        Returns the ids of the `users`, `events`, `conversations` and `parts` that changed or came.
        """
        with self._lock:
            users = [str(user.id) for user in self._some_users(share)]
            talks = [str(talk.id) for talk in self._some_talks(share)]
            events = [event for user in users for event in self.user_visits(user, 1 + int(self._rng.random() * 5))]
            parts = [
                part for talk in talks for part in self.reply(talk, self._author(), 1 + int(self._rng.random() * 3))
            ]
            newcomers = [self.add_user() for _ in range(max(1, len(users) // 10))]
            events.extend(event for user in newcomers for event in self.user_visits(user, 2))
            begun = [self.start_conversation(user) for user in newcomers]
            return {"users": users + newcomers, "events": events, "conversations": talks + begun, "parts": parts}

    def _some_users(self, share: float) -> list[User]:
        total = self._world.user_total
        indexes = sorted(self._rng.sample(range(total), min(total, round(total * share))))
        found = (self._world.user(index) for index in indexes)
        return [user for user in found if user is not None and user.removed_us is None]

    def _some_talks(self, share: float) -> list[Conversation]:
        total = self._world.talk_total
        indexes = sorted(self._rng.sample(range(total), min(total, round(total * share))))
        return [talk for index in indexes if (talk := self._world.talk(index)) is not None]

    def _author(self) -> Literal["user", "admin"]:
        return "user" if self._rng.random() < 0.5 else "admin"

    def tick(self, seconds: float) -> list[str]:
        """Let time pass with `deeds_per_minute` random deeds in it; returns the names of the deeds.

        Takes exactly `seconds` of a virtual clock, unless so many deeds take longer.
        """
        with self._lock:
            clock = self._world.clock
            start = clock.now()
            count = max(1, round(seconds / 60 * self._world.settings.deeds_per_minute))
            names = []
            for number in range(count):
                clock.catch_up(start + seconds * number / count)
                names.append(self.random_deed())
            clock.catch_up(start + seconds)
            return names

    def go_on(self) -> None:
        """One request has been served: do what `live_rate` owes."""
        self._owed += self._rate
        while self._owed >= 1:
            self._owed -= 1
            self.random_deed()

    def rest(self) -> None:
        """From now on nothing happens by itself, whatever `live_rate` says."""
        self._rate = 0.0

    def random_deed(self) -> str:
        """Do one of the ordinary things; returns its name, or `nothing` in an empty account."""
        with self._lock:
            kinds = VISIBLE_DEEDS if self._world.settings.random_deeds == "visible" else VISIBLE_DEEDS + SILENT_DEEDS
            names, weights = zip(*kinds, strict=True)
            name: str = self._rng.choices(names, weights)[0]
            user, talk = self._random_user(), self._random_talk()
            deed = self._prepared(user, talk).get(name)
            if deed is None:
                return "nothing"
            deed()
            return name

    def _random_user(self) -> User | None:
        user = self._world.user(int(self._rng.random() * self._world.user_total))
        return user if user is not None and user.removed_us is None else None

    def _random_talk(self) -> Conversation | None:
        return self._world.talk(int(self._rng.random() * self._world.talk_total))

    def _prepared(self, user: User | None, talk: Conversation | None) -> dict[str, Callable[[], Any]]:
        prepared: dict[str, Callable[[], Any]] = {"add_user": self.add_user, "rename_admin": self._rename_someone}
        if user is not None:
            prepared |= self._prepared_for_user(user)
        if talk is not None:
            prepared |= self._prepared_for_talk(talk)
        return prepared

    def _prepared_for_user(self, user: User) -> dict[str, Callable[[], Any]]:
        other = self._random_user()
        prepared: dict[str, Callable[[], Any]] = {
            "user_visits": lambda: self.user_visits(user.id, 1 + int(self._rng.random() * 3)),
            "silent_event": lambda: self.silent_event(user.id),
            "backdated_event": lambda: self.backdated_event(user.id),
            "start_conversation": lambda: self.start_conversation(user.id),
            "change_prop": lambda: self.change_prop(user.id, "План", pick(self._rng, words.PLANS)),
            "leave": lambda: self.leave(user.id),
        }
        if user.props_custom:
            prepared["delete_prop"] = lambda: self.delete_prop(user.id, next(iter(user.props_custom)))
        if other is not None and other.id != user.id:
            prepared["merge_users"] = lambda: self.merge_users(other.id, into=user.id)
        return prepared

    def _prepared_for_talk(self, talk: Conversation) -> dict[str, Callable[[], Any]]:
        tag = pick(self._rng, words.TAGS)
        last = self._world.last_part(talk)
        return {
            "reply": lambda: self.reply(talk.id, self._author()),
            "tag": lambda: self.tag(talk.id, tag, add=tag not in talk.tags),
            "silent_tag": lambda: self.silent_tag(talk.id, tag, add=tag not in talk.tags),
            "toggle_closed": lambda: self._set_closed(talk.id, not talk.closed),
            "assign": lambda: self.assign(talk.id, pick(self._rng, words.OPERATOR_IDS)),
            "mark_read": lambda: self.mark_read(talk.id),
            "edit_part": lambda: self.edit_part(last.id),
            "remove_part": lambda: self.remove_part(last.id),
            "delete_conversation": lambda: self.delete_conversation(talk.id),
        }

    def _rename_someone(self) -> str:
        return self.rename_admin(pick(self._rng, words.OPERATOR_IDS), pick(self._rng, words.FIRST_NAMES))

    # by name, for the control plane

    def do(self, name: str, **arguments: Any) -> Any:
        """Do the deed of that name; raises LookupError for an unknown one and TypeError for wrong arguments."""
        if name not in self.names():
            raise LookupError(f"no deed {name!r}; known are {', '.join(self.names())}")
        deed = getattr(self, name)
        inspect.signature(deed).bind(**arguments)
        return deed(**arguments)

    @staticmethod
    def names() -> list[str]:
        """The names of all deeds."""
        hidden = {"do", "names", "go_on", "rest"}
        return sorted(name for name in vars(Life) if not name.startswith("_") and name not in hidden)
