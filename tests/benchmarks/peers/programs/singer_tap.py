"""A tap for the Dashly Web API on Meltano's singer-sdk; runs in an environment that has `singer-sdk`.

Without `stop_early` it is what the SDK makes of a list that cannot be asked for "since": all parents and all their
children, every run. With it, each stream overrides `get_records` and stops where the bookmark says that the rest is
known, and the SDK's back-off is given the patience for a window of a minute.
"""

# ruff: noqa: ARG002 - the signatures are the SDK's

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Any

from singer_sdk import RESTStream, Tap
from singer_sdk import typing as th
from singer_sdk.authenticators import APIKeyAuthenticator
from singer_sdk.pagination import JSONPathPaginator

Record = dict[str, Any]
NUMBER, TEXT, YES = th.IntegerType, th.StringType, th.BooleanType
ID = th.CustomType({"type": ["string", "integer"]})
OBJECT = th.CustomType({"type": ["object", "null"]})
TAGS = th.CustomType({"type": ["array", "null"], "items": {"type": "string"}})
PATIENT_TRIES = 10
"""With waits of 1, 2, 4, … 60 s: longer than a window of a minute."""


class DashlyStream(RESTStream[Any]):
    """What all four streams have in common."""

    records_jsonpath = "$.data[*]"
    primary_keys = ("id",)
    is_sorted = False
    """Newest first; the SDK can resume only what comes oldest first."""
    params: Record = {}  # noqa: RUF012 - the SDK's classes are configured like this

    @property
    def url_base(self) -> str:
        return str(self.config["base_url"])

    @property
    def authenticator(self) -> APIKeyAuthenticator:
        return APIKeyAuthenticator(key="auth_token", value=self.config["auth_token"], location="params")

    def get_new_paginator(self) -> JSONPathPaginator:
        return JSONPathPaginator("$.meta.next_after")

    def get_url_params(self, context: Any, next_page_token: Any) -> Record:
        after = {} if next_page_token is None else {"after": next_page_token}
        return {"count": 50, "id_as_string": "true", **self.params, **after}

    def parse_response(self, response: Any) -> Iterable[Record]:
        return map(self.shaped, super().parse_response(response))

    def shaped(self, record: Record) -> Record:
        """The record with a replication key that can be compared; ids come as text or as numbers."""
        return {**record, "id": int(record["id"])}

    def get_records(self, context: Any) -> Iterable[Record]:
        known = self.get_starting_replication_key_value(context) if self.config["stop_early"] else None
        for record in super().get_records(context):
            value = record[self.replication_key]
            if known is not None and value is not None and value < known:
                return
            yield record

    def backoff_max_tries(self) -> int:
        return PATIENT_TRIES if self.config["stop_early"] else super().backoff_max_tries()

    def backoff_wait_generator(self) -> Generator[float, None, None]:
        if not self.config["stop_early"]:
            return super().backoff_wait_generator()
        return (min(2.0**number, 60.0) for number in range(PATIENT_TRIES))


class Users(DashlyStream):
    """Leads, by when they were last seen."""

    name = "users"
    path = "/apps/1/users"
    records_jsonpath = "$.data.users[*]"
    replication_key = "last_seen"
    schema = th.PropertiesList(
        th.Property("id", NUMBER), th.Property("last_seen", TEXT), th.Property("user_id", TEXT),
        th.Property("presence", TEXT), th.Property("props", OBJECT),
    ).to_dict()  # fmt: skip

    def shaped(self, record: Record) -> Record:
        return {**super().shaped(record), "last_seen": record["props"]["$last_seen"] or ""}

    def get_child_context(self, record: Record, context: Any) -> Record:
        return {"of_user": record["id"]}


class Events(DashlyStream):
    """What a user did."""

    name = "events"
    path = "/users/{of_user}/events"
    parent_stream_type = Users
    ignore_parent_replication_keys = True
    replication_key = "id"
    schema = th.PropertiesList(
        th.Property("id", NUMBER), th.Property("of_user", NUMBER), th.Property("user", ID),
        th.Property("created", NUMBER), th.Property("type", OBJECT), th.Property("props", OBJECT),
    ).to_dict()  # fmt: skip


class Conversations(DashlyStream):
    """Conversations, by their last update."""

    name = "conversations"
    path = "/apps/1/conversations"
    params = {"include_not_assigned": "true"}  # noqa: RUF012
    replication_key = "last_update"
    schema = th.PropertiesList(
        th.Property("id", NUMBER), th.Property("last_update", NUMBER), th.Property("parts_count", NUMBER),
        th.Property("closed", YES), th.Property("tags", TAGS), th.Property("user", OBJECT),
    ).to_dict()  # fmt: skip

    def get_child_context(self, record: Record, context: Any) -> Record:
        return {"of_conversation": record["id"]}


class Parts(DashlyStream):
    """Messages of a conversation."""

    name = "parts"
    path = "/conversations/{of_conversation}/parts"
    parent_stream_type = Conversations
    ignore_parent_replication_keys = True
    replication_key = "id"
    schema = th.PropertiesList(
        th.Property("id", NUMBER), th.Property("of_conversation", NUMBER), th.Property("conversation", ID),
        th.Property("created", NUMBER), th.Property("body", TEXT), th.Property("type", TEXT),
        th.Property("edited", NUMBER), th.Property("removed", NUMBER),
    ).to_dict()  # fmt: skip


class TapDashly(Tap):
    """The tap."""

    name = "tap-dashly"
    config_jsonschema = th.PropertiesList(
        th.Property("base_url", TEXT, required=True),
        th.Property("auth_token", TEXT, required=True, secret=True),
        th.Property("stop_early", YES, default=False),
    ).to_dict()

    def discover_streams(self) -> list[DashlyStream]:
        return [Users(self), Events(self), Conversations(self), Parts(self)]


if __name__ == "__main__":
    TapDashly.cli()
