"""The command `call`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from dashly_sync.asking import agreed
from dashly_sync.options import settings_of, with_settings

if TYPE_CHECKING:
    from dashly.client import DashlyClient
    from dashly.envelope import Answer

_SHOWN = 60
"""Characters of an argument that are shown before it is sent."""


@click.command()
@click.argument("method", type=click.Choice(["GET", "POST"], case_sensitive=False), metavar="METHOD")
@click.argument("path")
@click.argument("arguments", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--yes", is_flag=True, help="Send a POST without asking")
@click.option("--raw", is_flag=True, help="Print the answer as it came; on a terminal it is indented otherwise")
@click.option("--writes-first", is_flag=True, help="Do not wait until a sync leaves room for a POST")
@with_settings("app_id", "base_url", "rate_limit", "state_dir")
def call(
    method: str, path: str, arguments: tuple[str, ...], yes: bool, raw: bool, writes_first: bool, **flags: Any
) -> None:
    """Call any method of the Web API, and print its answer as JSON. Costs one request.

    An argument is KEY=VALUE, KEY=@FILE for a file's text, KEY:=JSON or KEY:=@FILE for JSON that is checked before it is
    sent. Ids come as text, unless id_as_string=false is among them.

    \b
    dashly-sync call GET 'apps/$self_app/channels'
    dashly-sync call GET conversations/1160406004324630614/parts count=5
    dashly-sync call POST users/27384/events by_user_id=true event='Order paid' params:='{"total": 99}'
    """
    from dashly_sync.call_arguments import call_arguments, call_path

    settings = settings_of(flags)
    target, sent = call_path(path, settings.app_id), call_arguments(arguments)
    from dashly.client import DashlyClient
    from dashly_state.budget import RequestBudget
    from dashly_state.directory import StateDirectory

    budget_path = StateDirectory(settings.state_dir).budget_path
    with (
        RequestBudget(budget_path, settings.auth_token, settings.rate_limit) as budget,
        DashlyClient(
            settings.auth_token, budget, base_url=settings.base_url, app_id=settings.app_id, writes_first=writes_first
        ) as client,
    ):
        if method == "POST" and not yes and not agreed(_would_send(client.base_url + target, sent), "--yes"):
            click.echo("Nothing was sent.", err=True)
            return
        _tell_of_a_wait(client)
        answer = client.get(target, sent) if method == "GET" else client.post(target, sent)
    _print(answer, settings.auth_token, indented=sys.stdout.isatty() and not raw)


def _would_send(url: str, sent: dict[str, str]) -> str:
    shown = (f"{name}={value if len(value) <= _SHOWN else value[: _SHOWN - 1] + '…'}" for name, value in sent.items())
    return f"POST {url} with {', '.join(shown)}."


def _tell_of_a_wait(client: DashlyClient) -> None:
    usage = client.budget.usage()
    if not usage.free:
        click.echo(f"Waiting: the {usage.limit} requests of the window are used, by other commands.", err=True)


def _print(answer: Answer, token: str, *, indented: bool) -> None:
    """Prints the answer without the token, which it may repeat; on stderr how to get the next page."""
    from dashly.redaction import without_token

    text = answer.body.decode("utf-8", "replace")
    if indented:
        shown = json.dumps(json.loads(text), ensure_ascii=False, indent=2)
        text = shown.encode("utf-8", "backslashreplace").decode()  # a lone surrogate goes back to its escape
    click.echo(without_token(text, token))
    if answer.envelope.next_token is not None:
        click.echo(f"The next page: after={without_token(answer.envelope.next_token, token)}", err=True)
