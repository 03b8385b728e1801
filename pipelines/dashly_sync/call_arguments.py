"""What is typed after `dashly-sync call`: a path, and arguments as httpie's users write them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

import click

_ARGUMENT = re.compile(r"([\w$.-]+)(:?=)(.*)", re.DOTALL)
_SEGMENT = re.compile(r"[\w$%.~:@!*'(),+-]+")
FORMS = "Write KEY=VALUE, KEY=@FILE, KEY:=JSON or KEY:=@FILE"


def call_path(written: str, app_id: str) -> str:
    """Returns the path below the base URL.

    Args:
        written: With or without the first slash; `$self_app` in it is the app of the settings.
        app_id: Of the settings.

    Raises:
        UsageError: It is no path of the API.

    Example:
        >>> call_path("apps/$self_app/users", "12"), call_path("/users/7", "12")
        ('/apps/12/users', '/users/7')
    """
    if "?" in written:
        raise click.UsageError(f"PATH: {written!r} has a question mark; write its parameters as KEY=VALUE behind it")
    segments = written.removeprefix("/").split("/")
    if segments[0] in ("v1", "http:", "https:"):
        raise click.UsageError(f"PATH: {written!r} begins with what --base-url says; leave that out")
    if "" in segments:
        raise click.UsageError(f"PATH: {written!r} has an empty part; the shell needs quotes: '/apps/$self_app/users'")
    if not all(_SEGMENT.fullmatch(one) and one.strip(".") for one in segments):
        raise click.UsageError(f"PATH: {written!r} is no path of the API, such as /conversations/12/parts")
    return "/" + "/".join(app_id if one == "$self_app" else one for one in segments)


def call_arguments(written: Iterable[str]) -> dict[str, str]:
    """Returns the arguments of the request; ids come back as text unless `id_as_string` says otherwise.

    Raises:
        UsageError: One makes no sense, names a file that cannot be read, is there twice, or is the token.

    Example:
        >>> call_arguments(["count=5", 'operations:=[ {"op": "add"} ]'])
        {'id_as_string': 'true', 'count': '5', 'operations': '[{"op": "add"}]'}
    """
    found: dict[str, str] = {}
    for one in written:
        name, value = _argument(one)
        if name in found:
            raise click.UsageError(f"{name} is given twice")
        found[name] = value
    return {"id_as_string": "true"} | found


def _argument(written: str) -> tuple[str, str]:
    match = _ARGUMENT.fullmatch(written)
    if match is None:
        raise click.UsageError(f"{written!r} is no argument. {FORMS}")
    name, sign, value = match.groups()
    if name.lower() == "auth_token":
        raise click.UsageError("auth_token is taken from the settings: a command line shows in ps")
    value = _content(name, Path(value[1:])) if value.startswith("@") else value
    try:
        value.encode()
        return name, json.dumps(json.loads(value), ensure_ascii=False) if sign == ":=" else value
    except UnicodeEncodeError:
        raise click.UsageError(f"{name}: the value is no UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"{name}:= is no JSON ({error})") from None


def _content(name: str, path: Path) -> str:
    try:
        return path.expanduser().read_text(encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"{name}: {path} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise click.UsageError(f"{name}: {path} is no text in UTF-8; other files cannot be sent") from None
