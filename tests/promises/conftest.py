"""What the promises are tried on: a simulated account over HTTP, the same in virtual time, and the command itself."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from tests.command_line.conftest import app, commands, shell, synced
from tests.conftest import Warehouse
from tests.end_to_end.conftest import Account, account

from dashly.endpoints import DEFAULT_RESOURCES
from dashly_simulator import Simulator, SimulatorAdapter, SimulatorSettings
from dashly_state.budget import RateLimit
from dashly_state.clock import VirtualClock
from dashly_sync.run import Run, RunLimits
from dashly_sync.run_log import RunRecord
from dashly_sync.settings import Settings
from dashly_sync.signals import StopSignal

__all__ = ["account", "app", "commands", "shell", "synced"]


PROGRAM = Path(__file__).parent / "programs" / "forking_runs.py"


class Runs:
    """Children that sync, one after the other."""

    def __init__(self, app: Account, warehouse: Warehouse) -> None:
        self.app, self.warehouse = app, warehouse
        self._process = subprocess.Popen(
            [sys.executable, str(PROGRAM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def sync(self, state: str, destination: str, **how: object) -> str:
        """Returns how a child that syncs into the destination ended."""
        command = {
            "token": self.app.simulator.settings.auth_token,
            "base_url": self.app.server.base_url,
            "destination": destination,
            "state_dir": str(self.app.state_dir.with_name(state)),
            "rate_limit": "1000000/60",
            **how,
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(command), file=self._process.stdin, flush=True)
        return str(json.loads(self._process.stdout.readline())["ended"])

    def close(self) -> None:
        self._process.communicate()


class VirtualApp:
    """A simulated app, read in virtual time under the real limit of 60 requests a minute."""

    def __init__(
        self,
        warehouse: Warehouse,
        state_dir: Path,
        reconcile_share: float = 0.0,
        resources: tuple[str, ...] = DEFAULT_RESOURCES,
        **settings: float,
    ) -> None:
        self.resources = resources
        self.simulator = Simulator(SimulatorSettings(**settings))  # type: ignore[arg-type]
        self.clock = VirtualClock(self.simulator.clock.now())
        self.settings = Settings(
            auth_token=self.simulator.settings.auth_token,
            base_url="http://simulated.invalid/v1",
            destination=warehouse.destination,
            state_dir=state_dir,
            rate_limit=RateLimit(60, 60.0),
            reconcile_share=reconcile_share,
        )

    def sync(self, **limits: float) -> tuple[RunRecord, float]:
        """One run; returns its record and how long it took, virtual seconds."""
        began = self.clock.monotonic()
        with self._session() as session:
            how_far = RunLimits(self.resources, **limits)  # type: ignore[arg-type]
            record = Run(self.settings, how_far, StopSignal(), clock=self.clock, session=session).carry_out()
        return record, self.clock.monotonic() - began

    @contextmanager
    def _session(self) -> Iterator[requests.Session]:
        with requests.Session() as session:
            session.mount("http://", SimulatorAdapter(self.simulator))
            yield session
