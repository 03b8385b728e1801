"""The commands `push props`, `push events` and `push messages`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from dashly_sync.options import Command, Duration, settings_of, with_settings
from dashly_sync.settings import Needs

if TYPE_CHECKING:
    from dashly_activation.plan import Plan
    from dashly_activation.rows import Kind, RowMap
    from dashly_state.push_ledger import PushLedger
    from dashly_sync.push_order import PushOrder, PushRecord
    from dashly_sync.push_text import PushWatch

_SETTINGS = ("app_id", "base_url", "rate_limit", "destination", "dataset_name", "state_dir")


@click.group()
def push() -> None:
    """Send rows of the warehouse to Dashly: as user properties, events or messages.

    Sends only what changed since the last push of the same name, and nothing twice that was acknowledged.

    \b
    dashly-sync push props --query "select id, health_score from user_health" --id id
    dashly-sync push events --table renewals --by-user-id customer --event Renewed --key contract
    """


def _shared(command: Command) -> Command:
    """Adds the flags that all three have."""
    options: Sequence[Callable[[Command], Command]] = (
        click.option("--query", help="The rows, as SQL that only reads"),
        click.option("--table", help="The rows, as a table or view of the dataset; all its columns"),
        click.option("--id", "id_column", metavar="COLUMN", help="The column with Dashly's own ids, as in users.id"),
        click.option("--by-user-id", metavar="COLUMN", help="Or the one with yours; events and props make new users"),
        click.option("--map", "mapped", metavar="COLUMN=KEY", multiple=True, help="Send only these, under these names"),
        click.option("--name", help="The push, in the ledger; by default of the kind and the table or query"),
        click.option("--limit", type=click.IntRange(min=1), help="Send so many rows at most; the next push goes on"),
        click.option("--max-time", type=Duration(), help="End after so long, as 14m; the next push goes on"),
        click.option("--max-requests", type=click.IntRange(min=1), help="End after so many requests"),
        click.option("--dry-run", is_flag=True, help="Only say what it would send and cost; costs no request"),
        click.option("--diff", is_flag=True, help="Show what changes on each card: what was sent before, and now"),
        click.option(
            "--retry",
            is_flag=False,
            flag_value="refused",
            type=click.Choice(["refused", "uncertain"]),
            help="Send again what was refused, or what is uncertain, as it was then; reads no rows",
        ),
        click.option("--accept-uncertain", is_flag=True, help="Take what is uncertain to have arrived; sends nothing"),
        click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON"),
    )
    for option in reversed(options):
        command = option(command)
    return with_settings(*_SETTINGS)(command)


_KEY = click.option(
    "--key", "row_key", metavar="COLUMN", multiple=True, help="What tells a row from all others; by default all columns"
)


@push.command("props")
@_shared
@click.option(
    "--op",
    "operations",
    metavar="[KEY=]OPERATION",
    multiple=True,
    help="update_or_create (default), set_once, add, append, union, exclude or delete",
)
@click.option("--null", type=click.Choice(["skip", "delete"]), default="skip", show_default=True, help="What NULL does")
def push_props(operations: tuple[str, ...], null: str, **flags: Any) -> None:
    """Set properties on the users' cards: a row is a user, a column a property.

    \b
    dashly-sync push props --query "select id, plan, health_score from user_health" --id id --dry-run --diff
    dashly-sync push props --table user_health --id id --map email_hash='$email' --op tags=union
    dashly-sync push props --table user_health --retry
    """
    single = {key: operation for key, found, operation in (one.partition("=") for one in operations) if found}
    general = [one for one in operations if "=" not in one]
    if len(general) > 1:
        raise click.UsageError("--op: one operation for all, others as KEY=OPERATION")
    _push(
        "props", flags, operations=single, operation=(general or ["update_or_create"])[0], deletes_null=null == "delete"
    )


@push.command("events")
@_shared
@_KEY
@click.option("--event", help="The name of all events; the column `event` by default")
@click.option("--created", metavar="COLUMN", help="When it happened; the column `created` or `created_at` by default")
def push_events(row_key: tuple[str, ...], event: str | None, created: str | None, **flags: Any) -> None:
    """Track events: a row is an event, with the other columns as parameters. None sets off an auto-message twice.

    \b
    dashly-sync push events --table renewals --by-user-id customer --event Renewed --created paid_at --key contract
    """
    _push("events", flags, row_key=row_key, event=event, created=created)


@push.command("messages")
@_shared
@_KEY
@click.option("--yes", is_flag=True, help="Do not ask")
def push_messages(row_key: tuple[str, ...], yes: bool, **flags: Any) -> None:
    """Send messages: a row is one, with a `body` and perhaps a `type`: popup_chat, popup_small, popup_big or email.

    Asks before it sends; a script says --yes.

    \b
    dashly-sync push messages --query "select id, body from outreach" --id id --key id --dry-run --diff
    """
    _push("messages", flags, asks=not yes, row_key=row_key)


def _push(kind: Kind, flags: dict[str, Any], *, asks: bool = False, **of_rows: Any) -> None:
    """Carries out one push, says what it did, and exits as the contract says."""
    from dashly_state.waits import Waits
    from dashly_sync.push import Push
    from dashly_sync.push_text import PushWatch
    from dashly_sync.signals import stop_signals
    from dashly_sync.talk import Talk
    from dashly_sync.watch import watching

    as_json, changes = flags.pop("as_json"), list[Any]()
    order = _order(kind, flags, of_rows)
    settings = settings_of(flags, Needs.APP if order.is_dry else Needs.ALL)
    talk, waits = Talk(settings.log_format, app=settings.app), Waits()
    watch = PushWatch(waits)

    def show(plan: Plan, ledger: PushLedger, limit: int | None) -> None:
        _show(order, plan, ledger, limit, changes if as_json else None)

    with stop_signals() as stop:
        agree = _agreement(watch, asks)
        carried = Push(
            settings, order, stop, agree, show, lambda: watching(watch, talk), waits=waits, tally=watch.tally
        )
        carried.carry_out()
    _close(carried.record, as_json, changes if order.has_diff else None)
    if carried.error is not None:
        raise carried.error
    if carried.record.ending == "signal" and stop.number is not None:
        sys.exit(128 + stop.number)


def _order(kind: Kind, flags: dict[str, Any], of_rows: dict[str, Any]) -> PushOrder:
    """Takes the flags of a push out of all flags."""
    from dashly_state.push_ledger import Status
    from dashly_sync.push_order import PushOrder, name_of, statement_of

    query, table, name, retry = (flags.pop(one) for one in ("query", "table", "name", "retry"))
    accepts, sql = flags.pop("accept_uncertain"), statement_of(query, table)
    if sql is None and name is None:
        raise click.UsageError("which rows? Say --query or --table; to retry, the same, or the --name of the push")
    reads = retry is None and not accepts
    if reads and sql is None:
        raise click.UsageError("which rows? Say --query or --table")
    mapped = _row_map(kind, flags, of_rows, is_needed=reads)
    return PushOrder(
        kind,
        name_of(kind, name, query, table),
        sql if reads else None,
        mapped,
        Status(retry) if retry else None,
        accepts,
        limit=flags.pop("limit"),
        max_requests=flags.pop("max_requests"),
        max_seconds=flags.pop("max_time"),
        is_dry=flags.pop("dry_run"),
        has_diff=flags.pop("diff"),
    )


def _row_map(kind: Kind, flags: dict[str, Any], of_rows: dict[str, Any], *, is_needed: bool) -> RowMap | None:
    from dashly_activation.rows import RowMap

    own, theirs, pairs = (flags.pop(one) for one in ("id_column", "by_user_id", "mapped"))
    if not is_needed:
        return None
    if (own is None) == (theirs is None):
        raise click.UsageError("whose cards? Say --id COLUMN for Dashly's ids, or --by-user-id COLUMN for yours")
    keys = dict(_pair(one) for one in pairs)
    return RowMap(kind, own or theirs, theirs is not None, keys, **of_rows)


def _pair(text: str) -> tuple[str, str]:
    column, equals, key = text.partition("=")
    if not (column and equals and key):
        raise click.UsageError(f"--map {text!r}: write it as COLUMN=KEY")
    return column, key


def _agreement(watch: PushWatch, asks: bool) -> Callable[[PushRecord], bool]:
    def agree(record: PushRecord) -> bool:
        watch.total = record.to_send
        if not asks:
            return True
        from dashly_sync.asking import agreed
        from dashly_sync.push_text import would_do

        return agreed(would_do(record), "--yes", "--dry-run --diff to look only")

    return agree


def _show(order: PushOrder, plan: Plan, ledger: PushLedger, limit: int | None, changes: list[Any] | None) -> None:
    """Shows what changes, or adds it to `changes`."""
    from dashly_sync.push_text import difference_line, differences

    for item in plan.items(limit):
        before = ledger.get(order.name, item.request.key)
        if changes is None:
            click.echo(difference_line(order.kind, item, before))
        else:
            found = {name: [old, new] for name, old, new in differences(order.kind, item, before)}
            changes.append({"user": item.request.user, "changes": found})


def _close(record: PushRecord, as_json: bool, changes: list[Any] | None) -> None:
    from dashly_sync.push_text import closing_sentence, hints

    for hint in hints(record):
        click.echo(f"notice: {hint}", err=True)
    if as_json:
        more = {} if changes is None else {"changes": changes}
        click.echo(json.dumps({**record.to_json(), **more}, ensure_ascii=False, default=str))
    click.echo(closing_sentence(record), err=as_json)
