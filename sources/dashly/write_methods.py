"""The eleven POST methods of the Web API.

All of them cost one request of the shared budget; a value that the API would refuse raises `InvalidArgument` and costs
none. A request whose answer did not come raises `Uncertain` and is not sent again: it may have taken effect. Ids come
back as text (`id_as_string`). Which methods there are is from the vendor's page (dashly-web-api.txt, Methods); their
parameters are from api-reference.md, section 8, and from the pages that it names there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from dashly.arguments import (
    Id,
    given,
    identifier,
    json_of,
    object_of,
    one_of,
    text,
    unix_seconds,
    user_in_path,
    whole,
    without_comma,
)
from dashly.endpoints import CLOCK_AHEAD_SECONDS
from dashly.envelope import Answer
from dashly.errors import InvalidArgument
from dashly.web_api import (
    LARGEST_RANDOM_ID,
    LONGEST_NAME,
    MESSAGE_TYPES,
    MOST_OPERATIONS,
    PRESENCES,
    REPLY_TYPES,
    SESSION_CHARACTERS,
    Operation,
    PropsChange,
)
from dashly_state.clock import Clock


class WriteMethods(ABC):
    """Writes; `DashlyClient` brings the way to send.

    Attributes:
        clock: What time it is.
    """

    clock: Clock

    @abstractmethod
    def post(self, path: str, form: Mapping[str, str], where: str = "") -> Answer:
        """Returns the answer to one POST."""

    # ---- conversations

    def reply(
        self,
        conversation_id: Id,
        body: str,
        *,
        from_admin: Id | None = None,
        from_user: Id | None = None,
        type: str = "reply_admin",  # noqa: A002 - the API's own name
        random_id: int | None = None,
        auto_assign: Id | None = None,
        auto_assign_random_id: int | None = None,
    ) -> str:
        """Returns the id of the new part: POST /conversations/{id}/reply.

        Args:
            conversation_id: Of the conversation.
            body: The text.
            from_admin: Who replies; the app's default admin when neither this nor `from_user` is given.
            from_user: The conversation's own user, in whose name it is sent; needs the right `as-user`.
            type: `reply_admin`, or `note`, which the user never sees.
            random_id: A number of yours, by which the part is known again in real-time messages.
            auto_assign: The conversation is first assigned to this admin.
            auto_assign_random_id: A number of yours for the part that says so.

        Raises:
            Uncertain: It may have been sent; see above.
            RecordGone: The API does not know one of the ids.
            DashlyError: `InvalidArgument` for a value; else what the API says, see `dashly.errors`.
        """
        if from_admin is not None and from_user is not None:
            raise InvalidArgument("a reply is from_admin and from_user at once", "Give one of them")
        if from_user is not None and type != "reply_admin":
            raise InvalidArgument(f"a user's reply is given the type {type!r}", "Leave the type out: it is for admins")
        form = given(
            body=text("body", body),
            from_admin=_id("from_admin", from_admin),
            from_user=_id("from_user", from_user),
            type=one_of("type", type, REPLY_TYPES) if from_user is None else None,
            random_id=_random("random_id", random_id),
            auto_assign=_id("auto_assign", auto_assign),
            auto_assign_random_id=_random("auto_assign_random_id", auto_assign_random_id),
        )
        return _id_of(self._in_conversation(conversation_id, "reply", form))

    def mark_read(self, conversation_id: Id) -> None:
        """Marks a conversation as read by its user: POST /conversations/{id}/markread.

        Raises:
            Uncertain: It may be done; doing it again does no harm.
            RecordGone: The API does not know the id.
            DashlyError: `InvalidArgument` for a value; else what the API says, see `dashly.errors`.
        """
        self._in_conversation(conversation_id, "markread", {})

    def set_typing(
        self,
        conversation_id: Id,
        *,
        body: str | None = None,
        from_admin: Id | None = None,
        from_user: Id | None = None,
        bot_name: str | None = None,
    ) -> None:
        """Shows that somebody is typing: POST /conversations/{id}/settyping. Nothing stays of it.

        Args:
            conversation_id: Of the conversation.
            body: What has been typed so far.
            from_admin: Who types.
            from_user: The conversation's own user, who types.
            bot_name: The name of a bot that types.

        Raises:
            Uncertain: It may be done; doing it again does no harm.
            RecordGone: The API does not know one of the ids.
            DashlyError: `InvalidArgument` for a value; else what the API says, see `dashly.errors`.
        """
        if sum(who is not None for who in (from_admin, from_user, bot_name)) > 1:
            raise InvalidArgument("more than one is typing at once", "Give one of from_admin, from_user and bot_name")
        form = given(
            body=None if body is None else text("body", body),
            from_admin=_id("from_admin", from_admin),
            from_user=_id("from_user", from_user),
            bot_name=None if bot_name is None else text("bot_name", bot_name),
        )
        self._in_conversation(conversation_id, "settyping", form)

    def assign(
        self, conversation_id: Id, admin: Id | None, *, from_admin: Id | None = None, random_id: int | None = None
    ) -> None:
        """Assigns a conversation: POST /conversations/{id}/assign.

        Args:
            conversation_id: Of the conversation.
            admin: To whom; None takes it off everybody.
            from_admin: Who does it.
            random_id: A number of yours for the part that says so.

        Raises:
            Uncertain: It may be done; doing it again changes nothing more.
            RecordGone: The API does not know one of the ids.
            DashlyError: `InvalidArgument` for a value; else what the API says, see `dashly.errors`.
        """
        whom = {"admin": "" if admin is None else identifier("admin", admin)}
        self._in_conversation(conversation_id, "assign", {**whom, **_by_whom(from_admin, random_id)})

    def tag(
        self,
        conversation_id: Id,
        tag: str,
        *,
        action: str = "add",
        from_admin: Id | None = None,
        random_id: int | None = None,
    ) -> None:
        """Puts a tag on a conversation, or takes it off: POST /conversations/{id}/tag.

        Args:
            conversation_id: Of the conversation.
            tag: Without a comma.
            action: `add` or `delete`.
            from_admin: Who does it.
            random_id: A number of yours for the part that says so.

        Raises:
            Uncertain: It may be done; doing it again changes nothing more.
            RecordGone: The API does not know one of the ids.
            DashlyError: `InvalidArgument` for a value; else what the API says, see `dashly.errors`.
        """
        form = {"tag": without_comma("tag", tag), "action": one_of("action", action, ("add", "delete"))}
        self._in_conversation(conversation_id, "tag", {**form, **_by_whom(from_admin, random_id)})

    def close_conversation(
        self, conversation_id: Id, *, from_admin: Id | None = None, random_id: int | None = None
    ) -> None:
        """Closes a conversation: POST /conversations/{id}/close.

        Plain `close` closes the client.

        Args:
            conversation_id: Of the conversation.
            from_admin: Who does it.
            random_id: A number of yours for the part that says so.

        Raises:
            Uncertain: It may be done; doing it again changes nothing more.
            RecordGone: The API does not know one of the ids.
            DashlyError: `InvalidArgument` for a value; else what the API says, see `dashly.errors`.
        """
        self._in_conversation(conversation_id, "close", _by_whom(from_admin, random_id))

    # ---- users

    def track_event(
        self,
        user_id: Id,
        event: str,
        params: Mapping[str, Any] | None = None,
        *,
        created: datetime | None = None,
        by_user_id: bool = False,
    ) -> str:
        """Returns the id of the new event: POST /users/{id}/events.

        Args:
            user_id: Dashly's id.
            event: Its name, 255 characters at most; one that begins with `$` is the system's.
            params: What JSON can hold; a time is text in ISO 8601.
            created: When it happened, with a time zone; now when None. With it the event triggers nothing: no
                automatic message, no bot.
            by_user_id: `user_id` is the customer's own id, and a user whom Dashly does not know is made.

        Raises:
            Uncertain: The event may be there; sent again it would be there twice.
            RecordGone: The API does not know the user.
            DashlyError: `InvalidArgument` for a value; else what the API says, see `dashly.errors`.
        """
        latest = datetime.fromtimestamp(self.clock.now(), UTC) + timedelta(seconds=CLOCK_AHEAD_SECONDS)
        form = given(
            event=text("event", event, longest=LONGEST_NAME),
            params=None if params is None else object_of("params", params),
            created=None if created is None else unix_seconds("created", created, latest),
        )
        return _id_of(self._to_user(user_id, "events", form, by_user_id=by_user_id))

    def set_user_props(self, user_id: Id, operations: Sequence[Operation], *, by_user_id: bool = False) -> PropsChange:
        """Returns what changed of a user's properties: POST /users/{id}/props.

        Args:
            user_id: Dashly's id.
            operations: 1 to 250, carried out in their order.
            by_user_id: `user_id` is the customer's own id, and a user whom Dashly does not know is made.

        Raises:
            Uncertain: It may be done; doing it again is harmless but for `add` and `append`.
            RecordGone: The API does not know the user.
            DashlyError: `InvalidArgument` for a value; else what the API says, see `dashly.errors`.
        """
        whole("the number of operations", len(operations), 1, MOST_OPERATIONS)
        written = json_of("operations", [operation.to_json() for operation in operations])
        meta = self._to_user(user_id, "props", {"operations": written}, by_user_id=by_user_id).envelope.meta
        affected, ignored = meta.get("affected_props") or (), meta.get("ignored_operations") or ()
        return PropsChange(tuple(affected), tuple(ignored))

    def set_presence(self, user_id: Id, presence: str, *, session: str | None = None) -> None:
        """Sends a heartbeat, which moves the user's `$last_seen`: POST /users/{id}/setpresence.

        Args:
            user_id: Dashly's id.
            presence: `online` or `idle`.
            session: Of the visit, 32 characters.

        Raises:
            Uncertain: It may be done; doing it again does no harm.
            RecordGone: The API does not know the user.
            DashlyError: `InvalidArgument` for a value; else what the API says, see `dashly.errors`.
        """
        if session is not None and len(text("session", session)) != SESSION_CHARACTERS:
            raise InvalidArgument(f"session has {len(session)} characters", f"It has to have {SESSION_CHARACTERS}")
        form = given(presence=one_of("presence", presence, PRESENCES), session=session)
        self._to_user(user_id, "setpresence", form)

    def send_message(
        self,
        user_id: Id,
        body: str,
        *,
        type: str = "popup_chat",  # noqa: A002 - the API's own name
    ) -> dict[str, str]:
        """Returns the ids of the new `conversation` and of the `message`: POST /users/{id}/sendmessage.

        The user gets it at once; in the inbox it appears when the user answers.

        Args:
            user_id: Dashly's id: /v1 takes no other here.
            body: The text.
            type: `popup_chat`, `popup_small`, `popup_big` or `email`.

        Raises:
            Uncertain: The user may have got it; sent again it would come twice.
            RecordGone: The API does not know the user.
            DashlyError: `InvalidArgument` for a value; else what the API says, see `dashly.errors`.
        """
        form = {"body": text("body", body), "type": one_of("type", type, MESSAGE_TYPES)}
        answer = self._to_user(user_id, "sendmessage", form)
        return {name: _id_of(answer, name) for name in ("conversation", "message")}

    def start_conversation(
        self,
        user_id: Id,
        body: str,
        *,
        random_id: int | None = None,
        referrer: str | None = None,
        by_user_id: bool = False,
    ) -> str:
        """Returns the id of a new conversation that the user seems to have begun: POST /users/{id}/startconversation.

        A file, which the API takes here too, cannot be sent.

        Args:
            user_id: Dashly's id.
            body: The user's first words.
            random_id: A number of yours, by which the part is known again in real-time messages.
            referrer: Address of the page on which it begins.
            by_user_id: `user_id` is the customer's own id, and a user whom Dashly does not know is made.

        Raises:
            Uncertain: It may have begun; sent again there would be two.
            RecordGone: The API does not know the user.
            DashlyError: `InvalidArgument` for a value; else what the API says, see `dashly.errors`.
        """
        form = given(
            body=text("body", body),
            random_id=_random("random_id", random_id),
            referrer=None if referrer is None else text("referrer", referrer),
        )
        return _id_of(self._to_user(user_id, "startconversation", form, by_user_id=by_user_id))

    def _in_conversation(self, conversation_id: Id, what: str, form: Mapping[str, str]) -> Answer:
        path = f"/conversations/{identifier('conversation_id', conversation_id)}/{what}"
        return self.post(path, {"id_as_string": "true", **form}, what)

    def _to_user(self, user_id: Id, what: str, form: Mapping[str, str], *, by_user_id: bool = False) -> Answer:
        path = f"/users/{user_in_path(user_id, by_user_id=by_user_id)}/{what}"
        named = {"by_user_id": "true"} if by_user_id else {}
        return self.post(path, {"id_as_string": "true", **named, **form}, what)


def _id_of(answer: Answer, key: str = "id") -> str:
    """Returns the id in the answer; empty when it has none, as the write took effect all the same."""
    data = answer.envelope.data
    return str(data.get(key) or "") if isinstance(data, Mapping) else ""


def _id(name: str, value: Id | None) -> str | None:
    return None if value is None else identifier(name, value)


def _random(name: str, value: int | None) -> str | None:
    return None if value is None else whole(name, value, 0, LARGEST_RANDOM_ID)


def _by_whom(from_admin: Id | None, random_id: int | None) -> dict[str, str]:
    return given(from_admin=_id("from_admin", from_admin), random_id=_random("random_id", random_id))
