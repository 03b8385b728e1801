"""The command line: what each command takes, and which exit code it ends in.

stdout is the result, stderr is progress and warnings. What needs dlt or duckdb is imported inside the command, so that
`--help` answers at once.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from dashly_sync.asking import agreed
from dashly_sync.call_command import call
from dashly_sync.exits import Exit, exit_for, exit_of_all
from dashly_sync.libraries import prepare_libraries
from dashly_sync.options import Duration, settings_of, with_settings
from dashly_sync.push_command import push
from dashly_sync.schedule_command import schedule
from dashly_sync.settings import Needs

if TYPE_CHECKING:
    from dashly_sync.run import RunLimits


class Commands(click.Group):
    """The commands; a reader of stdout that has seen enough, such as `head`, is no failure of theirs."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command, and ends well when nobody reads on."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is flushed at the exit
            ctx.exit(Exit.DONE)
        return result


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="dashly-sync")
def cli() -> None:
    """Sync Dashly (Carrot quest) into DuckDB or Postgres, within 60 requests a minute.

    \b
    Try it without an account:   dashly-sync demo
    The first real sync:         DASHLY_AUTH_TOKEN=… dashly-sync run
    """


@cli.command()
@with_settings(of_run=True)
@click.option(
    "--only",
    help="Comma-separated resources: users, events, conversations, parts, channels, active_users, user_details",
)
@click.option("--max-time", type=Duration(), help="End the run after so long, as 14m or 1h30m; the next one goes on")
@click.option(
    "--max-requests", type=click.IntRange(min=1), help="End the run after so many requests; the next one goes on"
)
@click.option("--since", help="Read nothing older than this date; what is older stays known as missing")
@click.option("--full", is_flag=True, help="Read everything again once: edits, removals and silent changes")
@click.option(
    "--json", "as_json", is_flag=True, help="Print the run's record as JSON; the closing sentence goes to stderr"
)
@click.option(
    "-v", "--verbose", count=True, help="Log to stderr: -v warnings and info, -vv debug; the token is never shown"
)
@click.option("--all", "all_apps", is_flag=True, help="Run every app that is configured, each in a process of its own")
@click.option("--jobs", type=click.IntRange(min=1), help="With --all: so many at once, 220 MB each [default 4]")
def run(all_apps: bool, jobs: int | None, **flags: Any) -> None:
    """Run one sync, and say what it did and what is left.

    \b
    dashly-sync run
    dashly-sync run --to postgresql://me@localhost/warehouse --max-time 14m
    dashly-sync run --only conversations,parts --max-requests 20
    dashly-sync run --all --max-time 14m
    """
    if all_apps:
        _run_all(jobs, flags)
    if jobs is not None:
        raise click.UsageError("--jobs says how many apps run at once: add --all")
    as_json, verbose = flags.pop("as_json"), flags.pop("verbose")
    from dashly_sync.one_run import OneRun

    code = OneRun(flags, _limits, as_json=as_json, verbose=verbose).carry_out()
    if code != Exit.DONE:
        sys.exit(code)


@cli.command()
@with_settings()
@click.option("--json", "as_json", is_flag=True, help="Print the verdicts as JSON")
def check(**flags: Any) -> None:
    """Check token, app, API dialect, destination and state directory. Costs two requests.

    \b
    dashly-sync check
    """
    as_json = flags.pop("as_json")
    from dashly_sync.check import check_all

    verdicts = []
    for verdict in check_all(settings_of(flags)):
        verdicts.append(verdict)
        if not as_json:
            click.echo(f"{'ok  ' if verdict.exit is Exit.DONE else 'FAIL'}  {verdict.subject}: {verdict.finding}")
    failed = [verdict for verdict in verdicts if verdict.exit is not Exit.DONE]
    if as_json:
        click.echo(
            json.dumps([{"subject": v.subject, "ok": v.exit is Exit.DONE, "finding": v.finding} for v in verdicts])
        )
    else:
        click.echo(f"{len(verdicts) - len(failed)} of {len(verdicts)} checks are well.")
    sys.exit(failed[0].exit if failed else Exit.DONE)


