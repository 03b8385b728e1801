"""What the tests of the command share: a simulated app on localhost, and `dashly-sync` as a process of its own.

`Shell.run` forks that process from one that has imported everything, which saves 1.5 s of CPU time a command; in the
soak, and wherever a command is started and looked at while it is at work, it is the installed script.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Warehouse

from dashly_simulator import Server, Simulator, SimulatorSettings, serve

GOLDEN = Path(__file__).parent / "golden"
REGENERATE = bool(os.environ.get("REGENERATE_GOLDEN"))
SCRIPT = Path(sys.executable).with_name("dashly-sync")
FORKING_COMMANDS = Path(__file__).parent / "programs" / "forking_commands.py"
TINY: dict[str, Any] = {"users": 20, "conversations": 15, "events_per_user": 20.0, "parts_per_conversation": 8.0}
TOO_LONG_SECONDS = 120.0
UMASK = 0
"""Whoever has such a shell: what is not for everybody has to be closed by us."""
UNLIMITED = "1000000/60"


@dataclass(frozen=True)
class Finished:
    """A command that has ended.

    Attributes:
        exit: The exit code; minus the signal's number when a signal killed it.
    """

    exit: int
    stdout: str
    stderr: str

    @property
    def last_line(self) -> str:
        """The last line of stdout, which is a sentence."""
        return self.stdout.rstrip("\n").rpartition("\n")[2]

    @property
    def json(self) -> Any:
        """What `--json` printed: one JSON value and nothing else."""
        return json.loads(self.stdout)


@dataclass(frozen=True)
class Started:
    """A command that is still at work."""

    process: subprocess.Popen[str]

    def send(self, number: signal.Signals) -> Finished:
        """Sends a signal and waits for the end."""
        self.process.send_signal(number)
        return self.wait()

    def wait_until(self, holds: Callable[[], bool], what: str) -> None:
        """Returns as soon as the condition holds, while the command is at work."""
        end = time.monotonic() + TOO_LONG_SECONDS
        while not holds():
            assert self.process.poll() is None, f"ended before {what}: {self.wait()}"
            assert time.monotonic() < end, f"no {what} within {TOO_LONG_SECONDS:.0f} s"
            time.sleep(0.02)

    def wait(self) -> Finished:
        """Waits for the end."""
        stdout, stderr = self.process.communicate(timeout=TOO_LONG_SECONDS)
        return Finished(self.process.returncode, stdout, stderr)


class Commands:
    """Carries out one command after the other in children of a process that has imported what they need."""

    def __init__(self, folder: Path) -> None:
        self._stdout, self._stderr = folder / "stdout", folder / "stderr"
        self._process: subprocess.Popen[str] | None = None

    def run(self, arguments: list[str], folder: Path, environ: Mapping[str, str]) -> Finished:
        """Runs a command to its end."""
        for file in (self._stdout, self._stderr):
            file.write_bytes(b"")
        command = {
            "arguments": arguments,
            "folder": str(folder),
            "environ": dict(environ),
            "umask": UMASK,
            "stdout": str(self._stdout),
            "stderr": str(self._stderr),
            "too_long_seconds": int(TOO_LONG_SECONDS),
        }
        process = self._process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        print(json.dumps(command), file=process.stdin, flush=True)
        code = int(process.stdout.readline())
        return Finished(code, *(file.read_text(encoding="utf-8") for file in (self._stdout, self._stderr)))

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(FORKING_COMMANDS)],
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.communicate()


@dataclass
class Shell:
    """A user's shell: a directory to work in, a home, and nothing of the developer's environment.

    Attributes:
        folder: The working directory; the home and the state directory are beside it.
        environ: What every command gets; add to it what `export` would.
        commands: What carries out `run`; None for the installed script.
    """

    folder: Path
    environ: dict[str, str] = field(default_factory=dict)
    commands: Commands | None = None
    started: list[Started] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.home.mkdir(exist_ok=True)
        self.environ = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "COLUMNS": "120",
            "HOME": str(self.home),
            "DLT_DATA_DIR": str(self.home / "dlt"),
            "DASHLY_STATE_DIR": str(self.state),
            "NO_PROXY": "127.0.0.1",
            **self.environ,
        }

    @property
    def home(self) -> Path:
        """Where HOME points."""
        return self.folder.with_name(f"{self.folder.name}-home")

    @property
    def state(self) -> Path:
        """The state directory."""
        return self.home / "state"

    def run(self, *arguments: str, **environ: str) -> Finished:
        """Runs `dashly-sync` with these arguments to its end; `environ` counts for this once."""
        if self.commands is None:
            return self.start(*arguments, **environ).wait()
        return self.commands.run([str(SCRIPT), *arguments], self.folder, {**self.environ, **environ})

    def start(self, *arguments: str, **environ: str) -> Started:
        """Starts `dashly-sync` with these arguments."""
        return self._start([str(SCRIPT), *arguments], environ)

    def python(self, program: str, **environ: str) -> Finished:
        """Runs a Python program, as a notebook would."""
        return self.start_python(program, **environ).wait()

    def start_python(self, program: str, **environ: str) -> Started:
        """Starts a Python program."""
        return self._start([sys.executable, "-c", program], environ)

    def warehouse(self, name: str = "warehouse") -> Warehouse:
        """The DuckDB file of this name in the working directory; `--to` takes it relative."""
        return Warehouse("duckdb", f"duckdb:///{name}.duckdb", "dashly", str(self.folder / f"{name}.duckdb"))

    def _start(self, arguments: list[str], environ: Mapping[str, str]) -> Started:
        process = subprocess.Popen(
            arguments,
            cwd=self.folder,
            env={**self.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            umask=UMASK,
        )
        self.started.append(Started(process))
        return self.started[-1]

    def close(self) -> None:
        """Ends what a failed test has left running."""
        for started in self.started:
            if started.process.poll() is None:
                started.process.kill()
                started.process.communicate()


@dataclass(frozen=True)
class App:
    """A simulated app that answers on localhost."""

    simulator: Simulator
    server: Server

    @property
    def environ(self) -> dict[str, str]:
        """What a user exports to read this app, without a rate limit worth naming."""
        return {
            "DASHLY_AUTH_TOKEN": self.simulator.settings.auth_token,
            "DASHLY_BASE_URL": self.server.base_url,
            "DASHLY_RATE_LIMIT": UNLIMITED,
        }

    @property
    def floor(self) -> int:
        """The fewest requests that a first load can cost."""
        return self.simulator.floor_requests()

    def cost(self) -> int:
        """Requests since the last time this was asked, as the server counted them."""
        total = self.simulator.requests.total
        self.simulator.requests.reset()
        return total

    def wait_for_requests(self, count: int, started: Started) -> None:
        """Returns when the app has been asked so often since `cost`, by a command that is still at work."""
        started.wait_until(lambda: self.simulator.requests.total >= count, f"{count} requests")


@pytest.fixture
def app() -> Iterator[Callable[..., App]]:
    """Makes a simulated app with these settings and serves it until the test ends."""
    with ExitStack() as stack:

        def make(**settings: Any) -> App:
            simulator = Simulator(SimulatorSettings(**{**TINY, **settings}))
            return App(simulator, stack.enter_context(serve(simulator)))

        yield make


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """What carries out the commands of every shell; it starts when the first one is typed."""
    opened = Commands(tmp_path_factory.mktemp("commands"))
    yield opened
    opened.close()


@pytest.fixture
def shell(tmp_path: Path, commands: Commands, request: pytest.FixtureRequest) -> Iterator[Shell]:
    """A shell in an empty directory."""
    is_soak = request.node.get_closest_marker("soak") is not None
    opened = Shell(tmp_path / "work", commands=None if is_soak else commands)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def synced(tmp_path_factory: pytest.TempPathFactory, commands: Commands) -> Iterator[tuple[App, Shell]]:
    """A tiny app and a shell in which `dashly-sync run --to duckdb:///warehouse.duckdb` has finished; only to read."""
    simulator = Simulator(SimulatorSettings(**TINY))
    with serve(simulator) as server:
        app = App(simulator, server)
        opened = Shell(tmp_path_factory.mktemp("synced") / "work", app.environ, commands)
        ended = opened.run("run", "--to", "duckdb:///warehouse.duckdb")
        assert 0 == ended.exit, ended.stderr
        app.cost()
        yield app, opened
        opened.close()


def equals_golden(name: str, text: str) -> None:
    """Asserts that `text` is what `golden/` holds under this name; writes it there when REGENERATE_GOLDEN is set."""
    file = GOLDEN / f"{name}.txt"
    if REGENERATE:
        file.write_text(text, encoding="utf-8")
    assert file.exists(), f"{file.name} is missing: REGENERATE_GOLDEN=1 pytest tests/command_line makes it"

    assert file.read_text(encoding="utf-8") == text, "REGENERATE_GOLDEN=1 pytest tests/command_line, then read the diff"


def rows_of(warehouse: Warehouse, table: str) -> list[str]:
    """The rows of a table without what differs from run to run, sorted."""
    rows = warehouse.rows(table)
    return sorted(json.dumps({k: v for k, v in row.items() if k != "_synced_at"}, default=str) for row in rows)
