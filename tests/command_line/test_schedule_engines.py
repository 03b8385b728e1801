"""What `schedule` makes, taken by what it is made for: Airflow, Dagster, and the linters of workflows and clusters.

Each lives in an environment of its own below the tests' one, which the first run makes, as it wants other versions of
what is used here. None of them tells its makers anything.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import venv
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.command_line.test_schedule import APPS, JOB, ODD

from dashly_sync.schedule_artefacts import Job, artefacts

REQUIREMENTS = Path(__file__).with_name("engines")
TOO_LONG_SECONDS = 180.0
PROGRAM = """#!/bin/sh
# stands in for dashly-sync: works until it is told to stop, commits, and ends as a run does
trap 'echo "$3 committed" >> "$TOLD"; exit 143' TERM
echo "$3 began with $DASHLY_DATASET" >> "$TOLD"
[ "$3" = shop ] && exit 5
[ -z "$LASTS" ] || while true; do sleep 0.1; done
"""
LOAD_DAG = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
assert not bag.import_errors, bag.import_errors
dag = bag.dags["dashly_sync"]
one = dag.tasks[0]
print(json.dumps({
    "every": dag.schedule.total_seconds(),
    "runs": dag.max_active_runs, "tasks at once": dag.max_active_tasks, "catchup": dag.catchup,
    "tasks": [task.task_id for task in dag.tasks],
    "retries": one.retries, "longest": one.execution_timeout.total_seconds(), "skips": list(one.skip_on_exit_code),
    "pool": one.pool, "upstream": sorted(one.upstream_task_ids),
}))
"""
KILL_TASK = """
import json, sys, threading, time
from pathlib import Path
from airflow.dag_processing.dagbag import DagBag
task = DagBag(sys.argv[1]).dags["dashly_sync"].tasks[0]

def kill():
    while not Path(sys.argv[2]).exists():
        time.sleep(0.1)
    task.on_kill()

threading.Thread(target=kill).start()
try:
    task.execute({})
except Exception as error:
    print(json.dumps(str(error)))
"""
LOAD_DEFINITIONS = """
import json, sys
import dagster as dg
sys.path.insert(0, sys.argv[1])
from dashly_sync_definitions import dashly, defs
job, schedule = defs.resolve_job_def("dashly_sync"), defs.resolve_schedule_def("every_15m")
with dg.DagsterInstance.get() as instance:
    busy = instance.create_run_for_job(job, tags={"dagster/partition": "blog"}, status=dg.DagsterRunStatus.STARTED)
    with dg.build_schedule_context(instance, repository_def=defs.get_repository_def()) as context:
        requests = [request.partition_key for request in schedule.evaluate_tick(context).run_requests]
print(json.dumps({
    "cron": schedule.cron_schedule, "status": schedule.default_status.value, "pool": list(dashly.op.pools or ()),
    "partitions": list(dashly.partitions_def.get_partition_keys()), "longest": job.tags["dagster/max_runtime"],
    "requests": requests,
}))
"""


def environment(name: str) -> Path:
    """The programs of an environment that has what `engines/NAME.txt` says."""
    place, wanted = Path(sys.prefix) / name, (REQUIREMENTS / f"{name}.txt").read_text()
    stamp = place / "requirements.txt"
    if not stamp.exists() or stamp.read_text() != wanted:
        venv.EnvBuilder(with_pip=True, clear=True).create(place)
        pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", str(REQUIREMENTS / f"{name}.txt")], check=True)
        stamp.write_text(wanted)
    return place / "bin"


