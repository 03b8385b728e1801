"""The command `schedule`."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from dashly_sync.durations import interval_text
from dashly_sync.options import Duration, with_settings
from dashly_sync.settings import SETTINGS

if TYPE_CHECKING:
    from dashly_sync.schedule_artefacts import Job

TARGETS = ("crontab", "systemd", "github", "kubernetes", "airflow", "dagster")
COMMIT_SHARE, COMMIT_AT_MOST = 0.1, 60.0
"""What of an interval is left for the last commit: a tenth, at most a minute."""


@click.command()
@click.argument("target", required=False, type=click.Choice(TARGETS))
@click.option("--every", type=Duration(), default="15m", show_default=True, help="Start a run so often")
@click.option(
    "--max-time", type=Duration(), help="End each run after so long; by default a minute or a tenth before the next"
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), help="Write the files into this folder"
)
@with_settings()
def schedule(target: str | None, every: float, max_time: float | None, output: Path | None, **flags: Any) -> None:
    """Print what makes runs start on time, without any secret; with no TARGET, stay and start them.

    TARGET is crontab, systemd, github, kubernetes, airflow or dagster.

    \b
    dashly-sync schedule crontab --every 15m
    dashly-sync schedule systemd --every 1h -o units
    dashly-sync schedule --every 15m
    """
    max_time = _time_limit(every, max_time)
    if target is None:
        if output is not None:
            raise click.UsageError(f"--output is for a target: {', '.join(TARGETS)}")
        _stay(every, max_time, flags)
    from dashly_sync.schedule_artefacts import artefacts

    found = artefacts(target, _job(every, max_time, flags))
    if output is None:
        _print(found)
    else:
        _write(found, output)


def _time_limit(every: float, max_time: float | None) -> float:
    """Returns the seconds after which each run ends.

    Example:
        >>> _time_limit(900, None), _time_limit(300, None), _time_limit(900, 120)
        (840.0, 270.0, 120)
    """
    if max_time is None:
        return max(1.0, float(round(every - min(COMMIT_AT_MOST, every * COMMIT_SHARE))))
    if max_time > every:
        raise click.UsageError(
            f"--max-time {interval_text(max_time)}: a run has to end before the next one starts, "
            f"in less than --every {interval_text(every)}"
        )
    return max_time


def _job(every: float, max_time: float, flags: Mapping[str, Any]) -> Job:
    from platformdirs import user_config_path, user_state_path

    from dashly_sync.schedule_artefacts import Job
    from dashly_sync.settings import resolve_settings, said_settings

    settings = resolve_settings(flags)  # refuses what makes no sense, before it is written down
    apps = _apps(flags)
    environ = _environ(flags)  # as the runs have it: an app's own table comes before it
    of_apps = [resolve_settings({"app": app}, environ) for app in apps]
    return Job(
        program=program(),
        every=every,
        max_time=max_time,
        apps=apps,
        said=said_settings(flags),
        written=tuple(file for one in of_apps for file in (_duckdb_file(one.destination), one.snapshot) if file),
        folder=Path.cwd(),
        state_dir=(settings.state_dir or user_state_path("dashly-sync")).expanduser().absolute(),
        env_file=user_config_path("dashly-sync") / "environment",
        user=_user(),
        version=version("dashly-sync"),
        tools=tuple(tool for tool in ("flock", "timeout") if shutil.which(tool)),
    )


def _apps(flags: Mapping[str, Any]) -> tuple[str, ...]:
    from dashly_sync.apps import app_names

    return (flags["app"],) if flags["app"] else app_names()


def _duckdb_file(destination: str) -> Path | None:
    from dashly_warehouse.specs import parse_destination

    return parse_destination(destination).path


def _user() -> str:
    import getpass

    return getpass.getuser()


def program() -> tuple[str, ...]:
    """Returns the words that start this `dashly-sync` from anywhere: its script, or its interpreter with the module."""
    started = Path(sys.argv[0])
    if started.name == "dashly-sync" and started.is_file():
        return (str(started.absolute()),)
    beside = Path(sys.executable).with_name("dashly-sync")
    if beside.is_file():
        return (str(beside),)
    return (sys.executable, "-m", "dashly_sync")


def _print(found: Mapping[str, str]) -> None:
    for name, text in found.items():
        if len(found) > 1:
            click.echo(f"# {name}")
        click.echo(text, nl=False)


def _write(found: Mapping[str, str], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in found.items():
        (folder / name).write_text(text, encoding="utf-8")
        click.echo(str(folder / name))


def _stay(every: float, max_time: float, flags: Mapping[str, Any]) -> NoReturn:
    """Starts runs until a signal comes, and exits as the run does that it ended."""
    from dashly_state.clock import SystemClock
    from dashly_sync.schedule_foreground import ChildRun, Timekeeper
    from dashly_sync.settings import resolve_settings
    from dashly_sync.signals import StopSignal

    resolve_settings(flags)
    apps = _apps(flags)
    which = () if not apps else ("--app", apps[0]) if flags["app"] else ("--all",)
    command = (sys.executable, "-m", "dashly_sync", "run", *which, f"--max-time={interval_text(max_time)}")
    stop = StopSignal()
    child = ChildRun(command, _environ(flags), stop)
    child.listen()
    Timekeeper(every, child, SystemClock(), stop, _say).keep_time()
    sys.exit(128 + (stop.number or 0))


def _environ(flags: Mapping[str, Any]) -> dict[str, str]:
    """Returns the environment of the runs; the flags are in it, as others see the command line of a process."""
    from dashly_sync.settings import joined

    given = {setting.environment: joined(flags.get(setting.key)) for setting in SETTINGS if flags.get(setting.key)}
    return {**os.environ, **given}


def _say(line: str) -> None:
    click.echo(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {line}", err=True)
