"""Makes the samples of a version that is about to be released, for `tests/end_to_end/test_upgrade.py`.

    .venv/bin/python tests/samples/make.py 0.1.0

Each is what a killed run of this version leaves on a machine: the DuckDB file and the whole state directory. `journal`
was killed in its second slice, with pages that no load has taken up; `package` while dlt loaded its second package.
"""

from __future__ import annotations

import os
import signal
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import requests

from dashly.endpoints import DEFAULT_RESOURCES
from dashly_simulator import Simulator, SimulatorAdapter, SimulatorSettings
from dashly_state.budget import RateLimit
from dashly_state.clock import VirtualClock
from dashly_sync.run import Run, RunLimits
from dashly_sync.settings import Settings
from dashly_sync.signals import StopSignal

ACCOUNT = {"users": 6, "conversations": 5, "events_per_user": 30.0, "parts_per_conversation": 5.0}
COMMITTED, FETCHED = 6, 4
"""Requests of the first slice, and of the one that was killed."""
HERE = Path(__file__).parent


class Interrupted(requests.Session):
    """A session in front of a simulated app, in which `then` happens instead of its n-th answer."""

    def __init__(self, at: int, then: Callable[[], Any]) -> None:
        super().__init__()
        self._left, self._then = at, then
        self.simulator = Simulator(SimulatorSettings(**ACCOUNT))  # type: ignore[arg-type]
        self.mount("http://", SimulatorAdapter(self.simulator))

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        if self._left == 0:
            self._then()
        self._left -= 1
        return super().request(*args, **kwargs)


def settings() -> Settings:
    """Relative paths and a host that is nowhere: what the sample holds means the same on every machine."""
    return Settings(
        auth_token=SimulatorSettings().auth_token,
        base_url="http://simulated.invalid/v1",
        destination="duckdb:///warehouse.duckdb",
        state_dir=Path("state"),
        rate_limit=RateLimit(60, 60.0),
        reconcile_share=0.0,
    )


def run(session: requests.Session, **limits: Any) -> Run:
    """A run in virtual time, an hour after the account was made."""
    clock = VirtualClock(SimulatorSettings().start_time.timestamp() + 3600)
    return Run(settings(), RunLimits(DEFAULT_RESOURCES, **limits), StopSignal(), clock=clock, session=session)


def die() -> NoReturn:
    """Ends the process as a power cut does."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def two_slices(kill_at: int | None) -> None:
    """One run that ends at a limit, and one that is killed at a request, or goes on."""
    run(Interrupted(-1, die), max_requests=COMMITTED).carry_out()
    run(Interrupted(-1 if kill_at is None else kill_at, die)).carry_out()


def killed_with_a_journal(child: int) -> bool:
    """Waits for the child, which kills itself."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def killed_with_a_package(child: int) -> bool:
    """Kills the child when it has begun to load its second package; False when it was too quick."""
    loads = {}
    while True:
        loads |= {
            path.parent.name: path for path in Path("state").glob("pipelines/*/dashly/load/normalized/*/new_jobs")
        }
        if len(loads) == 2:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return any(Path("state").glob("pipelines/*/dashly/load/normalized/*"))
        if os.waitpid(child, os.WNOHANG)[0]:
            return False
        time.sleep(0.001)


def make(name: str, kill_at: int | None, is_killed: Callable[[int], bool]) -> None:
    """Writes one sample, again and again until it is what it should be."""
    while True:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            child = os.fork()
            if child == 0:
                two_slices(kill_at)
                os._exit(0)
            if is_killed(child):
                with tarfile.open(HERE / f"{name}.tar.gz", "w:gz") as archive:
                    archive.add("warehouse.duckdb")
                    archive.add("state")
                return


if __name__ == "__main__":
    version = sys.argv[1]
    make(f"{version}-journal", FETCHED, killed_with_a_journal)
    make(f"{version}-package", None, killed_with_a_package)
