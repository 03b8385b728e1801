"""How long the command takes that has nothing to do: wall and CPU of whole processes, the median of several.

    .venv/bin/python -m tests.benchmarks.bench_startup               # seven times each
    .venv/bin/python -m tests.benchmarks.bench_startup --quick

`status`, `query` and `run` look at a DuckDB warehouse of a small account that has been loaded before. The run asks a
simulator in another process and finds nothing new, at a rate limit that nobody meets: of its requests the network would
add its own time.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.measuring import Bench, as_installed, middle, show, show_heads
from tests.benchmarks.served import simulator

from dashly_simulator import SimulatorSettings

COMMAND = Path(sys.executable).parent / "dashly-sync"
ACCOUNT = SimulatorSettings(users=200, conversations=120)
CASES = {
    "--version": (["--version"], 0),
    "--help": (["--help"], 0),
    "a usage error": (["run", "--max-time", "soon"], 2),
    "status": (["status"], 0),
    "query": (["query", "select 1"], 0),
    "run, nothing new": (["run"], 0),
}
"""By name: what is typed, and the exit code."""
BARE = "python, nothing imported"


def environment(base_url: str, home: Path, python_path: str) -> dict[str, str]:
    """Returns the environment of a command: the settings of the account and a home of its own."""
    return {
        "PYTHONPATH": python_path,
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "DASHLY_STATE_DIR": str(home / "state"),
        "DASHLY_AUTH_TOKEN": ACCOUNT.auth_token,
        "DASHLY_BASE_URL": base_url,
        "DASHLY_DESTINATION": f"duckdb:///{home}/warehouse.duckdb",
        "DASHLY_RATE_LIMIT": "100000/60",
        "DASHLY_RECONCILE_SHARE": "0",
        "NO_PROXY": "127.0.0.1",
    }


def once(typed: list[str], expected: int, environ: dict[str, str]) -> tuple[float, float]:
    """Returns wall and CPU seconds of one process.

    Raises:
        RuntimeError: It ended with another exit code.
    """
    began = time.perf_counter()
    process = subprocess.Popen(typed, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = process.stderr.read() if process.stderr else b""
    _, status, usage = os.wait4(process.pid, 0)
    wall, process.returncode = time.perf_counter() - began, os.waitstatus_to_exitcode(status)
    if process.returncode != expected:
        raise RuntimeError(f"{typed} ended with {process.returncode}: {said.decode()[-500:]}")
    return wall, usage.ru_utime + usage.ru_stime


def measured(times: int, environ: dict[str, str]) -> dict[str, Any]:
    """Returns the figures by name; the first of each is left out, as it compiles and fills the disk's cache."""
    typed = {BARE: ([sys.executable, "-c", ""], 0)}
    typed |= {name: ([str(COMMAND), *words], code) for name, (words, code) in CASES.items()}
    figures = {}
    for name, (words, code) in typed.items():
        walls, cpus = zip(*[once(words, code, environ) for _ in range(times + 1)][1:], strict=True)
        figures[name] = {"wall_seconds": middle(walls), "cpu_seconds": middle(cpus), "slowest": round(max(walls), 3)}
        show(name, *figures[name].values())
    return figures


def main() -> None:
    """Measures, prints and stores."""
    bench = Bench("startup", __doc__)
    bench.options.add_argument("--times", type=int, default=7)
    chosen = bench.chosen(times=2)
    with simulator(ACCOUNT) as served, tempfile.TemporaryDirectory() as home, as_installed() as python_path:
        environ = environment(served.base_url, Path(home), python_path)
        once([str(COMMAND), "run"], 0, environ)
        show_heads(("command", "wall s", "CPU s", "slowest s"))
        figures = measured(chosen.times, environ)
    bench.store({"times": chosen.times, "commands": figures}, ACCOUNT.seed)


if __name__ == "__main__":
    main()
