"""What `schedule` prints: files for what starts programs on time, from the templates in `schedules/`."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files as package_files
from pathlib import Path
from string import Template

from dashly_sync.durations import duration_text, interval_text
from dashly_sync.run_all import JOBS
from dashly_sync.schedule_cron import MINUTE, calendar_expression, cron_expression
from dashly_sync.schedule_settings import Shown, shown_elsewhere, shown_here
from dashly_sync.settings import UsageError

COMMIT_SECONDS = 600
"""What a run gets beyond its time limit, and what hangs between SIGTERM and SIGKILL: a large load takes minutes."""
CRON_LINE_BYTES = 998
"""The longest command that Vixie cron takes (MAX_COMMAND of its cron.h, less the ends)."""
GITHUB_LEAST = 5 * MINUTE
"""GitHub starts no workflow more often."""
GITHUB_LONGEST = 350 * MINUTE
"""GitHub ends a job after six hours; ten minutes are for installing and keeping."""
GITHUB_MINUTE = 7
"""At the full hour GitHub is busiest, and starts what is scheduled late or not at all."""
KUBERNETES_FOLDER = "/data/"


@dataclass(frozen=True)
class Job:
    """What is to run, and when.

    Attributes:
        program: The words that start `dashly-sync` on this machine.
        every: Seconds between two runs.
        max_time: Seconds after which each ends on purpose.
        apps: The apps that are configured; empty where one is read, which has no name.
        said: What is said of each setting, by key.
        written: The DuckDB files that apps name for themselves, and their read copies.
        folder: The working directory, in which dlt looks for its configuration.
        state_dir: Where commands typed by hand keep locks and request budget.
        env_file: Where a user's secrets may be, for what has no place of its own for them.
        user: The user's name.
        version: That of the distribution.
        tools: Those of `flock` and `timeout` that this machine has; macOS has neither.
    """

    program: tuple[str, ...]
    every: float
    max_time: float
    apps: tuple[str, ...]
    said: Mapping[str, str] = field(repr=False)
    written: tuple[Path, ...]
    folder: Path
    state_dir: Path
    env_file: Path
    user: str
    version: str
    tools: tuple[str, ...] = ("flock", "timeout")

    @cached_property
    def here(self) -> Shown:
        """The settings of runs on this machine."""
        return shown_here(self.said, self.folder, self.state_dir, apps=bool(self.apps))

    @property
    def rounds(self) -> int:
        """How many runs `run --all` has to make one after the other."""
        return math.ceil(len(self.apps) / JOBS) or 1

    def about(self, target: str) -> str:
        """Returns the first line of an artefact: what made it."""
        return f"Made by dashly-sync {self.version}: schedule {target} --every {interval_text(self.every)}"

    def arguments(self, max_time: float | None = None) -> tuple[str, ...]:
        """Returns what stands behind the program, where one command reads all apps."""
        which = () if not self.apps else ("--app", *self.apps) if len(self.apps) == 1 else ("--all",)
        return ("run", *which, f"--max-time={interval_text(max_time or self.max_time)}")

    def limit(self, max_time: float | None = None) -> int:
        """Returns the seconds after which such a command hangs."""
        return round((max_time or self.max_time) * self.rounds) + COMMIT_SECONDS


def artefacts(target: str, job: Job) -> dict[str, str]:
    """Returns the text of each file, by its name.

    Raises:
        UsageError: The target has no word for the interval, or no room for the settings.
    """
    return TARGETS[target](job)


def crontab(job: Job) -> dict[str, str]:
    """Returns a line of a crontab, and above it what one has to know."""
    settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in job.here.environ.items())
    # set -a exports every variable
    start = (
        f"e={_word(job.env_file)}; set -a; {settings}; umask 077; "
        f'mkdir -p "$DASHLY_STATE_DIR" && cd {_word(job.folder)} && '
        'exec >>"$DASHLY_STATE_DIR/cron.log" 2>&1 || exit 1; [ ! -r "$e" ] || . "$e"; exec '
    )
    lock = ["flock", "-n", str(job.state_dir / "cron.lock")] if len(job.apps) > 1 and "flock" in job.tools else []
    limit = ["timeout", f"--kill-after={COMMIT_SECONDS}", str(job.limit())] if "timeout" in job.tools else []
    command = (start + shlex.join([*lock, *limit, *job.program, *job.arguments()])).replace("%", r"\%")
    if len(command.encode()) > CRON_LINE_BYTES:
        raise UsageError(
            f"cron takes no line this long ({len(command.encode())} bytes; {CRON_LINE_BYTES} are the most): put the "
            f"settings into {job.folder}/.dlt/config.toml or {job.env_file}, or take `schedule systemd`"
        )
    text = _filled(
        "crontab",
        about=job.about("crontab"),
        secrets=_secrets(job, job.here),
        env_file_word=_word(job.env_file),
        lock=" flock keeps a second --all from starting beside the first." if lock else "",
        limit=f" What hangs all the same gets SIGTERM after {duration_text(job.limit())},\n"
        "#   commits what it has read, and is killed ten minutes later."
        if limit
        else "",
        log_file=str(job.state_dir / "cron.log"),
        expression=cron_expression(job.every),
        command=command,
    )
    return {"dashly-sync.crontab": text}


def systemd(job: Job) -> dict[str, str]:
    """Returns a service and its timer."""
    service = _filled(
        "service",
        about=job.about("systemd"),
        secrets=_secrets(job, job.here),
        state_dir_word=_word(job.state_dir),
        user=job.user,
        folder=str(job.folder).replace("%", "%%"),
        environment=_lines(f"Environment={_unit_word(f'{k}={v}', dollar='$')}" for k, v in job.here.environ.items()),
        command=" ".join(
            [_unit_word(job.program[0], dollar="$"), *map(_unit_word, (*job.program[1:], *job.arguments()))]
        ),
        limit_seconds=str(job.limit()),
        writable=_writable(job),
    )
    calendar = calendar_expression(job.every)
    timer = _filled(
        "timer",
        about=job.about("systemd"),
        every=interval_text(job.every),
        when=f"OnCalendar={calendar}\nPersistent=yes"
        if calendar
        else f"OnActiveSec=0\nOnUnitActiveSec={job.every:.0f}",
        delay_seconds=str(round(min(MINUTE, job.every / 10))),
    )
    return {"dashly-sync.service": service, "dashly-sync.timer": timer}


def github(job: Job) -> dict[str, str]:
    """Returns a workflow of GitHub Actions."""
    shown = shown_elsewhere(job.said, "", apps=bool(job.apps))
    max_time = min(job.max_time, (GITHUB_LONGEST - COMMIT_SECONDS) / job.rounds)
    command = shlex.join(["dashly-sync", *job.arguments(max_time)])
    run = f"      # exec: the signal that cancels a job reaches the run, which commits.\n      - run: exec {command}\n"
    paths = (
        _lines(f"            {file}*" for file in shown.files) + f"\n            {shown.environ['DASHLY_STATE_DIR']}"
    )
    kept = [_filled(f"github_{step}", paths=paths) if shown.files else "" for step in ("restore", "save")]
    secrets = {name: f"${{{{ secrets.{name} }}}}" for name in shown.secrets}
    plain = {name: value.replace("${{", "${{ '${{' }}") for name, value in shown.environ.items()}
    text = _filled(
        "github",
        about=job.about("github"),
        secrets=_secrets(job, shown, "DLT_SECRETS_TOML, which is all of .dlt/config.toml and .dlt/secrets.toml"),
        kept=_kept(shown),
        expression=cron_expression(job.every, GITHUB_MINUTE, GITHUB_LEAST),
        limit_minutes=str(math.ceil(job.limit(max_time) / MINUTE)),
        environment=_lines(f"      {name}: {json.dumps(value)}" for name, value in plain.items())
        + "".join(f"\n      {name}: {value}" for name, value in secrets.items()),
        version=job.version,
        steps=((_filled("github_apps") if job.apps else "") + kept[0] + run + kept[1]).rstrip(),
    )
    return {"dashly-sync.yml": text}


def kubernetes(job: Job) -> dict[str, str]:
    """Returns a CronJob with its claim, and the Dockerfile of its image."""
    shown = shown_elsewhere(job.said, KUBERNETES_FOLDER, apps=bool(job.apps))
    one = {"secret_environment": ENV_FROM, "secret_mount": "", "secret_volume": ""}
    several = {"secret_environment": WORKING_DIRECTORY, "secret_mount": APPS_MOUNT, "secret_volume": APPS_VOLUME}
    variables = {name: value.replace("$(", "$$(") for name, value in shown.environ.items()}
    cronjob = _filled(
        "cronjob",
        about=job.about("kubernetes"),
        secrets=WHOLE_TOML if job.apps else _secrets(job, shown),
        secret_source="--from-file=secrets.toml" if job.apps else "--from-env-file=FILE, with lines NAME=value",
        expression=cron_expression(job.every),
        limit_seconds=str(job.limit()),
        version=job.version,
        arguments=json.dumps(job.arguments()),
        environment=_lines(f"{VARIABLE}- name: {k}\n{VARIABLE}  value: {json.dumps(v)}" for k, v in variables.items()),
        memory_request="512Mi" if len(job.apps) < 2 else "1Gi",
        memory_limit="1Gi" if len(job.apps) < 2 else "2Gi",
        **(several if job.apps else one),
    )
    return {
        "Dockerfile": _filled("Dockerfile", about=job.about("kubernetes"), version=job.version),
        "cronjob.yaml": cronjob,
    }


WHOLE_TOML = """secrets.toml, which is all of .dlt/config.toml and .dlt/secrets.toml.
#   What else is no one's business belongs there too, under [sources.dashly]: destination, mask_key, webhook"""
VARIABLE = " " * 16
ENV_FROM = """\
              envFrom:
                - secretRef:
                    name: dashly-sync"""
