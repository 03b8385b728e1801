"""The nine GET methods of the Web API, one page or one record a call.

All of them cost one request of the shared budget, and one more for each retry; a value that the API would refuse raises
`InvalidArgument` and costs none. Ids come back as text (`id_as_string`). Which methods there are is from the vendor's
page (dashly-web-api.txt, Methods); their parameters are from api-reference.md, sections 4 to 7.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from dashly.arguments import (
    Id,
    comma_joined,
    given,
    identifier,
    object_of,
    one_of,
    text,
    truth,
    user_in_path,
    whole,
)
from dashly.envelope import Answer
from dashly.errors import ApiChanged
from dashly.paging import PAGE_RECORDS, Page, next_token, page_params, records_in
from dashly.web_api import USER_FIELDS


class ReadMethods(ABC):
    """Reads; `DashlyClient` brings the way to send.

    Attributes:
        app_id: In `/apps/{id}/...`; `$self_app` is the token's own.
    """

    app_id: str

    @abstractmethod
    def get(self, path: str, params: Mapping[str, str], where: str = "") -> Answer:
        """Returns the answer to one GET."""

    # ---- apps

    def list_users(
        self,
        *,
        filters: Mapping[str, Any] | None = None,
        sort_prop: str | None = None,
        sort_order: str | None = None,
        count: int = PAGE_RECORDS,
        after: str | None = None,
    ) -> Page:
        """Returns a page of users (leads), last seen first: GET /apps/{id}/users.

        The list lags by some minutes, and holds system properties only; custom ones are in `get_user`.

        Args:
            filters: `{"type": "and", "filters": [{"property_name": ..., "type": ..., "value": ...}]}`.
            sort_prop: A property; `$last_seen` when None.
            sort_order: `asc` or `desc`, which it is when None.
            count: 1 to 50.
            after: `next_token` of the page before; None is the head of the list.

        Raises:
            DashlyError: `InvalidArgument` for a value; else what the API says, see `dashly.errors`.
        """
        wanted = given(
            filters=None if filters is None else object_of("filters", filters),
            sort_prop=None if sort_prop is None else text("sort_prop", sort_prop),
            sort_order=None if sort_order is None else one_of("sort_order", sort_order, ("asc", "desc")),
        )
        return self._page(f"{self._app}/users", "users", wanted, count, after, may_offset=True)

    def list_active_users(self) -> Page:
        """Returns who is on the site now, on one page: GET /apps/{id}/activeusers.

        Raises:
            DashlyError: What the API says, see `dashly.errors`.
        """
        return self._page(f"{self._app}/activeusers", "active_users", {}, PAGE_RECORDS, None)

    def list_conversations(
        self,
        *,
        closed: bool | None = None,
        assigned: Id | None = None,
        include_not_assigned: bool = True,
        tags: Sequence[str] = (),
        channel: Id | None = None,
        count: int = PAGE_RECORDS,
        after: str | None = None,
    ) -> Page:
        """Returns a page of the app's conversations, last updated first: GET /apps/{id}/conversations.

        Args:
            closed: Only closed or only open ones; both when None.
            assigned: Only those of this admin.
            include_not_assigned: Those of nobody, too. The API's own default leaves them out.
            tags: Only those that have all of these tags.
            channel: Only those of this channel.
            count: 1 to 50.
            after: `next_token` of the page before; None is the head of the list.

        Raises:
            DashlyError: `InvalidArgument` for a value; else what the API says, see `dashly.errors`.
        """
        wanted = given(
            closed=None if closed is None else truth("closed", closed),
            assigned=None if assigned is None else identifier("assigned", assigned),
            include_not_assigned=truth("include_not_assigned", include_not_assigned),
            tags=comma_joined("tags", tags) if tags else None,
            channel=None if channel is None else identifier("channel", channel),
        )
        return self._page(f"{self._app}/conversations", "conversations", wanted, count, after)

    def list_channels(self) -> Page:
        """Returns the app's channels, on one page: GET /apps/{id}/channels.

        Raises:
            DashlyError: What the API says, see `dashly.errors`.
        """
        return self._page(f"{self._app}/channels", "channels", {}, PAGE_RECORDS, None)

    # ---- conversations

    def get_conversation(self, conversation_id: Id) -> dict[str, Any]:
        """Returns a conversation: GET /conversations/{id}.

        Raises:
            RecordGone: The API does not know the id.
            DashlyError: `InvalidArgument` for a value; else what the API says, see `dashly.errors`.
        """
        return self._record(f"/conversations/{identifier('conversation_id', conversation_id)}", "conversation", {})

    def list_parts(self, conversation_id: Id, *, count: int = PAGE_RECORDS, after: str | None = None) -> Page:
        """Returns a page of a conversation's parts, newest first: GET /conversations/{id}/parts.

        Args:
            conversation_id: Of the conversation.
            count: 1 to 50.
            after: `next_token` of the page before; None is the newest.

        Raises:
            RecordGone: The API does not know the id.
            DashlyError: `InvalidArgument` for a value; else what the API says, see `dashly.errors`.
        """
        path = f"/conversations/{identifier('conversation_id', conversation_id)}/parts"
        return self._page(path, "parts", {}, count, after)

    # ---- users

    def get_user(
        self, user_id: Id, *, fields: Sequence[str] = USER_FIELDS, props: bool = True, by_user_id: bool = False
    ) -> dict[str, Any]:
        """Returns a user: GET /users/{id}.

        Args:
            user_id: Dashly's id.
            fields: What the API leaves out unless asked: of `USER_FIELDS`, all by default.
            props: System properties.
            by_user_id: `user_id` is the customer's own id. One page of the documents says that an unknown one is made.

        Raises:
            RecordGone: The API does not know the id.
            DashlyError: `InvalidArgument` for a value; else what the API says, see `dashly.errors`.
        """
        path = f"/users/{user_in_path(user_id, by_user_id=by_user_id)}"
        wanted = {one_of("fields", field, USER_FIELDS): "true" for field in fields}
        return self._record(path, "user", {**wanted, "props": truth("props", props), **_by(by_user_id)})

    def list_events(
        self,
        user_id: Id,
        *,
        filter_name: str | None = None,
        by_user_id: bool = False,
        count: int = PAGE_RECORDS,
        after: str | None = None,
    ) -> Page:
        """Returns a page of a user's events, newest first: GET /users/{id}/events.

        Args:
            user_id: Dashly's id.
            filter_name: Only events of this name.
            by_user_id: `user_id` is the customer's own id.
            count: 1 to 50.
            after: `next_token` of the page before; None is the newest.

        Raises:
            RecordGone: The API does not know the id.
            DashlyError: `InvalidArgument` for a value; else what the API says, see `dashly.errors`.
        """
        wanted = given(filter_name=None if filter_name is None else text("filter_name", filter_name))
        path = f"/users/{user_in_path(user_id, by_user_id=by_user_id)}/events"
        return self._page(path, "events", {**wanted, **_by(by_user_id)}, count, after)

    def list_user_conversations(
        self, user_id: Id, *, by_user_id: bool = False, count: int = PAGE_RECORDS, after: str | None = None
    ) -> Page:
        """Returns a page of a user's conversations, last updated first: GET /users/{id}/conversations.

        Unlike `list_conversations` it has messages, too, that the user never answered.

        Args:
            user_id: Dashly's id.
            by_user_id: `user_id` is the customer's own id.
            count: 1 to 50.
            after: `next_token` of the page before; None is the head of the list.

        Raises:
            RecordGone: The API does not know the id.
            DashlyError: `InvalidArgument` for a value; else what the API says, see `dashly.errors`.
        """
        path = f"/users/{user_in_path(user_id, by_user_id=by_user_id)}/conversations"
        return self._page(path, "conversations", _by(by_user_id), count, after)

    # ---- all of them

    def every(self, list_method: Callable[..., Page], *args: Any, **options: Any) -> Iterator[Mapping[str, Any]]:
        """Yields every record of a list, page after page: `every(client.list_parts, conversation_id)`.

        Costs one request per page. A record that changes meanwhile may come twice, or not at all in a list that is in
        order of change; what a warehouse needs is `dashly-sync run`.

        Args:
            list_method: One of the methods that return a page.
            args: Its own.
            options: Its own, such as `filter_name`.

        Raises:
            DashlyError: As the list method does.
        """
        after: str | None = None
        while True:
            page = list_method(*args, **options, after=after)
            yield from page.records
            after = page.next_token
            if after is None:
                return

    @property
    def _app(self) -> str:
        return f"/apps/{self.app_id}"

    def _page(
        self,
        path: str,
        name: str,
        wanted: Mapping[str, str],
        count: int,
        after: str | None,
        *,
        may_offset: bool = False,
    ) -> Page:
        whole("count", count, 1, PAGE_RECORDS)
        paging = page_params(None if after is None else text("after", after), may_offset=may_offset, asked=count)
        answer = self.get(path, {"id_as_string": "true", **wanted, **paging}, name)
        records = records_in(answer.envelope, name, path)
        following = next_token(answer.envelope, len(records), after, path, may_offset=may_offset, asked=count)
        return Page(records, following, answer.fetched_at)

    def _record(self, path: str, name: str, wanted: Mapping[str, str]) -> dict[str, Any]:
        data = self.get(path, {"id_as_string": "true", **wanted}, name).envelope.data
        if not isinstance(data, dict):
            raise ApiChanged(f"{path}: no {name} in the answer; `data` is {type(data).__name__}")
        return data


def _by(by_user_id: bool) -> dict[str, str]:
    return {"by_user_id": "true"} if by_user_id else {}
