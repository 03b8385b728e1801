"""`dashly-sync schedule`: each artefact holds the user's settings and no secret, and is taken as it is meant."""

from __future__ import annotations

import ast
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.command_line.conftest import App, Shell, equals_golden

from dashly_state.clock import SystemClock, VirtualClock
from dashly_sync.durations import interval_text, parse_duration
from dashly_sync.schedule_artefacts import COMMIT_SECONDS, TARGETS, Job, artefacts
from dashly_sync.schedule_command import _job
from dashly_sync.schedule_cron import EXPRESSIBLE, calendar_expression, cron_expression
from dashly_sync.schedule_foreground import ChildRun, Timekeeper
from dashly_sync.settings import UsageError
from dashly_sync.signals import StopSignal

JOB = Job(
    program=("/opt/dashly/bin/dashly-sync",),
    every=900,
    max_time=840,
    apps=(),
    said={"destination": "duckdb:///crm.duckdb", "dataset_name": "crm", "rate_limit": "30/60"},
    written=(),
    folder=Path("/srv/dashly"),
    state_dir=Path("/var/lib/dashly-sync"),
    env_file=Path("/home/me/.config/dashly-sync/environment"),
    user="me",
    version="1.2.3",
)
APPS = ("blog", "shop")
SYSTEMD_ANALYZE = shutil.which("systemd-analyze")
ODD = "50% of 'a $HOME' \"b\" \\ `c` ${{ d }} $(e) {{ f }} ; #"
"""Text that means something to every reader of an artefact."""


def made(target: str, job: Job = JOB) -> str:
    """The artefact's only file, or the last of several."""
    return list(artefacts(target, job).values())[-1]


# ---- what is printed ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", TARGETS)
def test_an_artefact_reads_as_agreed(target: str) -> None:
    several = artefacts(target, JOB).items()

    equals_golden(f"schedule_{target}", "".join(f"==> {name}\n{text}" for name, text in several))


def test_files_are_written_where_the_user_says_with_the_command_that_is_installed(shell: Shell) -> None:
    """Settings come from the flag, the environment and dlt's configuration; apps are found in both of its files."""
    configuration = shell.folder / ".dlt"
    configuration.mkdir()
    (configuration / "config.toml").write_text(
        '[sources.dashly]\nrate_limit = "30/60"\n[sources.dashly.apps.blog]\ndestination = "duckdb:////srv/b/b.duckdb"\n'
    )
    (configuration / "secrets.toml").write_text('[sources.dashly.apps.shop]\nauth_token = "app.s3cr3t"\n')
    shell.environ |= {"DASHLY_DESTINATION": "postgresql://me:s3cr3t@localhost/crm"}

    ended = shell.run("schedule", "systemd", "--every", "90m", "--dataset", "crm", "-o", "units")

    service = (shell.folder / "units" / "dashly-sync.service").read_text()
    script = Path(sys.executable).with_name("dashly-sync")
    assert (0, "", "units/dashly-sync.service\nunits/dashly-sync.timer\n") == (ended.exit, ended.stderr, ended.stdout)
    assert f"ExecStart={script} run --all --max-time=1h29m\n" in service
    assert "Environment=DASHLY_RATE_LIMIT=30/60\nEnvironment=DASHLY_DATASET=crm\n" in service
    assert "ReadWritePaths=-/srv/b\n" in service
    assert "DASHLY_DESTINATION" in service, "named as what belongs into the secret place"
    assert "s3cr3t" not in service
    assert "OnUnitActiveSec=5400\n" in (shell.folder / "units" / "dashly-sync.timer").read_text()