WORKING_DIRECTORY = """\
              workingDir: /etc/dashly-sync"""
APPS_MOUNT = """\
                - name: secrets
                  mountPath: /etc/dashly-sync/.dlt
                  readOnly: true"""
APPS_VOLUME = """\
            - name: secrets
              secret:
                secretName: dashly-sync
                defaultMode: 0440"""


def airflow(job: Job) -> dict[str, str]:
    """Returns a DAG for Airflow 3: a task for each app."""
    text = _filled("airflow", about=job.about("airflow"), every_seconds=f"{job.every:.0f}", **_python(job))
    return {"dashly_sync_dag.py": text}


def dagster(job: Job) -> dict[str, str]:
    """Returns definitions for Dagster: an asset with a partition for each app, and its schedule."""
    text = _filled(
        "dagster",
        about=job.about("dagster"),
        every=interval_text(job.every),
        expression=cron_expression(job.every),
        limit_seconds=str(round(job.max_time) + COMMIT_SECONDS),
        **_python(job),
    )
    return {"dashly_sync_definitions.py": text}


TARGETS: Mapping[str, Callable[[Job], dict[str, str]]] = {
    "crontab": crontab,
    "systemd": systemd,
    "github": github,
    "kubernetes": kubernetes,
    "airflow": airflow,
    "dagster": dagster,
}


