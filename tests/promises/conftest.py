"""What the promises are tried on: a simulated account over HTTP, the same in virtual time, and the command itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from tests.command_line.conftest import app, shell, synced
from tests.conftest import Warehouse
from tests.end_to_end.conftest import account

from dashly.endpoints import DEFAULT_RESOURCES
from dashly_simulator import Simulator, SimulatorAdapter, SimulatorSettings
from dashly_state.budget import RateLimit
from dashly_state.clock import VirtualClock
from dashly_sync.run import Run, RunLimits
from dashly_sync.run_log import RunRecord
from dashly_sync.settings import Settings
from dashly_sync.signals import StopSignal

__all__ = ["account", "app", "shell", "synced"]


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