@pytest.mark.parametrize("apps", [False, True], ids=["one", "apps"])
def test_no_artefact_holds_a_secret(apps: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither what is secret by itself nor what a URI hides; each is named as what belongs into the secret place."""
    for name in ("AUTH_TOKEN", "MASK_KEY"):
        monkeypatch.setenv(f"DASHLY_{name}", "s3cr3t")
    monkeypatch.setenv("DASHLY_WEBHOOK_URL", "https://hooks.example.com/s3cr3t")
    for app in APPS if apps else ():
        monkeypatch.setenv(f"SOURCES__DASHLY__APPS__{app.upper()}__AUTH_TOKEN", "app.s3cr3t")
    job = _job(900, 840, {"app": None, "destination": "postgresql://me:s3cr3t@localhost/crm"})

    assert (APPS if apps else ()) == job.apps
    assert "s3cr3t" not in repr(job)
    for target in TARGETS:
        text = "".join(artefacts(target, job).values())
        assert "s3cr3t" not in text
        for name in ("DASHLY_DESTINATION", "DASHLY_MASK_KEY", "DASHLY_WEBHOOK_URL"):
            assert name in text or (apps and "mask_key, webhook" in text)
        assert apps or "DASHLY_AUTH_TOKEN" in text


@pytest.mark.parametrize(
    "destination",
    ["postgresql://me@h/db?password=s3cr3t", "postgres://me:s3c@r3t@h/db", "postgresql://h/?sslpassword=S"],
)
def test_a_uri_with_a_password_anywhere_is_left_out(destination: str) -> None:
    job = replace(JOB, said={"destination": destination})

    assert "DASHLY_DESTINATION" in job.here.secrets
    assert "DASHLY_DESTINATION" not in job.here.environ


def test_a_token_that_lies_in_a_file_stays_there() -> None:
    """On this machine its path is shown; another one does not have it."""
    job = replace(JOB, said={"auth_token_file": "token.txt", "mask_key_file": "/k"})

    assert () == job.here.secrets
    assert "/srv/dashly/token.txt" == job.here.environ["DASHLY_AUTH_TOKEN_FILE"]
    assert "secrets.DASHLY_AUTH_TOKEN" in made("github", job)
    assert "secrets.DASHLY_MASK_KEY" in made("github", job)
    assert "token.txt" not in made("github", job)


def test_paths_are_absolute_and_those_of_another_machine_are_in_the_folder_that_lasts() -> None:
    job = replace(JOB, said={"destination": "duckdb:///data/crm.duckdb", "snapshot": "read.duckdb"})

    assert "duckdb:////srv/dashly/data/crm.duckdb" == job.here.environ["DASHLY_DESTINATION"]
    assert "/srv/dashly/read.duckdb" == job.here.environ["DASHLY_SNAPSHOT"]
    assert {"name": "DASHLY_DESTINATION", "value": "duckdb:////data/crm.duckdb"} in container(job)["env"]


def test_a_line_break_in_a_setting_is_refused() -> None:
    with pytest.raises(UsageError, match="DASHLY_DATASET: a value with a line break"):
        made("systemd", replace(JOB, said={"dataset_name": "crm\nExecStart=/bin/sh"}))


# ---- intervals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("every", "nearest"),
    [("7m", "6m and 10m"), ("90m", "1h and 2h"), ("30s", "1m"), ("2d", "1d and 7d"), ("30d", "7d")],
)
@pytest.mark.parametrize("target", ["crontab", "github", "kubernetes", "dagster"])
def test_an_interval_that_cron_cannot_say_names_the_nearest_that_it_can(target: str, every: str, nearest: str) -> None:
    if target == "github" and every == "30s":
        nearest = "5m"
    with pytest.raises(UsageError, match=f"--every .*: .* The nearest that it can: {nearest}\\. "):
        made(target, replace(JOB, every=parse_duration(every)))


def test_a_time_limit_that_exceeds_the_interval_is_a_usage_error(shell: Shell) -> None:
    ended = shell.run("schedule", "crontab", "--every", "15m", "--max-time", "20m")

    assert (2, "") == (ended.exit, ended.stdout)
    assert "--max-time 20m: a run has to end before the next one starts" in ended.stderr


@pytest.mark.parametrize("every", EXPRESSIBLE, ids=interval_text)
def test_every_interval_that_cron_can_say_is_met_all_day(every: int) -> None:
    """The starts that the fields allow are as far apart as the interval, over midnight too."""
    minutes, hours, *_ = cron_expression(every, minute=7).split()
    starts = [hour * 60 + minute for hour in _values(hours, 24) for minute in _values(minutes, 60)]
    gaps = {(later - start) % 1440 for start, later in zip(starts, [*starts[1:], starts[0]], strict=True)}

    assert {(every // 60) % 1440} == gaps
    assert calendar_expression(every) is not None


def _values(field: str, end: int) -> list[int]:
    span, _, step = field.partition("/")
    first = 0 if span == "*" else int(span.partition("-")[0])
    return [first] if span.isdecimal() else list(range(first, end, int(step or 1)))


# ---- what a reader of an artefact makes of it -----------------------------------------------------------------------


def test_the_line_of_the_crontab_does_what_it_says(tmp_path: Path) -> None:
    """By the shell that cron takes, in the little environment that it gives: settings, secrets, log, exit code."""
    folder = tmp_path / "50% of 'it'"
    folder.mkdir()
    program = folder / "dashly-sync"
    program.write_text('#!/bin/sh\necho "$DASHLY_DATASET|$DASHLY_AUTH_TOKEN|$PWD|$*"\nexit 4\n')
    program.chmod(0o755)
    secrets = folder / "environment"
    secrets.write_text("DASHLY_AUTH_TOKEN='to ken'\n")
    job = replace(
        JOB,
        program=(str(program),),
        said={"dataset_name": ODD},
        folder=folder,
        env_file=secrets,
        state_dir=folder / "s",
    )
    line = made("crontab", job).rstrip().rpartition("\n")[2]
    fields, command = line.split(" ", 5)[:5], line.split(" ", 5)[5]

    assert "%" not in command.replace(r"\%", "")

    as_cron = command.replace(r"\%", "%")
    ended = subprocess.run(["/bin/sh", "-c", as_cron], env={"PATH": "/usr/bin:/bin"}, capture_output=True, check=False)

    assert ["*/15", "*", "*", "*", "*"] == fields
    assert (4, b"", b"") == (ended.returncode, ended.stdout, ended.stderr)
    assert f"{ODD}|to ken|{folder}|run --max-time=14m\n" == (folder / "s" / "cron.log").read_text()


def test_a_line_that_cron_would_cut_is_refused() -> None:
    with pytest.raises(UsageError, match=r"cron takes no line this long \(\d+ bytes; 998 are the most\)"):
        made("crontab", replace(JOB, said={"business_hours": "x" * 900}))


@pytest.mark.skipif(SYSTEMD_ANALYZE is None, reason="no systemd here")
@pytest.mark.parametrize("every", [900, 420])
def test_systemd_finds_nothing_wrong_with_the_units(every: int, tmp_path: Path) -> None:
    job = replace(
        JOB, every=every, program=(sys.executable, "-m", "dashly_sync"), said={"dataset_name": ODD}, user="root"
    )
    units = artefacts("systemd", replace(job, folder=tmp_path))
    for name, text in units.items():
        (tmp_path / name).write_text(text)

    files = [str(tmp_path / name) for name in units]
    ended = subprocess.run([str(SYSTEMD_ANALYZE), "verify", *files], capture_output=True, text=True, check=False)

    assert (0, "", "") == (ended.returncode, ended.stdout, ended.stderr)


def test_systemd_makes_a_state_directory_of_its_own_and_is_told_of_any_other() -> None:
    own, other = made_service(JOB), made_service(replace(JOB, state_dir=Path("/home/me/.local/state/dashly-sync")))

    assert "StateDirectory=dashly-sync\nStateDirectoryMode=0700\nReadWritePaths=-/srv/dashly\n" in own
    assert "StateDirectory" not in other
    assert "ReadWritePaths=-/home/me/.local/state/dashly-sync\n" in other


def made_service(job: Job) -> str:
    """The service beside the timer."""
    return artefacts("systemd", job)["dashly-sync.service"]


def test_the_workflow_keeps_a_duckdb_file_and_nothing_of_a_run_into_postgres() -> None:
    kept, thrown_away = (
        yaml.safe_load(made("github", replace(JOB, said={"destination": destination})))["jobs"]["sync"]
        for destination in ("duckdb:///crm.duckdb", "postgresql://me@h/db")
    )

    assert ["setup-python", "restore", "save"] == [_action(step) for step in kept["steps"] if "uses" in step]
    assert "always()" == kept["steps"][-1]["if"]
    assert ["setup-python"] == [_action(step) for step in thrown_away["steps"] if "uses" in step]


def _action(step: dict[str, Any]) -> str:
    return str(step["uses"]).rpartition("@")[0].rpartition("/")[2]


def test_the_workflow_ends_before_github_ends_it() -> None:
    job = yaml.safe_load(made("github", replace(JOB, every=86_400, max_time=86_340)))["jobs"]["sync"]

    assert 350 == job["timeout-minutes"]
    assert "exec dashly-sync run --max-time=5h40m" == job["steps"][-2]["run"]


def container(job: Job) -> Any:
    """The container of the CronJob."""
    _, cronjob = yaml.safe_load_all(made("kubernetes", job))
    (found,) = cronjob["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    return found


def test_several_apps_come_from_a_mounted_file_and_one_from_the_environment() -> None:
    one, several = container(JOB), container(replace(JOB, apps=APPS))

    assert [{"secretRef": {"name": "dashly-sync"}}] == one["envFrom"]
    assert "envFrom" not in several
    assert "/etc/dashly-sync/.dlt" == several["volumeMounts"][-1]["mountPath"]
    assert "/etc/dashly-sync" == several["workingDir"]
    assert ["run", "--all", "--max-time=14m"] == several["args"]


def test_yaml_holds_the_settings_as_they_are() -> None:
    """But for what GitHub and Kubernetes would take for an expression of theirs."""
    job = replace(JOB, said={"dataset_name": ODD})
    workflow = yaml.safe_load(made("github", job))

    assert ODD.replace("${{", "${{ '${{' }}") == workflow["jobs"]["sync"]["env"]["DASHLY_DATASET"]
    assert {"name": "DASHLY_DATASET", "value": ODD.replace("$(", "$$(")} in container(job)["env"]


@pytest.mark.parametrize("target", ["airflow", "dagster"])
def test_the_programs_hold_the_settings_as_they_are_and_are_well_formed(target: str, tmp_path: Path) -> None:
    (name,) = artefacts(target, JOB)
    file = tmp_path / name
    file.write_text(made(target, replace(JOB, said={"dataset_name": ODD}, apps=APPS)))
    constants = {
        one.targets[0].id: ast.literal_eval(one.value)
        for one in ast.parse(file.read_text()).body
        if isinstance(one, ast.Assign)
        and isinstance(one.targets[0], ast.Name)
        and one.targets[0].id in ("APPS", "SETTINGS")
    }
    assert ODD == constants["SETTINGS"]["DASHLY_DATASET"]
    assert list(APPS) == constants["APPS"]

    ruff = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--isolated",
        "--line-length",
        "120",
        "--select",
        "E,F,W,I,B,UP",
        str(file),
    ]
    ended = subprocess.run(ruff, capture_output=True, text=True, check=False)

    assert 0 == ended.returncode, ended.stdout


def test_apps_that_need_several_rounds_get_the_time_for_them() -> None:
    """`run --all` takes four at once, and each may take as long as its time limit."""
    job = replace(JOB, apps=tuple(f"app_{number}" for number in range(9)))

    assert 3 * 840 + COMMIT_SECONDS == job.limit()
    assert f"TimeoutStartSec={job.limit()}\n" in made_service(job)
    assert "flock -n /var/lib/dashly-sync/cron.lock timeout " in made("crontab", job)


# ---- in the foreground ----------------------------------------------------------------------------------------------


def foreground(every: float, *runs: tuple[float, int]) -> tuple[list[float], list[str]]:
    """When runs start that take so many seconds and end so, and what is said of each; the last is stopped."""
    clock, stop = VirtualClock(start=1_800_000_000.0), StopSignal()
    starts: list[float] = []
    said: list[str] = []

    def run_once() -> int:
        starts.append(clock.monotonic() - 1_800_000_000.0)
        if len(starts) > len(runs):
            stop.event.set()
            return 143
        took, code = runs[len(starts) - 1]
        clock.advance(took)
        return code

    Timekeeper(every, run_once, clock, stop, said.append).keep_time()
    return starts, said


def test_runs_start_at_multiples_of_the_interval_and_never_drift() -> None:
    starts, said = foreground(900, (10, 0), (899, 0), (0.5, 1))

    assert [0, 900, 1800, 2700] == starts
    assert "run done after 10 s; the next at 2027-01-15T08:15:00Z" == said[0]
    assert "run failed (exit 1) after 0.5 s; the next at 2027-01-15T08:45:00Z" == said[2]


def test_a_run_that_takes_longer_lets_starts_be_left_out() -> None:
    starts, said = foreground(900, (2000, 0), (900, 0), (10, 5))

    assert [0, 2700, 4500, 5400] == starts
    assert said[0].endswith("the next at 2027-01-15T08:45:00Z, 2 starts left out as it took so long")
    assert said[1].endswith(", 1 start left out as it took so long")
    assert said[2].startswith("run left out, as another one is at work (exit 5) after 10 s; the next at ")


@pytest.mark.parametrize("code", [2, 3, 4])
def test_failures_that_the_next_run_would_meet_again_wait_longer_each_time_up_to_an_hour(code: int) -> None:
    failing = (1.0, code)
    starts, said = foreground(600, failing, failing, failing, failing, (1.0, 0), failing)

    assert [0, 1200, 3600, 7200, 10_800, 11_400, 12_600] == starts
    assert said[0].endswith("1 start left out after failures in a row")


def test_a_run_that_crashes_or_cannot_start_takes_nobody_along() -> None:
    crash = ChildRun(("/bin/sh", "-c", "kill -9 $$"), {}, StopSignal())
    missing = ChildRun(("/no/such/program",), {}, StopSignal())

    assert (137, 1) == (crash(), missing())


def test_a_signal_between_two_runs_ends_the_waiting() -> None:
    stop = StopSignal()
    child, said = ChildRun(("/bin/true",), {}, stop), list[str]()

    def take(line: str) -> None:
        said.append(line)
        child.receive(signal.SIGINT, None)  # its run is over, which is no error

    Timekeeper(3600, child, SystemClock(), stop, take).keep_time()

    assert signal.SIGINT == stop.number
    assert 1 == len(said)


def test_a_signal_ends_the_run_that_is_at_work_after_its_commit(app: Callable[..., App], shell: Shell) -> None:
    served, warehouse = app(latency_seconds=0.2), shell.warehouse()
    shell.environ |= served.environ
    started = shell.start("schedule", "--every", "1h", "--to", warehouse.destination)
    served.wait_for_requests(5, started)

    ended = started.send(signal.SIGTERM)

    assert (143, "") == (ended.exit, ended.stderr)
    assert "Stopped by a signal, everything read is loaded" in ended.stdout
    assert [("signal", served.cost())] == [(run["outcome"], run["requests"]) for run in warehouse.rows("sync_runs")]