@cli.command()
@with_settings("destination", "dataset_name", "rate_limit", "reconcile_share", "state_dir")
@click.option("--json", "as_json", is_flag=True, help="Print the status as JSON")
@click.option("--html", type=click.Path(path_type=Path), help="Draw it, too: one page in this file that needs no other")
@click.option("--max-age", type=Duration(), help="Exit 7 when the last success is older, as 2h: for a monitor")
@click.option(
    "--openmetrics", type=click.Path(path_type=Path), help="Write the numbers into this file, too; - is stdout"
)
def status(as_json: bool, html: Path | None, max_age: float | None, openmetrics: Path | None, **flags: Any) -> None:
    """Say in the first line how it is; then freshness, backlog, budget, last runs and errors. Costs no request.

    \b
    dashly-sync status --to duckdb:///dashly_warehouse.duckdb
    dashly-sync status --max-age 2h
    dashly-sync status --html status.html --openmetrics dashly.prom
    """
    if not flags["app"] and html is None and openmetrics is None:
        _status_of_apps(as_json, max_age, flags)
    from dashly_sync.status import read_status
    from dashly_sync.status_text import is_stale, print_json, print_status

    settings = settings_of(flags, Needs.APP | Needs.SECRETS)
    found = read_status(settings)
    if html is not None:
        from dashly_sync.status_page import write_page

        write_page(found, settings, html)
    if openmetrics is not None:
        from dashly_sync.metrics import metrics_of, write_metrics

        text = metrics_of(found, settings)
        if str(openmetrics) == "-":
            click.echo(text, nl=False)
        else:
            write_metrics(text, openmetrics)
    if str(openmetrics) != "-":
        (print_json if as_json else print_status)(found, max_age, sys.stdout)
    if is_stale(found, max_age):
        sys.exit(Exit.STALE)


@cli.command()
@with_settings("app_id", "base_url", "rate_limit", "destination", "dataset_name", "state_dir")
@click.option("--offline", is_flag=True, help="Ask nothing of the API; otherwise one request, with a token")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON")
def verify(offline: bool, as_json: bool, **flags: Any) -> None:
    """Check that everything is there; exit 6 when something is missing.

    \b
    dashly-sync verify
    dashly-sync verify --to postgresql://me@localhost/warehouse --offline --json
    """
    from dashly_sync.verify import verify as verify_warehouse

    report = verify_warehouse(settings_of(flags, Needs.APP | Needs.SECRETS), offline=offline)
    if as_json:
        click.echo(json.dumps(report.to_json(), ensure_ascii=False))
    else:
        for finding in report.findings:
            click.echo(finding.line())
        click.echo(report.sentence())
    sys.exit(report.exit)


@cli.command()
@with_settings("app_id", "base_url", "rate_limit", "destination", "dataset_name", "reconcile_share", "state_dir")
@click.option("--only", help="Comma-separated resources, as for `run`")
@click.option("--every", type=Duration(), help="Hold it against a schedule: a run every so often, as 15m")
@click.option(
    "--max-time", type=Duration(), help="How long each of these runs may take; the whole of --every by default"
)
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON")
def plan(only: str | None, every: float | None, max_time: float | None, as_json: bool, **flags: Any) -> None:
    """Say what a run would cost before it starts: requests, hours, finish time. Costs 8 requests at most.

    \b
    dashly-sync plan
    dashly-sync plan --only conversations,parts
    dashly-sync plan --every 15m --max-time 14m
    """
    if every is None and max_time is not None:
        raise click.UsageError(
            "--max-time says how long each run of a schedule may take: add --every, as in --every 15m"
        )
    from dashly_sync.pace import Pace
    from dashly_sync.plan import make_plan
    from dashly_sync.run import with_parents
    from dashly_warehouse.query import write_result

    pace = None if every is None else Pace(every, max_time or every)
    planned = make_plan(settings_of(flags), with_parents(_resources(only)), pace)
    if as_json:
        click.echo(json.dumps(planned.to_json(), ensure_ascii=False))
        return
    write_result(planned.result(), "table", sys.stdout)
    if planned.fit is not None:
        click.echo(planned.fit.sentence())
    click.echo(planned.sentence())


