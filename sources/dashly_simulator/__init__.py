"""A stand-in for the Dashly Web API that behaves as its documents say: for demos, tests and notebooks.

Example:
    >>> from dashly_simulator import Simulator, SimulatorSettings
    >>> sim = Simulator(SimulatorSettings(users=20, conversations=10))
    >>> sim.answer("GET", "/v1/apps/1/users", {"auth_token": sim.settings.auth_token}).status
    200
    >>> sim.requests.by_endpoint
    Counter({'GET /apps/{id}/users': 1})
"""

from __future__ import annotations

from .answers import Answer
from .faults import Faults
from .server import Server, run_forever, serve
from .settings import SimulatorSettings
from .simulator import Simulator
from .transport import SimulatorAdapter

__all__ = ["Answer", "Faults", "Server", "Simulator", "SimulatorAdapter", "SimulatorSettings", "run_forever", "serve"]
