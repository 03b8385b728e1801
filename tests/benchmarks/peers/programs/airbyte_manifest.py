"""The Dashly Web API as an Airbyte low-code (YAML) connector, built as the dict that the YAML would be.

What its documentation offers for an API that lists newest first and cannot be asked for "since": `is_data_feed` ends
the paging at the state's cursor, `incremental_dependency` reads children only of parents that came, `api_budget` keeps
under the limit, and the error handler waits and tries again. Each stream's cursor is what its list is sorted by.
"""

from __future__ import annotations

from typing import Any

Part = dict[str, Any]
TEXT, NUMBER, YES = ["string", "null"], ["number", "null"], ["boolean", "null"]
ID, OBJECT, LIST = ["string", "integer"], ["object", "null"], ["array", "null"]
COLUMNS: dict[str, dict[str, list[str]]] = {
    "users": {"user_id": TEXT, "presence": TEXT, "props": OBJECT, "last_seen": TEXT},
    "conversations": {"last_update": NUMBER, "parts_count": NUMBER, "closed": YES, "tags": LIST, "user": OBJECT},
    "events": {"user": ID, "created": NUMBER, "type": OBJECT, "props": OBJECT},
    "parts": {"conversation": ID, "created": NUMBER, "body": TEXT, "type": TEXT, "edited": NUMBER, "removed": NUMBER},
}


def manifest(rate_limit: int | None) -> Part:
    """The connector; `rate_limit` is requests a minute."""
    iso = "%Y-%m-%dT%H:%M:%S"
    users = stream("users", "apps/1/users", "last_seen", iso, ["data", "users"], since="1970-01-01T00:00:00")
    users["transformations"] = [
        {
            "type": "AddFields",
            "fields": [{"path": ["last_seen"], "value": "{{ record['props']['$last_seen'] }}"}],
        }
    ]
    talks = stream("conversations", "apps/1/conversations", "last_update", "%s")
    talks["retriever"]["requester"]["request_parameters"]["include_not_assigned"] = "true"
    events = stream("events", "users/{{ stream_partition.parent }}/events", "created", "%s", parent=users)
    parts = stream("parts", "conversations/{{ stream_partition.parent }}/parts", "created", "%s", parent=talks)
    budget = {} if rate_limit is None else {"api_budget": api_budget(rate_limit)}
    return {
        "version": "6.60.0",
        "type": "DeclarativeSource",
        "check": {"type": "CheckStream", "stream_names": ["users"]},
        "streams": [users, talks, events, parts],
        "spec": spec(),
        **budget,
    }


def stream(
    name: str,
    path: str,
    cursor: str,
    format_of_cursor: str,
    records_at: list[str] | None = None,
    since: str = "0",
    parent: Part | None = None,
) -> Part:
    """One stream, incremental and newest first."""
    router = {} if parent is None else {"partition_router": children_of(parent)}
    return {
        "type": "DeclarativeStream",
        "name": name,
        "primary_key": ["id"],
        "retriever": {
            "type": "SimpleRetriever",
            "requester": requester(path),
            "paginator": paginator(),
            "record_selector": {
                "type": "RecordSelector",
                "extractor": {"type": "DpathExtractor", "field_path": records_at or ["data"]},
            },
            **router,
        },
        "incremental_sync": {
            "type": "DatetimeBasedCursor",
            "cursor_field": cursor,
            "is_data_feed": True,
            "datetime_format": format_of_cursor,
            "start_datetime": {"type": "MinMaxDatetime", "datetime": since, "datetime_format": format_of_cursor},
        },
        "schema_loader": {"type": "InlineSchemaLoader", "schema": schema(COLUMNS[name])},
    }


def schema(columns: dict[str, list[str]]) -> Part:
    """A JSON schema that lets other fields through."""
    properties = {"id": {"type": ID}, **{name: {"type": kind} for name, kind in columns.items()}}
    return {"type": "object", "additionalProperties": True, "properties": properties}


def requester(path: str) -> Part:
    """How a request is made, and what happens when it is refused."""
    token = {"type": "RequestOption", "inject_into": "request_parameter", "field_name": "auth_token"}
    return {
        "type": "HttpRequester",
        "url_base": "{{ config['base_url'] }}",
        "path": path,
        "http_method": "GET",
        "authenticator": {
            "type": "ApiKeyAuthenticator",
            "api_token": "{{ config['auth_token'] }}",
            "inject_into": token,
        },
        "request_parameters": {"id_as_string": "true"},
        "error_handler": {
            "type": "DefaultErrorHandler",
            "max_retries": 8,
            "backoff_strategies": [
                {"type": "WaitTimeFromHeader", "header": "Retry-After"},
                {"type": "ExponentialBackoffStrategy", "factor": 2},
            ],
        },
    }


def paginator() -> Part:
    """Pages of 50, each asked for by the token of the one before."""
    option = {"type": "RequestOption", "inject_into": "request_parameter"}
    return {
        "type": "DefaultPaginator",
        "page_size_option": {**option, "field_name": "count"},
        "page_token_option": {**option, "field_name": "after"},
        "pagination_strategy": {
            "type": "CursorPagination",
            "page_size": 50,
            "cursor_value": "{{ response['meta']['next_after'] }}",
            "stop_condition": "{{ response['meta']['next_after'] is none }}",
        },
    }


def children_of(parent: Part) -> Part:
    """A request for each parent that came in this run."""
    return {
        "type": "SubstreamPartitionRouter",
        "parent_stream_configs": [
            {
                "type": "ParentStreamConfig",
                "stream": parent,
                "parent_key": "id",
                "partition_field": "parent",
                "incremental_dependency": True,
            }
        ],
    }


def api_budget(per_minute: int) -> Part:
    """So many requests in any minute, and no more when a 429 comes all the same."""
    rate = {"limit": per_minute, "interval": "PT1M"}
    policy = {"type": "MovingWindowCallRatePolicy", "rates": [rate], "matchers": []}
    return {"type": "HTTPAPIBudget", "policies": [policy], "status_codes_for_ratelimit_hit": [429]}


def spec() -> Part:
    """What the connector is configured with."""
    text = {"type": "string"}
    return {
        "type": "Spec",
        "connection_specification": {
            "type": "object",
            "required": ["base_url", "auth_token"],
            "properties": {"base_url": text, "auth_token": {**text, "airbyte_secret": True}},
        },
    }
