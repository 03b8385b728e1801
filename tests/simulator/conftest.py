"""A small reader of its own: it knows the documents and CONTRACT.md, and nothing of the simulator's inside."""

from __future__ import annotations

import json
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest
import requests

from dashly_simulator import Simulator, SimulatorSettings, serve

SMALL = {"users": 60, "conversations": 70, "events_per_user": 20, "seed": 7}
KEYS = {
    "user_props": ("user_id", "name"),
    "conversation_tags": ("conversation_id", "tag"),
    "active_users": ("user_id",),
    "user_details": ("user_id",),
}
START = datetime(1970, 1, 1, tzinfo=UTC)


class Reader:
    """Reads the API over HTTP, as the vendor's page says."""

    def __init__(self, sim, base_url, session):
        self.sim, self.base_url, self.session = sim, base_url, session
        self.session.params = {"auth_token": sim.settings.auth_token, "id_as_string": "true"}

    def get(self, path, **params):
        return self.session.get(self.base_url + path, params=params, timeout=20)

    def post(self, path, **form):
        return self.session.post(self.base_url + path, data=form, timeout=20)

    def data(self, path, **params):
        response = self.get(path, **params)
        assert response.status_code == 200, response.text
        return response.json()["data"]

    def page(self, path, **params):
        """(rows, token as sent or None) of one page."""
        text = self.get(path, **params).text
        rows = json.loads(text)["data"]
        meta = json.loads(text, parse_float=str, parse_int=str)["meta"]
        return rows["users"] if isinstance(rows, dict) else rows, meta.get("next_after")

    def pages(self, path, **params):
        """Every page, following next_after."""
        token, found = None, []
        while token is not None or not found:
            rows, token = self.page(path, **params | ({} if token is None else {"after": token}))
            found.append(rows)
        return found

    def walk(self, path, **params):
        params = {"count": 50} | params
        return [row for page in self.pages(path, **params) for row in page]

    def users(self):
        if self.sim.settings.users_dialect == "after":
            return self.walk("/apps/1/users")
        found, last = [], 50
        while last == 50:
            rows = self.data("/apps/1/users", limit=50, offset=len(found))["users"]
            found, last = found + rows, len(rows)
        return found

    def conversations(self):
        return self.walk("/apps/1/conversations", include_not_assigned="true")

    def tables(self):
        """Everything that can be read, as rows of CONTRACT.md, section 4, by table."""
        users, talks = self.users(), self.conversations()
        events = [event for user in users for event in self.walk(f"/users/{user['id']}/events")]
        parts = [part for talk in talks for part in self.walk(f"/conversations/{talk['id']}/parts")]
        flags = dict.fromkeys(DETAILS, "true")
        details = [self.data(f"/users/{user['id']}", **flags) for user in users]
        channels = self.data("/apps/1/channels")
        return {
            "users": [user_row(user) for user in users],
            "user_props": [row for user in users for row in prop_rows(user)],
            "events": [event_row(event) for event in events],
            "event_types": distinct(type_row(event["type"]) for event in events),
            "conversations": [conversation_row(talk) for talk in talks],
            "conversation_tags": [{"conversation_id": str(t["id"]), "tag": tag} for t in talks for tag in t["tags"]],
            "parts": [part_row(part) for part in parts],
            "part_attachments": [file_row(part, file) for part in parts for file in part.get("attachments", [])],
            "admins": distinct(admin_row(admin) for admin in admins_in([talks, parts, channels])),
            "channels": [channel_row(channel) for channel in channels],
            "active_users": [active_row(user) for user in self.data("/apps/1/activeusers")],
            "user_details": [details_row(user) for user in details],
        }


DETAILS = (
    "props_custom",
    "props_events",
    "events",
    "segments",
    "tags",
    "notes",
    "email_status",
    "timezone_offset",
    "presence_details",
)


def at(value):
    """A moment, from unix seconds or from ISO 8601 without zone."""
    if value is None:
        return None
    if isinstance(value, str):
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    return START + timedelta(microseconds=round(value * 1_000_000))


def text_id(value):
    return None if value is None else str(value["id"] if isinstance(value, dict) else value)


def without(row, *names):
    return {name: value for name, value in row.items() if name not in names} or None


def distinct(rows):
    return list({row["id"]: row for row in rows}.values())


def user_row(user):
    props = user["props"]
    return {
        "id": str(user["id"]),
        "external_id": user["user_id"],
        "name": props.get("$name"),
        "email": props.get("$email"),
        "phone": props.get("$phone"),
        "presence": user["presence"],
        "last_seen_at": at(props.get("$last_seen")),
        "removed_at": at(user["removed"]),
        "props": props | user.get("props_custom", {}),
        "extra": without(user, "id", "user_id", "presence", "removed", "props", "props_custom"),
    }


def prop_rows(user):
    for name, value in (user["props"] | user.get("props_custom", {})).items():
        kinds = {str: "string", bool: "boolean", list: "list", dict: "object", type(None): "null"}
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        yield {
            "user_id": str(user["id"]),
            "name": name,
            "value": value if isinstance(value, str | None) else text,
            "value_type": kinds.get(type(value), "number"),
        }


