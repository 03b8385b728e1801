"""Who is compared: how each is started, with which settings, and where it keeps what it read."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from tests.benchmarks.peers import held
from tests.benchmarks.results import ROOT

PROGRAMS = Path(__file__).parent / "programs"
ENVIRONMENTS = ROOT / ".venv" / "peers"
OURS = "dashly-sync"
FOUR_TABLES = "users,events,conversations,parts"
UNLIMITED = 1_000_000
"""Requests a minute where the API sets no limit."""
QUIET = {
    "AIRBYTE_OFFLINE_MODE": "1",
    "DO_NOT_TRACK": "1",
    "AIRBYTE_NO_UV": "1",
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "SINGER_SDK_LOG_LEVEL": "WARNING",
}
"""No telemetry, nothing looked up elsewhere."""


@dataclass(frozen=True)
class Place:
    """Where a run reads, and where it keeps what it read."""

    base_url: str
    token: str
    work: Path
    per_minute: int | None
    """The API's limit, for whoever has a setting for it."""


@dataclass(frozen=True)
class Contestant:
    """A tool in one configuration.

    Attributes:
        name: In the results and on the command line.
        environment: Under .venv/peers; empty for our own.
        package: Whose version is named in the results.
        is_tuned: Plain configurations are left out of the largest account.
        command: What a run is started with.
        held: What it holds then.
    """

    name: str
    environment: str
    package: str
    is_tuned: bool
    command: Callable[[Place], list[str]]
    held: Callable[[Path], held.Held]


def python_of(environment: str) -> str:
    """The interpreter of a peer's virtual environment."""
    return str(ENVIRONMENTS / environment / "bin" / "python")


def _program(environment: str, name: str, place: Place, *more: str) -> list[str]:
    where = ["--base-url", place.base_url, "--token", place.token, "--work", str(place.work)]
    return [python_of(environment), str(PROGRAMS / f"{name}.py"), *more, *where]


def _airbyte(environment: str, into: str) -> Callable[[Place], list[str]]:
    def command(place: Place) -> list[str]:
        budget = [] if place.per_minute is None else ["--rate-limit", str(place.per_minute)]
        return [*_program(environment, "airbyte_load", place, into), *budget]

    return command


def _dlt(mode: str) -> Callable[[Place], list[str]]:
    return lambda place: _program("dlt", "dlt_load", place, "--mode", mode)


def _singer(*more: str) -> Callable[[Place], list[str]]:
    return lambda place: _program("singer", "singer_load", place, *more)


def _ours(_place: Place) -> list[str]:
    return [str(Path(sys.executable).with_name("dashly-sync")), "run", "--only", FOUR_TABLES]


def ours_later(ahead_seconds: float) -> list[str]:
    """Our own run, so much later."""
    program = [sys.executable, str(PROGRAMS / "dashly_later.py")]
    return [*program, "--only", FOUR_TABLES, "--ahead-seconds", str(ahead_seconds)]


CONTESTANTS = {
    one.name: one
    for one in (
        Contestant(OURS, "", "dashly-sync", True, _ours, held.in_our_tables),
        Contestant("dlt tuned", "dlt", "dlt", True, _dlt("tuned"), held.in_raw_tables),
        Contestant("dlt", "dlt", "dlt", False, _dlt("plain"), held.in_raw_tables),
        Contestant("dlt replace", "dlt", "dlt", False, _dlt("replace"), held.in_raw_tables),
        Contestant("airbyte-cdk", "airbyte-cdk", "airbyte-cdk", True, _airbyte("airbyte-cdk", "cdk"), held.in_records),
        Contestant("PyAirbyte", "pyairbyte", "airbyte", True, _airbyte("pyairbyte", "pyairbyte"), held.in_raw_tables),
        Contestant("singer-sdk tuned", "singer", "singer-sdk", True, _singer("--stop-early"), held.in_records),
        Contestant("singer-sdk", "singer", "singer-sdk", False, _singer(), held.in_records),
    )
}


def environ_of(place: Place) -> Mapping[str, str]:
    """A run's environment: a home of its own, no telemetry, our own settings, and nothing of the developer's."""
    home = place.work / "home"
    per_minute = place.per_minute or UNLIMITED
    ours = {
        "DASHLY_AUTH_TOKEN": place.token,
        "DASHLY_BASE_URL": place.base_url,
        "DASHLY_DESTINATION": f"duckdb:///{place.work}/held.duckdb",
        "DASHLY_STATE_DIR": str(place.work / "state"),
        "DASHLY_RATE_LIMIT": f"{per_minute}/60",
        # the default share of 60 a minute, whatever the limit is here
        "DASHLY_RECONCILE_SHARE": f"{0.1 * 60 / per_minute:.9f}",
    }
    return {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "AIRBYTE_LOGGING_ROOT": str(home / "airbyte-logs"),
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        **QUIET,
        **ours,
    }


def versions() -> dict[str, str]:
    """By package, what is compared: the peers' as their environments' files pin them."""
    texts = (file.read_text(encoding="utf-8") for file in sorted(Path(__file__).parent.glob("*.txt")))
    pins = (line.split("==") for text in texts for line in text.splitlines() if line[0] != "#")
    pinned = dict(pins)
    ours = {name: version(name) for name in ("dashly-sync", "duckdb", "requests")}
    return {one.package: pinned[one.package] for one in CONTESTANTS.values() if one.environment} | ours