def ran(command: Sequence[Path | str], **environ: str) -> str:
    """What a program printed that ended well."""
    words = [str(word) for word in command]
    ended = subprocess.run(words, env={**os.environ, **environ}, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def last_json(printed: str) -> Any:
    """The JSON in the last line; engines log above it."""
    return json.loads(printed.rstrip().rpartition("\n")[2])


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """Two apps and a program that stands in for dashly-sync."""
    program = tmp_path / "dashly-sync"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    said = {"destination": "postgresql://me@localhost/crm", "dataset_name": "50% 'crm' {{ x }}"}
    return replace(JOB, program=(str(program),), apps=APPS, said=said, folder=tmp_path)


def written(target: str, job: Job, folder: Path) -> Iterator[Path]:
    """The files of an artefact."""
    folder.mkdir(exist_ok=True)
    for name, text in artefacts(target, job).items():
        (folder / name).write_text(text)
        yield folder / name


# ---- linters --------------------------------------------------------------------------------------------------------


@pytest.mark.soak
@pytest.mark.parametrize("apps", [(), APPS], ids=["one", "apps"])
@pytest.mark.parametrize(
    "said", [{}, {"destination": "postgresql://me@h/db", "dataset_name": ODD}], ids=["duckdb", "odd"]
)
def test_the_linters_find_nothing(apps: tuple[str, ...], said: dict[str, str], tmp_path: Path) -> None:
    programs = environment("linters")
    job = replace(JOB, apps=apps, said=said)
    (workflow,) = written("github", job, tmp_path)
    dockerfile, cronjob = written("kubernetes", job, tmp_path)

    ran([programs / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", workflow])
    ran([programs / "actionlint", workflow], PATH=f"{programs}:{os.environ['PATH']}")
    ran([programs / "hadolint", dockerfile])
    for version in ("1.27", "1.32", "1.37"):  # 1.27 is the first with time zones of cron jobs
        ran([programs / "kubernetes-validate", "--strict", "-k", version, cronjob])


# ---- Airflow --------------------------------------------------------------------------------------------------------


@pytest.fixture
def airflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The programs of Airflow, with a home of its own."""
    for name, value in {
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags"),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "TOLD": str(tmp_path / "told"),
    }.items():
        monkeypatch.setenv(name, value)
    return environment("airflow")


@pytest.mark.soak
def test_airflow_takes_the_dag_with_a_task_for_each_app(airflow: Path, job: Job, tmp_path: Path) -> None:
    list(written("airflow", job, tmp_path / "dags"))

    found = last_json(ran([airflow / "python", "-c", LOAD_DAG, tmp_path / "dags"]))

    assert {
        "every": 900.0,
        "runs": 1,
        "tasks at once": 4,
        "catchup": False,
        "tasks": ["sync_blog", "sync_shop"],
        "retries": 2,
        "longest": 840.0 + 600.0,
        "skips": [5],
        "pool": "default_pool",
        "upstream": [],
    } == found


@pytest.mark.soak
def test_a_task_that_airflow_kills_is_told_to_commit(airflow: Path, job: Job, tmp_path: Path) -> None:
    list(written("airflow", job, tmp_path / "dags"))

    printed = ran([airflow / "python", "-c", KILL_TASK, tmp_path / "dags", tmp_path / "told"], LASTS="1")

    assert ["blog began with 50% 'crm' {{ x }}", "blog committed"] == (tmp_path / "told").read_text().splitlines()
    assert "non-zero exit code 143" in last_json(printed)


@pytest.mark.soak
def test_airflow_runs_the_dag_and_skips_an_app_whose_run_is_at_work(airflow: Path, job: Job, tmp_path: Path) -> None:
    list(written("airflow", job, tmp_path / "dags"))
    ran([airflow / "airflow", "db", "migrate"])

    printed = ran([airflow / "airflow", "dags", "test", "dashly_sync"])

    told = (tmp_path / "told").read_text().splitlines()
    assert [f"{app} began with 50% 'crm' {{{{ x }}}}" for app in APPS] == sorted(told)
    assert (1, 1) == (printed.count("new_state=success"), printed.count("new_state=skipped"))


# ---- Dagster --------------------------------------------------------------------------------------------------------


@pytest.fixture
def dagster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The programs of Dagster, with a home of its own."""
    home = tmp_path / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.setenv("TOLD", str(tmp_path / "told"))
    return environment("dagster")


@pytest.mark.soak
def test_dagster_takes_the_definitions_with_a_partition_for_each_app(dagster: Path, job: Job, tmp_path: Path) -> None:
    """The app whose last run is at work is not asked for again."""
    list(written("dagster", job, tmp_path))

    found = last_json(ran([dagster / "python", "-c", LOAD_DEFINITIONS, tmp_path]))

    assert {
        "cron": "*/15 * * * *",
        "status": "RUNNING",
        "pool": ["dashly"],
        "partitions": ["blog", "shop"],
        "longest": "2040",
        "requests": ["shop"],
    } == found


@pytest.mark.soak
def test_a_run_that_dagster_ends_is_told_to_commit_and_does_not_begin_again(
    dagster: Path, job: Job, tmp_path: Path
) -> None:
    (file,) = written("dagster", job, tmp_path)
    told = tmp_path / "told"
    started = subprocess.Popen(
        [*_execute(dagster, file), '{"dagster/partition": "blog"}'], env={**os.environ, "LASTS": "1"}
    )
    end = time.monotonic() + TOO_LONG_SECONDS
    while not told.exists():
        assert time.monotonic() < end
        time.sleep(0.1)

    started.send_signal(signal.SIGTERM)

    assert 0 != started.wait(TOO_LONG_SECONDS)
    assert ["blog began with 50% 'crm' {{ x }}", "blog committed"] == told.read_text().splitlines()


@pytest.mark.soak
def test_dagster_materializes_what_was_synced_and_nothing_when_another_run_is_at_work(
    dagster: Path, job: Job, tmp_path: Path
) -> None:
    (file,) = written("dagster", job, tmp_path)
    events = {}
    for app in APPS:
        command = [*_execute(dagster, file), json.dumps({"dagster/partition": app})]
        ended = subprocess.run(command, capture_output=True, text=True, check=True)
        events[app] = ended.stdout + ended.stderr

    assert "ASSET_MATERIALIZATION" in events["blog"]
    assert "ASSET_MATERIALIZATION" not in events["shop"]
    assert "Another run of this app is at work." in events["shop"]


def _execute(programs: Path, file: Path) -> list[str]:
    return [str(programs / "dagster"), "job", "execute", "-f", str(file), "-j", "dashly_sync", "--tags"]
