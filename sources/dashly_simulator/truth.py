"""What a complete warehouse would hold: rows computed from the state, not from the API's JSON.

Ids are text in the form that `id_as_string=true` gives, times are aware UTC datetimes of the precision that the API
shows, JSON columns are Python objects. Text is as it is, NUL characters and lone surrogates included.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from .clock import datetime_of
from .graves import Key
from .records import Conversation, Event, EventType, Part, User
from .world import World

Row = dict[str, Any]
UNKNOWN = {"x_simulated": {"новое": [1, None, "поле"]}}


class Truth:
    """The tables of CONTRACT.md, section 4, as they would be now."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._settings = world.settings
        self._tables: dict[str, Callable[[], Iterator[Row]]] = {
            "users": self._users,
            "user_props": self._listed_props,
            "events": self._events,
            "event_types": self._event_types,
            "conversations": self._conversations,
            "conversation_tags": self._conversation_tags,
            "parts": self._parts,
            "part_attachments": self._part_attachments,
            "admins": self._admins,
            "channels": self._channels,
            "active_users": self._active_users,
            "user_details": self._user_details,
        }

    def tables(self) -> list[str]:
        """The names of the tables."""
        return list(self._tables)

    def rows(self, table: str, with_details: bool = False) -> Iterator[Row]:
        """The rows of `table` that exist; `with_details` adds to user_props what GET /users/{id} adds."""
        if table not in self._tables:
            raise LookupError(f"no table {table!r}; known are {', '.join(self._tables)}")
        if table == "user_props" and with_details:
            return self._props_of_everyone(with_custom=True)
        return self._tables[table]()

    def deleted(self, table: str) -> set[Key]:
        """Keys of rows that were once visible and no longer are; pairs for the tables with a key of two columns."""
        keys = self._world.graves.of(table)
        if table == "user_props" and not self._settings.list_props_custom:
            return {key for key in keys if key[1].startswith("$")}
        return keys

    # users

    def _users(self) -> Iterator[Row]:
        for user in self._world.users():
            seen = user.last_seen_us
            yield {
                "id": str(user.id),
                "external_id": user.external_id,
                "name": user.props.get("$name"),
                "email": user.props.get("$email"),
                "phone": user.props.get("$phone"),
                "presence": user.presence,
                "last_seen_at": _to_seconds(seen),
                "removed_at": _to_seconds(user.removed_us),
                "props": self._listed(user),
                "extra": self._user_extra(user),
            }

    def _listed(self, user: User, with_custom: bool = False) -> Row:
        seen = user.last_seen_us
        props = {**user.props, "$last_seen": None if seen is None else _iso(seen)}
        return {**props, **user.props_custom} if with_custom or self._settings.list_props_custom else props

    def _user_extra(self, user: User) -> Row:
        app_id = self._settings.app_id
        app: str | int = int(app_id) if app_id.isdigit() and self._settings.string_ids == "large" else app_id
        extra: Row = {"app": app}
        if user.map_url is not None:
            extra["map_url"] = user.map_url
        return {**extra, **(self._unknown() or {})}

    def _unknown(self) -> Row | None:
        return dict(UNKNOWN) if self._settings.unknown_fields else None

    def _listed_props(self) -> Iterator[Row]:
        return self._props_of_everyone(with_custom=False)

    def _props_of_everyone(self, with_custom: bool) -> Iterator[Row]:
        for user in self._world.users():
            for name, value in self._listed(user, with_custom).items():
                text, kind = _as_text(value), _json_type(value)
                yield {"user_id": str(user.id), "name": name, "value": text, "value_type": kind}

    def _active_users(self) -> Iterator[Row]:
        for user in self._world.users():
            if user.presence != "offline":
                yield {
                    "user_id": str(user.id),
                    "presence": user.presence,
                    "presence_details": _details(user),
                    "extra": self._unknown(),
                }

    def _user_details(self) -> Iterator[Row]:
        for user in self._world.users():
            extra = self._user_extra(user)
            if user.presence != "offline":
                extra["presence_details"] = _details(user)
            counted = self._counted(user)
            status = {True: {"status": "ok"}, False: {"status": "bounced"}, None: None}[user.email_ok]
            yield {
                "user_id": str(user.id),
                "props_custom": dict(user.props_custom),
                "props_events": _event_props(counted),
                "events": [self._counter(*counter) for counter in counted],
                "segments": self._segments(user),
                "tags": list(user.tags),
                "notes": [self._note(note.id, note.admin_id, note.body, note.created_us) for note in user.notes],
                "email_status": status,
                "timezone_offset": user.timezone_offset,
                "extra": extra,
            }

    def _small_id(self, number: int) -> int | str:
        return str(number) if self._settings.string_ids == "all" else number

    def _counted(self, user: User) -> list[tuple[EventType, list[int]]]:
        times: dict[int, tuple[EventType, list[int]]] = {}
        for event in self._world.events_of(user):
            times.setdefault(event.type.id, (event.type, []))[1].append(event.created_us)
        return [times[number] for number in sorted(times)]

    def _counter(self, kind: EventType, times: list[int]) -> Row:
        return {
            "event_type": {"id": self._small_id(kind.id), "name": kind.name, "score": kind.score},
            "count": len(times),
            "first": self._unix(min(times)),
            "last": self._unix(max(times)),
        }

    def _unix(self, microseconds: int) -> int | float:
        return microseconds / 1e6 if self._settings.created_format == "float" else microseconds // 1_000_000

    def _segments(self, user: User) -> list[Row]:
        filters = '[{"property_name":"$last_seen","cls":"dt","type":"daysless","value":{"value":"30"}}]'
        segment = {"id": self._small_id(732), "name": "active", "filters": filters}
        return [segment] if user.last_seen_us is not None else []

    def _note(self, number: int, admin_id: int, body: str, created_us: int) -> Row:
        admin = self._world.admins[admin_id]
        author = {"id": self._small_id(admin.id), "name": admin.name, "avatar": admin.avatar, "type": admin.type}
        return {"id": self._small_id(number), "author": author, "body": body, "created": self._unix(created_us)}

    # events

    def _events_with_users(self) -> Iterator[tuple[User, Event]]:
        for user in self._world.users():
            for event in self._world.events_of(user):
                yield user, event

    def _events(self) -> Iterator[Row]:
        for user, event in self._events_with_users():
            yield {
                "id": str(event.id),
                "user_id": str(user.id),
                "type_id": str(event.type.id),
                "name": event.type.name,
                "created_at": self._created(event.created_us),
                "props": dict(event.props),
                "extra": self._unknown(),
            }

    def _event_types(self) -> Iterator[Row]:
        kinds = {event.type.id: event.type for _, event in self._events_with_users()}
        for number in sorted(kinds):
            kind = kinds[number]
            yield {
                "id": str(kind.id),
                "name": kind.name,
                "score": kind.score,
                "visible": kind.visible,
                "active": kind.active,
                "extra": self._unknown(),
            }

    # conversations

    def _conversations(self) -> Iterator[Row]:
        for talk in self._world.all_talks():
            is_exact = self._settings.last_update_format == "float"
            has_channel = talk.channel_id is not None and self._settings.conversation_channel
            yield {
                "id": str(talk.id),
                "user_id": str(self._world.owner_of(talk).id),
                "created_at": self._created(talk.created_us),
                "updated_at": datetime_of(talk.last_update_us) if is_exact else _to_seconds(talk.last_update_us),
                "closed": talk.closed,
                "read": talk.read,
                "replied": talk.replied,
                "clicked": talk.clicked,
                "unsubscribed": talk.unsubscribed,
                "type": talk.type,
                "reply_type": talk.reply_type,
                "message_id": _text(talk.message_id),
                "assignee_id": _text(talk.assignee_id),
                "last_admin_id": _text(talk.last_admin_id),
                "channel_id": str(talk.channel_id) if has_channel else None,
                "parts_count": self._parts_count(talk),
                "unread_parts_count": talk.unread_parts,
                "part_last_id": self._part_last_id(talk),
                "extra": self._unknown(),
            }

    def _parts_count(self, talk: Conversation) -> int:
        kinds = [part.type for part in self._world.parts_of(talk)]
        hidden = talk.hidden_parts if self._settings.parts_count == "with_hidden" else 0
        notes = kinds.count("note") if self._settings.parts_count == "without_notes" else 0
        return len(kinds) + hidden - notes

    def _part_last_id(self, talk: Conversation) -> str | None:
        if self._settings.part_last == "absent":
            return None
        return str(max(part.id for part in self._world.parts_of(talk)))

    def _conversation_tags(self) -> Iterator[Row]:
        for talk in self._world.all_talks():
            for tag in talk.tags:
                yield {"conversation_id": str(talk.id), "tag": tag}

    def _parts_with_talks(self) -> Iterator[tuple[Conversation, Part]]:
        for talk in self._world.all_talks():
            for part in self._world.parts_of(talk):
                yield talk, part

    def _parts(self) -> Iterator[Row]:
        for talk, part in self._parts_with_talks():
            yield {
                "id": str(part.id),
                "conversation_id": str(talk.id),
                "created_at": self._created(part.created_us),
                "type": part.type,
                "body": part.body,
                "sent_via": part.sent_via,
                "author_type": part.author_type,
                "author_id": self._author_id(talk, part),
                "is_first": part.is_first,
                "read": part.read,
                "tag": part.tag,
                "assignee_id": _text(part.assignee_id),
                "edited_at": _to_seconds(part.edited_us),
                "removed_at": _to_seconds(part.removed_us),
                "extra": self._part_extra(part),
            }

    def _author_id(self, talk: Conversation, part: Part) -> str | None:
        if part.author_type == "user":
            return str(self._world.owner_of(talk).id)
        return _text(part.admin_id)

    def _part_extra(self, part: Part) -> Row | None:
        extra: Row = self._unknown() or {}
        if part.random_id is not None:
            extra["random_id"] = part.random_id
        if part.inbound_email is not None:
            extra["inbound_email"] = self._small_id(part.inbound_email)
        if part.body_json is not None:
            extra["body_json"] = part.body_json
        return extra or None

    def _part_attachments(self) -> Iterator[Row]:
        for talk, part in self._parts_with_talks():
            for file in part.attachments:
                yield {
                    "id": str(file.id),
                    "part_id": str(part.id),
                    "conversation_id": str(talk.id),
                    "filename": file.filename,
                    "mime_type": file.mime_type,
                    "size": file.size,
                    "url": file.url,
                    "created_at": datetime_of(file.created_us),
                    "type": "file",
                    "extra": None,
                }

    # operators and channels

    def _admins(self) -> Iterator[Row]:
        named = {number for channel in self._world.channels.values() for number in channel.operator_ids}
        for talk, part in self._parts_with_talks():
            named |= {
                n for n in (talk.assignee_id, talk.last_admin_id, part.admin_id, part.assignee_id) if n is not None
            }
        for number in sorted(named):
            admin = self._world.admins[number]
            extra = None if admin.name_internal is None else {"name_internal": admin.name_internal}
            yield {
                "id": str(number),
                "name": admin.name,
                "avatar": admin.avatar,
                "type": admin.type,
                "extra": extra,
            }

    def _channels(self) -> Iterator[Row]:
        fixed = {"droppable": True, "not_assigned_count": 0, "not_read_count": 0, "read_permission": True}
        for channel in self._world.channels.values():
            yield {
                "id": str(channel.id),
                "name": channel.name,
                "type": channel.type,
                "avatar": channel.avatar,
                "extra": {**fixed, **(self._unknown() or {})},
            }

    def _created(self, microseconds: int) -> datetime:
        if self._settings.created_format == "float":
            return datetime_of(microseconds)
        return datetime_of(microseconds // 1_000_000 * 1_000_000)


def _to_seconds(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else datetime_of(microseconds // 1_000_000 * 1_000_000)


def _iso(microseconds: int) -> str:
    return datetime_of(microseconds).replace(microsecond=0, tzinfo=None).isoformat()


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)


def _details(user: User) -> Row:
    return {
        **{name: user.props.get(name) for name in ("$name", "$country", "$sessions")},
        "$current_page_title": "Цены",
        "$current_page_url": f"https://example.com/pricing?u={user.index}",
        "$active_since": (user.last_seen_us or 0) // 1_000_000,
    }


def _event_props(counted: list[tuple[EventType, list[int]]]) -> Row:
    row: Row = {}
    for kind, times in counted:
        head = f"$event_{kind.id}"
        row |= {f"{head}_first": _iso(min(times)), f"{head}_last": _iso(max(times)), f"{head}_count": len(times)}
    return row


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _json_type(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    kinds = {str: "string", int: "number", float: "number", list: "list", dict: "object"}
    return kinds[type(value)]
