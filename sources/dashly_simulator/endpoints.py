"""Which method and path means which endpoint, and everything that is checked before one answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from . import reads, writes
from .answers import Result, method_not_allowed, no_such_method, not_authenticated, permission_denied
from .arguments import Arguments
from .reads import Call
from .settings import SimulatorSettings
from .world import World

Endpoint = Callable[[Call], Result]
SELF_APP = "$self_app"

ENDPOINTS: dict[str, dict[str, Endpoint]] = {
    "/apps/{id}/activeusers": {"GET": reads.list_active_users},
    "/apps/{id}/users": {"GET": reads.list_users},
    "/apps/{id}/conversations": {"GET": reads.list_conversations},
    "/apps/{id}/channels": {"GET": reads.list_channels},
    "/conversations/{id}": {"GET": reads.get_conversation},
    "/conversations/{id}/parts": {"GET": reads.list_parts},
    "/conversations/{id}/reply": {"POST": writes.reply},
    "/conversations/{id}/markread": {"POST": writes.mark_read},
    "/conversations/{id}/settyping": {"POST": writes.set_typing},
    "/conversations/{id}/assign": {"POST": writes.assign},
    "/conversations/{id}/tag": {"POST": writes.tag},
    "/conversations/{id}/close": {"POST": writes.close},
    "/users/{id}": {"GET": reads.get_user},
    "/users/{id}/events": {"GET": reads.list_events, "POST": writes.track_event},
    "/users/{id}/conversations": {"GET": reads.list_user_conversations},
    "/users/{id}/props": {"POST": writes.set_props},
    "/users/{id}/setpresence": {"POST": writes.set_presence},
    "/users/{id}/sendmessage": {"POST": writes.send_message},
    "/users/{id}/startconversation": {"POST": writes.start_conversation},
}
_PATH = re.compile(r"(?:/(v[12]))?(/(apps|conversations|users)/([^/]+)(/[a-z]+)?)/?")


@dataclass(frozen=True)
class Route:
    """Where a request goes: the endpoint's template, the id in the path, and the dialect."""

    template: str
    path_id: str
    version: str

    @property
    def is_of_an_app(self) -> bool:
        """Whether the id in the path is the app's."""
        return self.template.startswith("/apps/")


def find_route(path: str, unversioned: str) -> Route | None:
    """The route of a path; None when there is no such API method.

    >>> find_route("/v1/users/12/events", "v2")
    Route(template='/users/{id}/events', path_id='12', version='v1')
    >>> find_route("/users/12/events", "404") is None
    True
    """
    match = _PATH.fullmatch(path)
    if match is None:
        return None
    version, _, kind, path_id, rest = match.groups()
    template = f"/{kind}/{{id}}{rest or ''}"
    if template not in ENDPOINTS or (version != "v1" and unversioned == "404"):
        return None
    return Route(template, unquote(path_id), version or "v2")


def token_of(params: Mapping[str, str], headers: Mapping[str, str], settings: SimulatorSettings) -> str | None:
    """The token that a request brings: as a parameter, or in a header where that is simulated."""
    if "auth_token" in params or not settings.header_auth:
        return params.get("auth_token")
    header = next((value for name, value in headers.items() if name.lower() == "authorization"), "")
    scheme, _, token = header.partition(" ")
    return token if scheme.lower() in ("token", "bearer") else None


def admit(
    route: Route | None, params: Mapping[str, str], headers: Mapping[str, str], settings: SimulatorSettings
) -> Route:
    """The route, if there is one and the token is right; raises Error404 or NotAuthenticated."""
    if route is None:
        raise no_such_method()
    if token_of(params, headers, settings) != settings.auth_token:
        raise not_authenticated()
    return route


def perform(world: World, method: str, route: Route, params: Mapping[str, str]) -> Result:
    """What the endpoint answers; raises the API's errors."""
    endpoint = ENDPOINTS[route.template].get(method)
    if endpoint is None:
        raise method_not_allowed(method)
    if route.is_of_an_app and route.path_id not in (SELF_APP, world.settings.app_id):
        raise permission_denied()
    return endpoint(Call(world, Arguments(params), route.path_id, route.version))
