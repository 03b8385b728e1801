"""The dbt package on a synced DuckDB file: it builds, all of its tests pass, and its sources are fresh.

dbt wants older versions of what this project uses, so it lives in an environment of its own, `dbt` in the tests' one,
which the first run makes. Nothing of dbt is told to its makers.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from tests.conftest import Warehouse

from dashly.endpoints import DEFAULT_RESOURCES
from dashly_simulator import Simulator, SimulatorSettings, serve
from dashly_state.budget import RateLimit
from dashly_sync.run import Run, RunLimits
from dashly_sync.settings import Settings
from dashly_sync.signals import StopSignal
from dashly_warehouse.views import DBT_PACKAGE, read_models

REQUIREMENTS = Path(__file__).with_name("dbt_requirements.txt")
PLACE = Path(sys.prefix) / "dbt"

PROJECT = """
name: mine
profile: mine
flags:
  send_anonymous_usage_stats: false
vars:
  dashly:
    opening_hours: "(1, '00:00', '24:00'), (2, '00:00', '24:00')"
    time_zone: Europe/Berlin
"""
PROFILES = """
mine:
  target: test
  outputs:
    test: {{type: duckdb, path: '{file}', schema: marts, threads: 1}}
"""
PACKAGES = """
packages:
  - local: {package}
"""


@pytest.fixture
def dbt(tmp_path: Path) -> Callable[..., str]:
    """Runs dbt in a project that has the package, and returns what it printed."""
    program = _installed()
    project = tmp_path / "project"
    project.mkdir()
    (project / "dbt_project.yml").write_text(PROJECT)
    (project / "profiles.yml").write_text(PROFILES.format(file=tmp_path / "warehouse.duckdb"))
    (project / "packages.yml").write_text(PACKAGES.format(package=DBT_PACKAGE))
    environ = {**os.environ, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "DBT_PROFILES_DIR": str(project)}

    def run(*arguments: str) -> str:
        command = [str(program), "--no-use-colors", *arguments]
        ended = subprocess.run(command, cwd=project, env=environ, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout + ended.stderr

    return run


@pytest.mark.soak
def test_the_package_builds_and_its_tests_pass(
    dbt: Callable[..., str], duckdb_warehouse: Warehouse, tmp_path: Path
) -> None:
    simulator = Simulator(SimulatorSettings(users=60, conversations=80, clock="real"))
    with serve(simulator) as server:
        settings = Settings(
            auth_token=simulator.settings.auth_token,
            base_url=server.base_url,
            destination=duckdb_warehouse.destination,
            state_dir=tmp_path / "state",
            rate_limit=RateLimit(1_000_000, 60.0),
        )
        Run(settings, RunLimits(DEFAULT_RESOURCES), StopSignal()).carry_out()
    dbt("deps")
    built = dbt("build")
    fresh = dbt("source", "freshness")

    assert "ERROR=0" in built
    assert "WARN=0" in built
    assert "deprecat" not in built.lower()
    assert "PASS freshness of dashly.sync_runs" in fresh
    with duckdb.connect(duckdb_warehouse.location) as connection:
        for model in read_models():
            if model.name in ("business_hours", "conversation_durations"):  # by other hours, and with other rows in sum
                continue
            counts = f"select (select count(*) from dashly.{model.name}), (select count(*) from marts.{model.name})"
            ours, theirs = connection.execute(counts).fetchone() or (0, 0)
            assert (model.name, ours) == (model.name, theirs)
        weekdays = connection.execute(
            "select distinct extract(isodow from opens_at) from marts.business_hours"
        ).fetchall()
        assert len(weekdays) <= 3


def _installed() -> Path:
    """Returns the path of dbt, installed where the requirements are what they were."""
    stamp = PLACE / "requirements.txt"
    wanted = REQUIREMENTS.read_text()
    if not stamp.exists() or stamp.read_text() != wanted:
        venv.EnvBuilder(with_pip=True, clear=True).create(PLACE)
        pip = [str(PLACE / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", str(REQUIREMENTS)], check=True)
        stamp.write_text(wanted)
    return PLACE / "bin" / "dbt"
