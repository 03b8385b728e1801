"""The eleven POST endpoints; each changes the world as the documents say."""

from __future__ import annotations

from typing import Any

from . import deeds
from .answers import Result, bad_request, invalid, not_found
from .arguments import unknown_choice
from .properties import MOST_OPERATIONS, apply_operations
from .reads import Call
from .records import Conversation, User

REPLY_TYPES = ("reply_admin", "note")
MESSAGE_TYPES = ("popup_chat", "popup_small", "popup_big", "email")
LONGEST_EVENT_NAME = 255
NOTHING = Result({})


def reply(call: Call) -> Result:
    """POST /conversations/{id}/reply."""
    talk, body = call.talk(), call.arguments.required("body")
    author = _author(call, talk)
    fields: dict[str, Any] = {"body": body, "random_id": call.arguments.identifier("random_id"), **author}
    if author["author_type"] == "user":
        part = call.world.add_part(talk, type="reply_user", sent_via="web_user", **fields)
        return _identified(call, part.id)
    kind = call.arguments.text("type") or "reply_admin"
    if kind not in REPLY_TYPES:
        raise unknown_choice("type", *REPLY_TYPES)
    assignee = _admin(call, "auto_assign")
    if assignee is not None:
        deeds.assign(call.world, talk, assignee, author["admin_id"])
    part = call.world.add_part(talk, type=kind, sent_via="web_panel", **fields)
    held = call.world.change_talk(talk)
    held.last_admin_id = author["admin_id"] or held.last_admin_id
    return _identified(call, part.id)


def _author(call: Call, talk: Conversation) -> dict[str, Any]:
    user_id = call.arguments.identifier("from_user")
    if user_id is not None:
        if user_id != call.world.owner_of(talk).id:
            raise not_found("from_user")
        return {"author_type": "user"}
    admin_id = _admin(call, "from_admin")
    if admin_id is None:
        return {"author_type": "default_admin", "admin_id": None}
    return {"author_type": call.world.admins[admin_id].type, "admin_id": admin_id}


def _admin(call: Call, name: str) -> int | None:
    admin_id = call.arguments.identifier(name)
    if admin_id is not None and admin_id not in call.world.admins:
        raise not_found(name)
    return admin_id


def _identified(call: Call, identifier: int) -> Result:
    return Result({"id": call.renderer.identifier(identifier)})


def mark_read(call: Call) -> Result:
    """POST /conversations/{id}/markread: no part, and no new last_update."""
    deeds.mark_read(call.world, call.talk())
    return NOTHING


def set_typing(call: Call) -> Result:
    """POST /conversations/{id}/settyping: nothing that lasts."""
    call.talk()
    _admin(call, "from_admin")
    return NOTHING


def assign(call: Call) -> Result:
    """POST /conversations/{id}/assign: an empty `admin` takes the conversation off everyone."""
    talk = call.talk()
    if call.arguments.text("admin") is None:
        raise invalid("admin", "This field is required; empty to unassign.")
    part = deeds.assign(call.world, talk, _admin(call, "admin"), _admin(call, "from_admin"))
    return NOTHING if part is None else _identified(call, part.id)


def tag(call: Call) -> Result:
    """POST /conversations/{id}/tag: doing it twice is fine."""
    talk, name = call.talk(), call.arguments.required("tag")
    action = call.arguments.text("action") or "add"
    if action not in ("add", "delete"):
        raise unknown_choice("action", "add", "delete")
    if "," in name:
        raise invalid("tag", "Must not contain commas.")
    deeds.tag(call.world, talk, name, action == "add", _admin(call, "from_admin"))
    return NOTHING


def close(call: Call) -> Result:
    """POST /conversations/{id}/close: closing a closed one changes nothing."""
    part = deeds.set_closed(call.world, call.talk(), True, _admin(call, "from_admin"))
    return NOTHING if part is None else _identified(call, part.id)


def track_event(call: Call) -> Result:
    """POST /users/{id}/events: `created` may be in the past; `$last_seen` stays."""
    user = _user_or_new(call)
    name = call.arguments.required("event", longest=LONGEST_EVENT_NAME)
    props = call.arguments.data("params", dict) or {}
    created = call.arguments.number("created")
    created_us = None if created is None else round(created * 1e6)
    if created_us is not None and created_us > call.world.clock.now_us():
        raise invalid("created", "Must not be in the future.")
    event = deeds.add_event(call.world, user, name, props, created_us)
    return _identified(call, event.id)


def _user_or_new(call: Call) -> User:
    if call.arguments.flag("by_user_id") and call.world.find_external(call.path_id) is None:
        return call.world.add_user(call.path_id, {}, {})
    return call.user()


def set_props(call: Call) -> Result:
    """POST /users/{id}/props: at most 250 operations; `$last_seen` stays."""
    operations = call.arguments.data("operations", list)
    if operations is None:
        raise invalid("operations", "This field is required.")
    if len(operations) > MOST_OPERATIONS:
        raise invalid("operations", f"More than {MOST_OPERATIONS} operations.")
    user = call.world.change_user(_user_or_new(call))
    outcome = apply_operations(user, operations)
    for name in outcome.deleted:
        call.world.graves.bury("user_props", [(str(user.id), name)])
    for name in outcome.affected:
        if name not in outcome.deleted:
            call.world.graves.raise_again("user_props", (str(user.id), name))
    call.world.user_changed(user)
    meta = {"affected_props": outcome.affected, "ignored_operations": outcome.ignored}
    return Result({}, meta=meta)


def set_presence(call: Call) -> Result:
    """POST /users/{id}/setpresence: a heartbeat, which moves `$last_seen`."""
    presence = call.arguments.required("presence")
    if presence not in ("online", "idle"):
        raise unknown_choice("presence", "online", "idle")
    deeds.be_present(call.world, _user_or_new(call), presence)
    return NOTHING


def send_message(call: Call) -> Result:
    """POST /users/{id}/sendmessage: a message from the app, which starts a conversation."""
    user, body = call.user(), call.arguments.required("body")
    kind = call.arguments.text("type") or "popup_chat"
    if kind not in MESSAGE_TYPES:
        raise unknown_choice("type", *MESSAGE_TYPES)
    message_id = next(call.world.numbers)
    talk = call.world.add_talk(user, kind, message_id, None)
    call.world.add_part(talk, type="reply_admin", body=body, sent_via="message_manual")
    identifier = call.renderer.identifier
    return Result({"conversation": identifier(talk.id), "message": identifier(message_id)})


def start_conversation(call: Call) -> Result:
    """POST /users/{id}/startconversation: the visitor's own first words."""
    body = call.arguments.text("body")
    if not body and not call.arguments.text("file"):
        raise bad_request("body or file is needed")
    random_id = call.arguments.identifier("random_id")
    talk = deeds.start_conversation(call.world, _user_or_new(call), body or "", random_id)
    return _identified(call, talk.id)
