"""What people do in the account: rules shared by the API's writes and by simulated life."""

from __future__ import annotations

from typing import Any

from .records import Conversation, Event, Part, User
from .world import World


def _by_admin(world: World, admin_id: int | None) -> dict[str, Any]:
    if admin_id is None:
        return {"author_type": "default_admin"}
    return {"author_type": world.admins[admin_id].type, "admin_id": admin_id}


def add_event(
    world: World, user: User, name: str, props: dict[str, Any], created_us: int | None = None, is_visit: bool = False
) -> Event:
    """A new event; only a visit moves `$last_seen`."""
    user = world.change_user(user)
    event = world.add_event(user, name, props, created_us)
    if is_visit:
        user.last_seen_us, user.presence = world.clock.now_us(), "online"
    world.user_changed(user)
    return event


def be_present(world: World, user: User, presence: str) -> None:
    """A heartbeat: the user is on the site now."""
    user = world.change_user(user)
    user.last_seen_us, user.presence = world.clock.now_us(), presence
    world.user_changed(user)


def leave(world: World, user: User) -> None:
    """The user goes offline; `$last_seen` stays."""
    user = world.change_user(user)
    user.presence = "offline"
    world.user_changed(user)


def start_conversation(world: World, user: User, body: str, random_id: int | None = None) -> Conversation:
    """A conversation that the user begins."""
    talk = world.add_talk(user, "popup_chat", None, 5)
    world.add_part(
        talk, type="reply_user", body=body, sent_via="web_user", author_type="user", random_id=random_id, read=False
    )
    return talk


def assign(world: World, talk: Conversation, admin_id: int | None, by_admin: int | None) -> Part | None:
    """Assign the conversation, or take it off everyone; None when that changes nothing."""
    talk = world.change_talk(talk)
    if talk.assignee_id == admin_id:
        return None
    talk.assignee_id = admin_id
    return world.add_part(talk, type="assigned", assignee_id=admin_id, **_by_admin(world, by_admin))


def tag(world: World, talk: Conversation, name: str, add: bool, by_admin: int | None) -> Part | None:
    """Put a tag on the conversation or take it off; None when that changes nothing."""
    if not set_tag(world, talk, name, add):
        return None
    kind = "tag_added" if add else "tag_deleted"
    return world.add_part(talk, type=kind, tag=name, **_by_admin(world, by_admin))


def set_tag(world: World, talk: Conversation, name: str, add: bool) -> bool:
    """Change the tags themselves, without a part; False when that changes nothing."""
    talk = world.change_talk(talk)
    if (name in talk.tags) == add:
        return False
    key = (str(talk.id), name)
    if add:
        talk.tags.append(name)
        world.graves.raise_again("conversation_tags", key)
    else:
        talk.tags.remove(name)
        world.graves.bury("conversation_tags", [key])
    return True


def set_closed(world: World, talk: Conversation, closed: bool, by_admin: int | None) -> Part | None:
    """Close or reopen the conversation; None when that changes nothing."""
    talk = world.change_talk(talk)
    if talk.closed == closed:
        return None
    talk.closed = closed
    return world.add_part(talk, type="closed" if closed else "opened", **_by_admin(world, by_admin))


def mark_read(world: World, talk: Conversation) -> None:
    """The visitor has read everything; no part says so."""
    talk = world.change_talk(talk)
    talk.read, talk.unread_parts = True, 0


def merge_users(world: World, source: User, target: User) -> None:
    """Make `source` a part of `target`, who gets its events, its conversations and the properties it had not."""
    source, target = world.change_user(source), world.change_user(target)
    for talk in world.talks_of(source):
        world.give_talk(talk, target)
    world.move_events(source, target)
    target.props = source.props | target.props
    target.props_custom = source.props_custom | target.props_custom
    target.last_seen_us = max(source.last_seen_us or 0, target.last_seen_us or 0) or None
    world.add_event(target, "$user_merged", {"$merged_user_id": source.id})
    world.user_changed(target)
    if world.settings.merged_users == "gone":
        world.drop_user(source)
        return
    source.removed_us, source.presence = world.clock.now_us(), "offline"
    world.user_changed(source)