@cli.group()
def state() -> None:
    """Look at what past runs remember, and move it.

    \b
    dashly-sync state show
    dashly-sync state rewind conversations --to 2026-01-01
    """


@state.command("show")
@with_settings()
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON")
def state_show(as_json: bool, **flags: Any) -> None:
    """Show watermarks, open walks, backlog and what waits in the journal. Changes nothing, costs no request.

    \b
    dashly-sync state show --to duckdb:///dashly_warehouse.duckdb
    """
    import time

    from dashly_sync.state import children_result, lists_result, read_state, walks_result
    from dashly_warehouse.query import write_result

    found = read_state(settings_of(flags), time.time())
    if as_json:
        click.echo(json.dumps(found.to_json(), ensure_ascii=False))
        return
    if found.lists:
        write_result(lists_result(found), "table", sys.stdout)
    if any(one.coverage.walks for one in found.lists):
        write_result(walks_result(found), "table", sys.stdout)
    if found.children:
        write_result(children_result(found), "table", sys.stdout)
    click.echo(found.sentence())


@state.command("rewind")
@click.argument("resource")
@click.option("--to", "moment", required=True, help="Date or time; what is newer is read again")
@click.option("--destination", help="The warehouse, which the other commands call --to [DASHLY_DESTINATION]")
@with_settings("app_id", "base_url", "rate_limit", "dataset_name", "state_dir")
@click.option("--dry-run", is_flag=True, help="Only say what it would do and cost")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON")
def state_rewind(resource: str, moment: str, dry_run: bool, as_json: bool, **flags: Any) -> None:
    """Read again what is newer than a date: a list, or the children of what moved since.

    RESOURCE is users, conversations, events, parts or user_details.

    \b
    dashly-sync state rewind conversations --to 2026-01-01 --dry-run
    dashly-sync state rewind parts --to 2026-10-31T12:00:00Z
    """
    from dashly import since_microseconds
    from dashly_sync.rewind import rewind

    _known_stream(resource, "RESOURCE")
    if "://" in moment:
        raise click.UsageError("--to is the date here: name the warehouse with --destination or DASHLY_DESTINATION")
    to = since_microseconds(moment) or 0
    change = rewind(settings_of(flags), resource, to, dry_run=dry_run)
    click.echo(json.dumps(change.to_json(done=not dry_run)) if as_json else change.sentence(done=not dry_run))


@state.command("reset")
@with_settings()
@click.option("--resource", help="Forget only this: users, conversations, events, parts or user_details")
@click.option("--dry-run", is_flag=True, help="Only say what it would do and cost")
@click.option("--yes", is_flag=True, help="Do not ask")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON")
def state_reset(resource: str | None, dry_run: bool, yes: bool, as_json: bool, **flags: Any) -> None:
    """Forget what has been read, so that the next run reads it again; rows in the tables stay.

    \b
    dashly-sync state reset --resource events --dry-run
    dashly-sync state reset --yes
    """
    from dashly_sync.rewind import reset

    if resource is not None:
        _known_stream(resource, "--resource")
    settings = settings_of(flags)
    if not (dry_run or yes) and not agreed(
        reset(settings, resource, dry_run=True).sentence(done=False), "--yes", "--dry-run to look only"
    ):
        click.echo("Nothing is changed.")
        return
    change = reset(settings, resource, dry_run=dry_run)
    click.echo(json.dumps(change.to_json(done=not dry_run)) if as_json else change.sentence(done=not dry_run))


@cli.command()
@click.argument("sql")
@with_settings("destination", "dataset_name")
@click.option(
    "--format",
    "shape",
    type=click.Choice(["table", "json", "csv", "parquet"]),
    help="By default what the name of --output ends in, a table otherwise",
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Write to this file, which is replaced when all is written"
)
@click.option("--max-rows", type=click.IntRange(min=1), help="Write so many rows at most; a table shows 50")
def query(sql: str, shape: Any, output: Path | None, max_rows: int | None, **flags: Any) -> None:
    """Ask the warehouse; nothing can be changed, nor any file written but --output.

    \b
    dashly-sync query "select name, count(*) from events group by name"
    dashly-sync query "select * from users" --format csv > users.csv
    dashly-sync query "select * from conversation_metrics" --output conversations.parquet
    """
    from dashly_sync.answers import answer

    count = answer(settings_of(flags, Needs.NOTHING), sql, shape, output, max_rows, sys.stdout)
    if output is not None:
        click.echo(f"{count:,} {'row' if count == 1 else 'rows'} in {output}", err=True)


