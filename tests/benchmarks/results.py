"""What a benchmark measured, as a committed file: how, when, on which machine, and with which versions.

    from tests.benchmarks import results

    results.write("local", {"rows a second": 4200}, seed=1, command="make bench-local")
    results.read("local")["figures"]

`report.py` makes the tables of README.md and docs/ from these files.
"""

from __future__ import annotations

import json
import os
import platform
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent / "results"
LIBRARIES = ("dlt", "duckdb", "pyarrow", "requests", "aiohttp", "psycopg2-binary")
"""What a figure may depend on; named in each file unless the caller names others."""


def write(
    name: str,
    figures: Mapping[str, Any],
    *,
    seed: int | None = None,
    command: str,
    versions: Mapping[str, str] | None = None,
    folder: Path = FOLDER,
) -> Path:
    """Stores what was measured as NAME.json, and returns the file.

    Args:
        name: Of the file, without its ending.
        figures: JSON values; keys are sorted, so that a diff shows what changed.
        seed: Of the simulated account.
        command: What made it, as typed in the project's folder.
        versions: By package; without it, those of `LIBRARIES` that are installed here.
        folder: Where the file goes.

    Raises:
        ValueError: The file would name a place or the name of this machine.
    """
    stored = {
        "command": command,
        "commit": commit(),
        "date": datetime.now(UTC).date().isoformat(),
        "figures": figures,
        "machine": machine(),
        "seed": seed,
        "versions": dict(versions if versions is not None else versions_of(LIBRARIES)),
    }
    text = json.dumps(stored, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    _refuse_places(text)
    folder.mkdir(exist_ok=True)
    file = folder / f"{name}.json"
    file.write_text(text, encoding="utf-8")
    return file


def read(name: str, folder: Path = FOLDER) -> dict[str, Any]:
    """Returns what `write` stored.

    Raises:
        FileNotFoundError: Nothing was measured under this name.
    """
    stored: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return stored


def machine() -> dict[str, Any]:
    """Returns what a reader needs to place the figures: cores, memory, processor and its speed, system, Python."""
    return {
        "cores": os.cpu_count(),
        "cpu": cpu_model(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "loop_seconds": loop_seconds(),
        "os": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "python": platform.python_version(),
    }


def loop_seconds() -> float:
    """Returns the CPU seconds that Python takes for five million additions: a machine shared with others varies."""
    began, total = time.process_time(), 0
    for number in range(5_000_000):
        total += number
    return round(time.process_time() - began, 2)


def cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Returns the processor's name as Linux tells it; elsewhere, and where it has none, as Python does."""
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    told = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(told, platform.processor() or platform.machine())


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """Returns the versions that are installed in this environment."""
    return {package: version(package) for package in packages}


def commit() -> str:
    """Returns the short id of the commit that was measured, with a + when files differ from it.

    The results themselves do not count: the second benchmark of a series would always find the first one's.
    """
    short = _git("rev-parse", "--short", "HEAD")
    differs = _git("status", "--porcelain", "--", ".", ":!tests/benchmarks/results", ":!README.md", ":!docs")
    return f"{short}+" if differs else short


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S607
    return done.stdout.strip()


def _refuse_places(text: str) -> None:
    """Raises ValueError when a committed file would hold a path or the name of this machine."""
    places = {str(ROOT), str(Path.home()), socket.gethostname()}
    named = [place for place in places if len(place) > len("/root") and place in text]
    if named:
        raise ValueError(f"a result file must not name this machine's {named[0]!r}: say it relative to the project")
