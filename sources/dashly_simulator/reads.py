"""The nine GET endpoints."""

from __future__ import annotations

from collections.abc import Iterator

from .answers import Result, invalid, not_found
from .arguments import Arguments, parse_identifier
from .ids import LOW_MASK
from .paging import DEFAULT_COUNT, LARGEST_COUNT, Pager, Spot, cut_page
from .records import Conversation, Event, User
from .render import DETAIL_FLAGS, Renderer
from .world import World


class Call:
    """One request that passed the gate: the world, its arguments, and the id in its path."""

    def __init__(self, world: World, arguments: Arguments, path_id: str, version: str) -> None:
        self.world = world
        self.arguments = arguments
        self.path_id = path_id
        self.version = version
        self.renderer = Renderer(world, arguments.flag("id_as_string"))
        self.pager = Pager(world.settings, arguments, version)

    def user(self) -> User:
        """The user in the path, named by id or, with `by_user_id=true`, by the customer's own id."""
        if self.arguments.flag("by_user_id"):
            user = self.world.find_external(self.path_id)
        else:
            user = self.world.find_user(parse_identifier("id", self.path_id))
        if user is None:
            raise not_found("user")
        return user

    def talk(self) -> Conversation:
        """The conversation in the path."""
        talk = self.world.find_talk(parse_identifier("id", self.path_id))
        if talk is None:
            raise not_found("conversation")
        return talk


def list_users(call: Call) -> Result:
    """GET /apps/{id}/users: by `$last_seen`, newest first, users never seen last."""
    _refuse_unsimulated(call.arguments)
    index = call.world.user_index
    index.catch_up(call.world.clock.now_us())
    if call.world.settings.users_dialect == "offset" or call.version != "v1":
        return _users_by_offset(call)
    spot = call.pager.spot(lambda identifier: identifier & LOW_MASK)
    rows = index.order.below(*spot) if spot is not None else index.order.below(None)
    shown = ((place, user) for place in rows if (user := index.shown(place[1])) is not None)
    page = cut_page(shown, call.pager.count, call.world.settings)
    result = call.pager.by_time(page, call.renderer.user_row, lambda user: int(user.id))
    return Result({"users": result.data, "total": len(index.order)}, token_name=result.token_name, token=result.token)


def _users_by_offset(call: Call) -> Result:
    index = call.world.user_index
    limit = call.arguments.integer("limit", DEFAULT_COUNT, 0, LARGEST_COUNT)
    offset = call.arguments.integer("offset", 0, 0, 2**53)
    users = [user for place in index.order.at(offset, limit) if (user := index.shown(place)) is not None]
    return Result({"users": [call.renderer.user_row(user) for user in users], "total": len(index.order)})


def _refuse_unsimulated(arguments: Arguments) -> None:
    if arguments.text("filters"):
        raise invalid("filters", "The simulator has no filters.")
    if arguments.text("sort_prop") not in (None, "$last_seen"):
        raise invalid("sort_prop", "The simulator sorts by $last_seen only.")
    if arguments.text("sort_order") not in (None, "desc"):
        raise invalid("sort_order", "The simulator sorts desc only.")


def list_active_users(call: Call) -> Result:
    """GET /apps/{id}/activeusers: everyone who is online or idle now, on one page."""
    found = (call.world.user(index) for index in sorted(call.world.active, reverse=True))
    return Result([call.renderer.active_user(user) for user in found if user is not None])


def list_channels(call: Call) -> Result:
    """GET /apps/{id}/channels: all of them, on one page."""
    return Result([call.renderer.channel(channel) for channel in call.world.channels.values()])


def list_conversations(call: Call) -> Result:
    """GET /apps/{id}/conversations: by last update, newest first; unassigned ones only when asked for."""
    world, spot = call.world, call.pager.spot(call.world.talks.index_of)
    wanted = _ConversationFilter(call.arguments)
    places = world.talk_order.below(*spot) if spot is not None else world.talk_order.below(None)
    rows = ((place, talk) for place in places if (talk := world.talk(place[1])) and wanted.accepts(talk))
    return _conversations(call, rows, with_user=True)


class _ConversationFilter:
    def __init__(self, arguments: Arguments) -> None:
        self._closed = arguments.flag("closed") if arguments.text("closed") is not None else None
        self._assigned = arguments.integer("assigned", -1, 0, 2**63)
        self._with_unassigned = arguments.flag("include_not_assigned")
        self._tags = set(arguments.words("tags"))
        self._channel = arguments.integer("channel", -1, 0, 2**63)

    def accepts(self, talk: Conversation) -> bool:
        """Whether the conversation is in the list that was asked for."""
        return (
            self._closed in (None, talk.closed)
            and self._accepts_assignee(talk.assignee_id)
            and self._tags <= set(talk.tags)
            and self._channel in (-1, talk.channel_id or 0)
        )

    def _accepts_assignee(self, assignee_id: int | None) -> bool:
        if assignee_id is None:
            return self._with_unassigned
        return self._assigned in (-1, assignee_id)


def _conversations(call: Call, rows: Iterator[tuple[Spot, Conversation]], with_user: bool) -> Result:
    page = cut_page(rows, call.pager.count, call.world.settings)
    with_channel = call.world.settings.conversation_channel
    return call.pager.by_time(
        page, lambda talk: call.renderer.conversation(talk, with_user, with_channel), lambda talk: int(talk.id)
    )


def get_conversation(call: Call) -> Result:
    """GET /conversations/{id}."""
    return Result(call.renderer.conversation(call.talk()))


def list_parts(call: Call) -> Result:
    """GET /conversations/{id}/parts: by id, newest first."""
    talk = call.talk()
    rows = ((part.id, part) for part in call.world.parts_of(talk, call.pager.identifier()))
    page = cut_page(rows, call.pager.count, call.world.settings)
    return call.pager.by_id(page, lambda part: call.renderer.part(talk, part))


def get_user(call: Call) -> Result:
    """GET /users/{id}: system properties, and what else is asked for."""
    wanted = [name for name in DETAIL_FLAGS if call.arguments.flag(name)]
    return Result(call.renderer.user_details(call.user(), wanted, call.arguments.flag("props", default=True)))


def list_events(call: Call) -> Result:
    """GET /users/{id}/events: by id, newest first; `filter_name` keeps events of one name."""
    user, name = call.user(), call.arguments.text("filter_name")
    events: Iterator[Event] = call.world.events_of(user, call.pager.identifier())
    rows = ((event.id, event) for event in events if not name or event.type.name == name)
    page = cut_page(rows, call.pager.count, call.world.settings)
    return call.pager.by_id(page, lambda event: call.renderer.event(user, event))


def list_user_conversations(call: Call) -> Result:
    """GET /users/{id}/conversations: by last update, newest first; assigned or not, and without the user."""
    spot = call.pager.spot(call.world.talks.index_of)
    talks = call.world.talks_of(call.user())
    rows = (((talk.last_update_us, talk.index), talk) for talk in talks)
    return _conversations(call, (row for row in rows if spot is None or row[0] < spot), with_user=False)
