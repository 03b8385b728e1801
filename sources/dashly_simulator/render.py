"""Records as the JSON objects of the API."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from .records import Attachment, Channel, Conversation, Event, EventType, Part, User
from .world import World

Json = dict[str, Any]
EXACT_IN_A_FLOAT = 2**53
UNKNOWN_FIELD = {"x_simulated": {"новое": [1, None, "поле"]}}
"""What `unknown_fields` adds to every record."""
DETAIL_FLAGS = (
    "props_custom",
    "props_events",
    "events",
    "presence_details",
    "segments",
    "notes",
    "tags",
    "email_status",
    "timezone_offset",
)
SEGMENT_FILTERS = '[{"property_name":"$last_seen","cls":"dt","type":"daysless","value":{"value":"30"}}]'


def iso_seconds(microseconds: int) -> str:
    """A moment as property values show it: ISO 8601 without zone, whole seconds.

    >>> iso_seconds(1779022892_900000)
    '2026-05-17T13:01:32'
    """
    return datetime.fromtimestamp(microseconds // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class Renderer:
    """Turns records into JSON objects, for one request."""

    def __init__(self, world: World, ids_as_strings: bool) -> None:
        self._world = world
        self._settings = world.settings
        self._ids_as_strings = ids_as_strings

    def identifier(self, number: int | None) -> int | str | None:
        """An id, as a string where the request and the settings say so."""
        if number is None or not self._ids_as_strings:
            return number
        if self._settings.string_ids == "all" or number > EXACT_IN_A_FLOAT:
            return str(number)
        return number

    def user_row(self, user: User) -> Json:
        """A user as the user list shows it."""
        row = self._user_head(user) | {"props": user_props(user)}
        if user.map_url is not None:
            row["map_url"] = user.map_url
        if self._settings.list_props_custom:
            row["props_custom"] = user.props_custom
        return self._known(row)

    def _user_head(self, user: User) -> Json:
        return {
            "id": self.identifier(user.id),
            "app": self._app(),
            "user_id": user.external_id,
            "removed": self._removed(user.removed_us),
            "presence": user.presence,
        }

    def _app(self) -> int | str | None:
        app_id = self._settings.app_id
        return self.identifier(int(app_id)) if app_id.isdigit() else app_id

    def _removed(self, removed_us: int | None) -> int | str | None:
        if removed_us is None:
            return None
        return iso_seconds(removed_us) if self._settings.user_removed_format == "iso" else removed_us // 1_000_000

    def user_details(self, user: User, wanted: Iterable[str], with_props: bool) -> Json:
        """A user as GET /users/{id} shows it, with the optional fields `wanted`."""
        row = self._user_head(user)
        if user.map_url is not None:
            row["map_url"] = user.map_url
        if with_props:
            row["props"] = user_props(user)
        makers: dict[str, Callable[[], Any]] = {
            "props_custom": lambda: user.props_custom,
            "props_events": lambda: self._props_events(user),
            "events": lambda: self._event_counters(user),
            "presence_details": lambda: presence_details(user),
            "segments": lambda: self._segments(user),
            "notes": lambda: self._notes(user),
            "tags": lambda: user.tags,
            "email_status": lambda: None if user.email_ok is None else {"status": "ok" if user.email_ok else "bounced"},
            "timezone_offset": lambda: user.timezone_offset,
        }
        for name in wanted:
            if name != "presence_details" or user.presence != "offline":
                row[name] = makers[name]()
        return self._known(row)

    def _counted(self, user: User) -> list[tuple[EventType, int, int, int]]:
        found: dict[int, tuple[EventType, int, int, int]] = {}
        for event in self._world.events_of(user):
            kind, number, first, last = found.get(event.type.id, (event.type, 0, event.created_us, event.created_us))
            found[kind.id] = (kind, number + 1, min(first, event.created_us), max(last, event.created_us))
        return [found[key] for key in sorted(found)]

    def _props_events(self, user: User) -> Json:
        row: Json = {}
        for kind, number, first_us, last_us in self._counted(user):
            row[f"$event_{kind.id}_first"] = iso_seconds(first_us)
            row[f"$event_{kind.id}_last"] = iso_seconds(last_us)
            row[f"$event_{kind.id}_count"] = number
        return row

    def _event_counters(self, user: User) -> list[Json]:
        return [
            {
                "event_type": {"id": self.identifier(kind.id), "name": kind.name, "score": kind.score},
                "count": number,
                "first": self._created(first_us),
                "last": self._created(last_us),
            }
            for kind, number, first_us, last_us in self._counted(user)
        ]

    def _segments(self, user: User) -> list[Json]:
        if user.last_seen_us is None:
            return []
        return [{"id": self.identifier(732), "name": "active", "filters": SEGMENT_FILTERS}]

    def _notes(self, user: User) -> list[Json]:
        return [
            {
                "id": self.identifier(note.id),
                "author": self.admin(note.admin_id),
                "body": note.body,
                "created": self._created(note.created_us),
            }
            for note in user.notes
        ]

    def active_user(self, user: User) -> Json:
        """A visitor who is on the site."""
        row = {"id": self.identifier(user.id), "presence": user.presence, "presence_details": presence_details(user)}
        return self._known(row)

    def event(self, user: User, event: Event) -> Json:
        """An event of `user`."""
        kind = event.type
        return self._known(
            {
                "id": self.identifier(event.id),
                "created": self._created(event.created_us),
                "user": self.identifier(user.id),
                "type": self._known(
                    {
                        "id": self.identifier(kind.id),
                        "name": kind.name,
                        "score": kind.score,
                        "visible": kind.visible,
                        "active": kind.active,
                    }
                ),
                "props": event.props,
            }
        )

    def admin(self, admin_id: int | None) -> Json | None:
        """An operator or bot under the name it has now."""
        if admin_id is None:
            return None
        admin = self._world.admins[admin_id]
        row: Json = {"id": self.identifier(admin.id), "name": admin.name, "avatar": admin.avatar, "type": admin.type}
        return row if admin.name_internal is None else row | {"name_internal": admin.name_internal}

    def channel_brief(self, channel_id: int | None) -> Json | None:
        """A channel as a conversation carries it."""
        if channel_id is None:
            return None
        channel = self._world.channels[channel_id]
        return {
            "id": self.identifier(channel.id),
            "name": channel.name,
            "type": channel.type,
            "avatar": channel.avatar,
        }

    def channel(self, channel: Channel) -> Json:
        """A channel as the list of channels shows it."""
        return self._known(
            {
                "id": self.identifier(channel.id),
                "name": channel.name,
                "avatar": channel.avatar,
                "type": channel.type,
                "droppable": True,
                "operators": [self.admin(admin_id) for admin_id in channel.operator_ids],
                "not_assigned_count": 0,
                "not_read_count": 0,
                "read_permission": True,
            }
        )

    def conversation(self, talk: Conversation, with_user: bool = True, with_channel: bool = True) -> Json:
        """A conversation; lists of one user's conversations leave the user out."""
        row: Json = {
            "id": self.identifier(talk.id),
            "created": self._created(talk.created_us),
            "read": talk.read,
            "replied": talk.replied,
            "clicked": talk.clicked,
            "unsubscribed": talk.unsubscribed,
            "closed": talk.closed,
            "message": self.identifier(talk.message_id),
            "type": talk.type,
            "reply_type": talk.reply_type,
            "parts_count": self._parts_count(talk),
            "unread_parts_count": talk.unread_parts,
            "assignee": self.admin(talk.assignee_id),
            "last_admin": self.admin(talk.last_admin_id),
            "last_update": self._last_update(talk.last_update_us),
            "tags": talk.tags,
        }
        if with_user:
            owner = self._world.owner_of(talk)
            row["user"] = self._user_head(owner) | {"props": user_props(owner)}
        if with_channel:
            row["channel"] = self.channel_brief(talk.channel_id)
        if self._settings.part_last != "absent":
            row["part_last"] = self._part_last(talk)
        return self._known(row)

    def _parts_count(self, talk: Conversation) -> int:
        listed = self._world.part_count(talk)
        if self._settings.parts_count == "with_hidden":
            return listed + talk.hidden_parts
        if self._settings.parts_count == "without_notes":
            return listed - self._world.notes_count(talk)
        return listed

    def _part_last(self, talk: Conversation) -> Json:
        row = self.part(talk, self._world.last_part(talk))
        if self._settings.part_last == "brief":
            return {name: row[name] for name in ("id", "created", "type")}
        return row

    def part(self, talk: Conversation, part: Part) -> Json:
        """A part of `talk`; what a type does not have is absent."""
        row: Json = {
            "id": self.identifier(part.id),
            "created": self._created(part.created_us),
            "conversation": self.identifier(talk.id),
            "body": part.body,
            "type": part.type,
            "from": self._author(talk, part),
            "edited": _whole_seconds(part.edited_us),
            "removed": _whole_seconds(part.removed_us),
        }
        optional = {
            "first": part.is_first or None,
            "read": part.read,
            "sent_via": part.sent_via,
            "tag": part.tag,
            "random_id": part.random_id,
            "inbound_email": self.identifier(part.inbound_email),
            "body_json": part.body_json,
            "attachments": [self._attachment(file) for file in part.attachments] or None,
        }
        row.update((name, value) for name, value in optional.items() if value is not None)
        if part.type == "assigned":
            row["assignee"] = self.admin(part.assignee_id)
        return self._known(row)

    def _author(self, talk: Conversation, part: Part) -> Json | int | str | None:
        if part.author_type == "user":
            return self.identifier(self._world.owner_of(talk).id)
        if part.author_type == "default_admin":
            return {
                "name": "Support",
                "avatar": "https://files.dashly.app/avatars/default-v2.png",
                "type": "default_admin",
            }
        return self.admin(part.admin_id)

    def _attachment(self, file: Attachment) -> Json:
        return {
            "id": self.identifier(file.id),
            "type": "file",
            "filename": file.filename,
            "mime_type": file.mime_type,
            "size": file.size,
            "url": file.url,
            "created": file.created_us / 1e6,
        }

    def _created(self, microseconds: int) -> int | float:
        if self._settings.created_format == "float":
            return microseconds / 1e6
        return microseconds // 1_000_000

    def _last_update(self, microseconds: int) -> int | float:
        if self._settings.last_update_format == "float":
            return microseconds / 1e6
        return microseconds // 1_000_000

    def _known(self, row: Json) -> Json:
        return row | UNKNOWN_FIELD if self._settings.unknown_fields else row


def user_props(user: User) -> Json:
    """System properties, `$last_seen` among them."""
    seen = None if user.last_seen_us is None else iso_seconds(user.last_seen_us)
    return user.props | {"$last_seen": seen}


def presence_details(user: User) -> Json:
    """What a visitor is doing on the site, a free-form map."""
    return {
        "$name": user.props.get("$name"),
        "$country": user.props.get("$country"),
        "$sessions": user.props.get("$sessions"),
        "$current_page_title": "Цены",
        "$current_page_url": f"https://example.com/pricing?u={user.index}",
        "$active_since": (user.last_seen_us or 0) // 1_000_000,
    }


def _whole_seconds(microseconds: int | None) -> int | None:
    return None if microseconds is None else microseconds // 1_000_000