@cli.command()
@click.option("--dialect", default="postgres", show_default=True, help="bigquery, snowflake, databricks, clickhouse, …")
@with_settings("dataset_name", "business_hours")
def views(dialect: str, **flags: Any) -> None:
    """Print the analytics views as SQL, for a warehouse that `run` makes none in.

    \b
    dashly-sync views --dialect snowflake > views.sql
    """
    from dashly_warehouse.dialects import view_statements

    settings = settings_of(flags, Needs.NOTHING)
    for statement, doubt in view_statements(settings.dataset_name, settings.business_hours, dialect):
        if doubt:
            view = statement.partition(" view ")[2].partition(" ")[0]
            click.echo(f"dashly-sync: {view} needs a hand in {dialect}: {doubt}", err=True)
        click.echo(statement)


@cli.command()
@click.option("--users", default=200, show_default=True, type=click.IntRange(0, 1_000_000))
@click.option("--conversations", default=120, show_default=True, type=click.IntRange(0, 1_000_000))
@click.option("--port", default=8099, show_default=True, type=click.IntRange(0, 65535))
@click.option("--seed", default=1, show_default=True)
@click.option(
    "--users-dialect",
    type=click.Choice(["after", "offset"]),
    default="after",
    show_default=True,
    help="How the user list pages",
)
@click.option("--rate-limit", default="60/60", show_default=True, help="Requests / seconds, or `none`")
@click.option("--latency", "latency_seconds", default=0.0, show_default=True, help="Seconds until each answer")
@click.option("--live-rate", default=0.0, show_default=True, help="Deeds of the account's people per request")
def simulator(rate_limit: str, port: int, **choices: Any) -> None:
    """Serve a simulated Dashly API on localhost until Ctrl-C.

    \b
    dashly-sync simulator --users 5000 --conversations 2000
    """
    from dashly_simulator import Simulator, SimulatorSettings, run_forever

    try:
        limit = None if rate_limit == "none" else rate_limit
        simulated = Simulator(SimulatorSettings(clock="real", rate_limit=limit, **choices))
    except ValueError as error:
        raise click.UsageError(str(error)) from None

    def ready(server: Any) -> None:
        click.echo(
            f"export DASHLY_BASE_URL={server.base_url}\nexport DASHLY_AUTH_TOKEN={simulated.settings.auth_token}"
        )
        click.echo("Serving; Ctrl-C ends it.", err=True)

    try:
        run_forever(simulated, "127.0.0.1", port, ready)
    except OSError as error:
        raise click.UsageError(
            f"--port {port}: {os.strerror(error.errno or 0)}. Take another one; 0 is any free one"
        ) from None
    click.echo(f"Served {simulated.requests.total:,} requests.")


@cli.command()
@click.option(
    "--file", type=click.Path(path_type=Path, dir_okay=False), default=Path("dashly_demo.duckdb"), show_default=True
)
def demo(file: Path) -> None:
    """Sync a simulated app into a DuckDB file and look at the data. No account, no network.

    \b
    dashly-sync demo
    """
    from dashly_sync.demo import run_demo
    from dashly_sync.signals import stop_signals

    with stop_signals() as stop:
        click.echo(run_demo(file, stop, sys.stdout))
    if stop.number is not None:
        sys.exit(128 + stop.number)


cli.add_command(schedule)
cli.add_command(call)
cli.add_command(push)


def main() -> NoReturn:
    """Runs the command and exits as the contract says; a user's mistake shows no traceback."""
    prepare_libraries()
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as ended:
        sys.exit(ended.exit_code)
    except click.ClickException as error:
        _show(error)
        sys.exit(Exit.USAGE)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(Exit.SIGINT)
    except Exception as error:
        code = exit_for(error)
        if code is None:
            raise
        click.echo(f"dashly-sync: {error}", err=True)
        sys.exit(code)
    sys.exit(Exit.DONE)


