"""What the API answers: the envelope, and the nine documented errors."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

JSON_HEADERS = {"Content-Type": "application/json; charset=utf-8"}


@dataclass(frozen=True)
class Answer:
    """One answer, ready to be sent; `fault` names what is to go wrong while sending it."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=lambda: dict(JSON_HEADERS))
    fault: str | None = None
    delay_seconds: float = 0.0


@dataclass(frozen=True)
class Result:
    """What an endpoint returns: the data, and what meta says beside the status.

    `token` is the JSON text of `next_after`, digits kept; `token_name` is None when the endpoint has no paging.
    """

    data: Any
    meta: dict[str, Any] = field(default_factory=dict)
    token_name: str | None = None
    token: str | None = None


class ApiError(Exception):
    """An error of the API's own list."""

    def __init__(self, status: int, name: str, message: str, error_fields: dict[str, list[str]] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.name = name
        self.message = message
        self.error_fields = error_fields

    def meta(self) -> dict[str, Any]:
        """The error as the envelope's meta section."""
        meta: dict[str, Any] = {"status": self.status, "error": self.name, "error_message": self.message}
        return meta if self.error_fields is None else meta | {"error_fields": self.error_fields}


def method_not_allowed(method: str) -> ApiError:
    """405: the path exists, with another method."""
    return ApiError(405, "MethodNotAllowed", f"Invalid http method: {method}")


def no_such_method() -> ApiError:
    """404: no such API method; a missing object is a LookupError instead."""
    return ApiError(404, "Error404", "API method does not exist")


def not_authenticated() -> ApiError:
    """401: no token, or another one."""
    return ApiError(401, "NotAuthenticated", "Invalid (or missing) auth token")


def permission_denied() -> ApiError:
    """403: an app that the token does not belong to."""
    return ApiError(403, "PermissionDeniedError", "No access to requested data")


def too_many_requests() -> ApiError:
    """429: over the limit."""
    return ApiError(429, "TooManyRequests", "Request limit quantity exceeded")


def invalid(name: str, problem: str) -> ApiError:
    """400: an argument is missing or wrong; `error_fields` says which."""
    return ApiError(400, "ValidationError", "Invalid (or missing) request arguments", {name: [problem]})


def bad_request(problem: str) -> ApiError:
    """400: the arguments are fine one by one, and still make no request."""
    return ApiError(400, "BadRequest", problem)


def not_found(kind: str) -> ApiError:
    """400: one of the given ids names nothing."""
    return ApiError(400, "LookupError", f"One of provided ids is not found: {kind}")


def server_error() -> ApiError:
    """500: the service fails."""
    return ApiError(500, "Error500", "Internal service error")


def _dump(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(", ", ": "))
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate can only be sent as an escape
        return json.dumps(value)
    return text


def envelope(result: Result) -> bytes:
    r"""The JSON body of a successful answer.

    >>> envelope(Result([], token_name="next_after", token="1447339319.900966"))
    b'{"meta": {"status": 200, "next_after": 1447339319.900966}, "data": []}'
    """
    meta = _dump({"status": 200} | result.meta)
    if result.token_name is not None:
        meta = f'{meta[:-1]}, "{result.token_name}": {result.token or "null"}}}'
    return f'{{"meta": {meta}, "data": {_dump(result.data)}}}'.encode()


def success(result: Result) -> Answer:
    """A 200."""
    return Answer(200, envelope(result))


def failure(error: ApiError) -> Answer:
    """An error, in the envelope."""
    return Answer(error.status, _dump({"meta": error.meta(), "data": {}}).encode())