def event_row(event):
    return {
        "id": str(event["id"]),
        "user_id": str(event["user"]),
        "type_id": str(event["type"]["id"]),
        "name": event["type"]["name"],
        "created_at": at(event["created"]),
        "props": event["props"],
        "extra": without(event, "id", "user", "type", "created", "props"),
    }


def type_row(kind):
    columns = ("name", "score", "visible", "active")
    return {"id": str(kind["id"]), **{c: kind[c] for c in columns}, "extra": without(kind, "id", *columns)}


def conversation_row(talk):
    same = ("closed", "read", "replied", "clicked", "unsubscribed", "type", "reply_type")
    counts = ("parts_count", "unread_parts_count")
    moved = (
        "id",
        "user",
        "created",
        "last_update",
        "message",
        "assignee",
        "last_admin",
        "channel",
        "part_last",
        "tags",
    )
    return {
        "id": str(talk["id"]),
        "user_id": text_id(talk["user"]),
        "created_at": at(talk["created"]),
        "updated_at": at(talk["last_update"]),
        **{name: talk[name] for name in same + counts},
        "message_id": text_id(talk["message"]),
        "assignee_id": text_id(talk["assignee"]),
        "last_admin_id": text_id(talk["last_admin"]),
        "channel_id": text_id(talk.get("channel")),
        "part_last_id": text_id(talk.get("part_last")),
        "extra": without(talk, *same, *counts, *moved),
    }


def part_row(part):
    same = ("type", "body")
    moved = ("id", "created", "conversation", "from", "edited", "removed", "first", "assignee", "attachments")
    optional = ("sent_via", "read", "tag")
    author = part["from"]
    return {
        "id": str(part["id"]),
        "conversation_id": str(part["conversation"]),
        "created_at": at(part["created"]),
        **{name: part.get(name) for name in same + optional},
        "author_type": author["type"] if isinstance(author, dict) else "user",
        "author_id": text_id(author.get("id")) if isinstance(author, dict) else str(author),
        "is_first": part.get("first", False),
        "assignee_id": text_id(part.get("assignee")),
        "edited_at": at(part["edited"]),
        "removed_at": at(part["removed"]),
        "extra": without(part, *same, *moved, *optional),
    }


def file_row(part, file):
    same = ("filename", "mime_type", "size", "url", "type")
    return {
        "id": str(file["id"]),
        "part_id": str(part["id"]),
        "conversation_id": str(part["conversation"]),
        **{name: file[name] for name in same},
        "created_at": at(file["created"]),
        "extra": without(file, "id", "created", *same),
    }


def admins_in(value):
    """Every operator and bot that is named anywhere inside."""
    if isinstance(value, list):
        for item in value:
            yield from admins_in(item)
    elif isinstance(value, dict):
        if value.get("type") in ("admin", "bot") and "avatar" in value and "id" in value:
            yield value
        for name in ("part_last", "assignee", "last_admin", "from", "operators"):
            yield from admins_in(value.get(name))


def admin_row(admin):
    columns = ("name", "avatar", "type")
    return {"id": str(admin["id"]), **{c: admin[c] for c in columns}, "extra": without(admin, "id", *columns)}


def channel_row(channel):
    columns = ("name", "type", "avatar")
    extra = without(channel, "id", "operators", *columns)
    return {"id": str(channel["id"]), **{c: channel[c] for c in columns}, "extra": extra}


def active_row(user):
    columns = ("presence", "presence_details")
    return {"user_id": str(user["id"]), **{c: user[c] for c in columns}, "extra": without(user, "id", *columns)}


def details_row(user):
    columns = [name for name in DETAILS if name != "presence_details"]
    extra = without(user, "id", "user_id", "presence", "removed", "props", *columns)
    return {"user_id": str(user["id"]), **{c: user[c] for c in columns}, "extra": extra}


def in_order(table, rows):
    key = KEYS.get(table, ("id",))
    return sorted(rows, key=lambda row: [row[name] for name in key])


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes several seconds")


@pytest.fixture
def differences():
    """The tables in which what a reader sees is not the truth; empty when all agree."""

    def compare(reader):
        seen = reader.tables()
        truth = {table: list(reader.sim.truth.rows(table)) for table in reader.sim.truth.tables()}
        return {
            table: (in_order(table, truth[table])[:3], in_order(table, seen[table])[:3])
            for table in truth
            if in_order(table, truth[table]) != in_order(table, seen[table])
        }

    return compare


@pytest.fixture
def served():
    """Starts simulators behind real HTTP, small ones unless told, and hands out readers."""
    with ExitStack() as stack:

        def start(**settings):
            sim = Simulator(SimulatorSettings(**(SMALL | settings)))
            server = stack.enter_context(serve(sim))
            return Reader(sim, server.base_url, stack.enter_context(requests.Session()))

        yield start