def _python(job: Job) -> dict[str, str]:
    """Returns what both engines written in Python take; JSON of text is Python, too."""
    return {
        "secrets": _secrets(job, job.here),
        "apps": _literal(job.apps),
        "command": _literal(job.program),
        "folder": json.dumps(str(job.folder), ensure_ascii=False),
        "settings": _literal(job.here.environ),
        "max_time_seconds": f"{job.max_time:.0f}",
        "max_time_flag": json.dumps(f"--max-time={interval_text(job.max_time)}"),
        "at_once": str(JOBS),
    }


def _literal(value: Mapping[str, str] | tuple[str, ...]) -> str:
    """Returns a list or a dict of Python, an item a line when there are several."""
    several = len(value) > 1
    text = json.dumps(value, ensure_ascii=False, indent=4 if several else None)
    return text.replace('"\n', '",\n') if several else text


def _secrets(job: Job, shown: Shown, of_apps: str = "SOURCES__DASHLY__APPS__NAME__AUTH_TOKEN for each app") -> str:
    """Returns the names of what nobody else may read."""
    return ", ".join([*([of_apps] if job.apps else []), *shown.secrets]) or "none; the token is where the settings say"


def _kept(shown: Shown) -> str:
    """Returns what becomes of what a run leaves behind on a runner that is thrown away."""
    if not shown.files:
        return "# What is known is in the destination, so that nothing of a run has to be kept here."
    return (
        "# The DuckDB file is kept in the cache of Actions. It holds people's data, and whoever may start a workflow\n"
        "# here can read it. What nobody used for 7 days is dropped, so is what exceeds 10 GB. Better: Postgres."
    )


def _writable(job: Job) -> str:
    """Returns the lines that let a run write; systemd itself makes what lies in /var/lib."""
    metrics = job.here.environ.get("DASHLY_METRICS_FILE")
    files = [*map(Path, job.here.files), *job.written, *([Path(metrics)] if metrics else [])]
    folders = {job.state_dir, *(file.parent for file in files)}
    lines = []
    if job.state_dir.parent == Path("/var/lib"):
        folders.discard(job.state_dir)
        lines = [f"StateDirectory={_unit_word(job.state_dir.name, dollar='$')}", "StateDirectoryMode=0700"]
    return _lines([*lines, *(f"ReadWritePaths={_unit_word(f'-{path}', dollar='$')}" for path in sorted(folders))])


def _word(path: Path) -> str:
    return shlex.quote(str(path))


def _unit_word(text: str, dollar: str = "$$") -> str:
    """Returns a word as systemd reads it in a line of several.

    Args:
        text: The word.
        dollar: How a dollar sign is written: doubled among the arguments of a command, and only there.

    Example:
        >>> print(_unit_word("run"), _unit_word('50% of "a b"'), _unit_word("$self_app"))
        run "50%% of \\"a b\\"" $$self_app
    """
    text = text.replace("%", "%%").replace("$", dollar)
    if text and not set(text) & set(" '\"\\;"):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(lines)


def _filled(template: str, **values: str) -> str:
    """Returns a template with its values; a line that is nothing but an empty value goes."""
    nothing = "\0"  # which is in no template and no setting
    text = (package_files("dashly_sync") / "schedules" / f"{template}.tmpl").read_text(encoding="utf-8")
    filled = Template(text).substitute({name: value or nothing for name, value in values.items()})
    return re.sub(f"^{nothing}\n", "", filled, flags=re.MULTILINE).replace(nothing, "")