def _show(error: click.ClickException) -> None:
    """Says that the command line makes no sense, as `run --log-format json` would if it made some."""
    given = sys.argv[1:]
    flags = {"--log-format=json"} & {*given, *map("=".join, itertools.pairwise(given))}
    if given[:1] == ["run"] and (flags or os.environ.get("DASHLY_LOG_FORMAT") == "json"):
        from dashly_sync.talk import JSON, Talk

        Talk(JSON).say("failed", error.format_message(), "error", exit=int(Exit.USAGE))
    else:
        error.show()


def _run_all(jobs: int | None, flags: dict[str, Any]) -> NoReturn:
    """Runs every app, prints a line for each and a sentence for all, and exits with what they have in common."""
    import time

    from dashly_sync.apps import app_names
    from dashly_sync.run_all import JOBS, closing_sentence, handed_on, run_apps
    from dashly_sync.settings import settings_for_telling
    from dashly_sync.talk import Talk

    if flags["app"] or flags["app_id"]:
        raise click.UsageError("--all is every app that is configured: leave out --app and --app-id")
    apps = app_names()
    if not apps:
        raise click.UsageError(
            "--all: no app is configured. Add a table [sources.dashly.apps.NAME] to .dlt/config.toml"
        )
    began = time.monotonic()
    runs = run_apps(apps, handed_on(click.get_current_context()), jobs or JOBS, lambda line: click.echo(line, err=True))
    as_json = flags["as_json"]
    if as_json:
        click.echo(json.dumps([one.to_json() for one in runs], ensure_ascii=False))
    else:
        click.echo("\n".join(one.line() for one in runs))
    said, talk = closing_sentence(runs, time.monotonic() - began), Talk(settings_for_telling(flags).log_format)
    if as_json or talk.is_json:
        talk.say("runs_ended", said)
    if not as_json:
        click.echo(said)
    sys.exit(exit_of_all(one.exit for one in runs))


def _status_of_apps(as_json: bool, max_age: float | None, flags: dict[str, Any]) -> None:
    """Prints a line for each app, and exits, where several are configured."""
    from dashly_sync.apps import app_names

    apps = app_names()
    if not apps:
        return
    from dashly_sync.status_apps import print_apps, status_of_apps

    found = status_of_apps(apps, lambda app: settings_of({**flags, "app": app}, Needs.SECRETS), max_age)
    print_apps(found, sys.stdout, as_json=as_json)
    sys.exit(exit_of_all(one.exit for one in found))


def _limits(flags: dict[str, Any]) -> RunLimits:
    from dashly import since_microseconds
    from dashly_sync.run import RunLimits, with_parents

    resources = with_parents(_resources(flags.pop("only")))
    since = since_microseconds(flags.pop("since"))
    return RunLimits(resources, flags.pop("max_requests"), flags.pop("max_time"), since, flags.pop("full"))


def _resources(only: str | None) -> tuple[str, ...]:
    """Returns the resources that `--only` names; the default ones without it."""
    from dashly.endpoints import DEFAULT_RESOURCES, RESOURCES

    if only is None:
        return DEFAULT_RESOURCES
    named = [name.strip() for name in only.split(",") if name.strip()]
    for name in named:
        _check_name(name, RESOURCES, "--only")
    if not named:
        raise click.UsageError(f"--only names no resource. There are: {', '.join(RESOURCES)}")
    return tuple(named)


def _known_stream(name: str, where: str) -> None:
    """Refuses what has nothing to rewind or reset: snapshots are read whole by every run."""
    from dashly.endpoints import CHILDREN, LISTS

    _check_name(name, (*LISTS, *CHILDREN), where)


def _check_name(name: str, known: Sequence[str], where: str) -> None:
    """Refuses an unknown resource, with the nearest known one."""
    from difflib import get_close_matches

    if name not in known:
        close = get_close_matches(name, known, 1)
        hint = f"; did you mean {close[0]}?" if close else "."
        raise click.UsageError(f"{where}: there is no resource {name!r}{hint} There are: {', '.join(known)}")


if __name__ == "__main__":
    main()
