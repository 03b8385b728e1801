"""The side-by-side comparison: this project and what people would use instead, on the same simulated accounts.

    make bench-peers                                                   # makes the environments, then all of it
    .venv/bin/python tests/benchmarks/peers/compare.py --only dashly-sync "dlt tuned" --scenario churn killed

One contestant after the other, one process at a time, everything on 127.0.0.1. How each is set up, and what the columns
mean: docs/comparison.md. What is measured is merged into tests/benchmarks/results/peers.json.
"""

from __future__ import annotations

import argparse
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))

from tests.benchmarks import results
from tests.benchmarks.peers import accounts
from tests.benchmarks.peers.contestants import CONTESTANTS, versions
from tests.benchmarks.peers.scenarios import PHASES, SCENARIOS, Bench, say

COMMAND = "make bench-peers"


def main() -> None:
    """Compares, and stores what was measured after each scenario."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=CONTESTANTS, default=list(CONTESTANTS))
    parser.add_argument("--scenario", nargs="+", metavar="NAME", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--skip", nargs="+", metavar="NAME", choices=SCENARIOS, default=[])
    parser.add_argument("--results", type=Path, default=results.FOLDER / "peers.json")
    parser.add_argument("--keep", type=Path, help="a folder for what the contestants hold and say")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="peers-", dir="/tmp") as temporary:
        for phase in PHASES:
            scenarios = [one for one in phase if one in chosen.scenario and one not in chosen.skip]
            for name in chosen.only:
                compare(name, chosen.keep or Path(temporary), scenarios, chosen.results)


def compare(name: str, folder: Path, scenarios: list[str], file: Path) -> None:
    """Takes one contestant through these scenarios."""
    own = folder.resolve() / name.replace(" ", "-")
    own.mkdir(parents=True, exist_ok=True)
    for scenario, cell in Bench(CONTESTANTS[name], own, free_port()).carry_out(scenarios):
        say(f"{name}, {scenario}: {told(cell)}")
        store(file, name, scenario, cell)


def told(cell: dict[str, Any]) -> str:
    """A cell in a line."""
    return f"{cell['requests']} requests, {cell['wrong'] or 'right'}, exit {cell['exit']}, {cell['wall_seconds']} s"


def store(file: Path, contestant: str, scenario: str, cell: dict[str, Any]) -> None:
    """Merges a cell into the results."""
    known = results.read(file.stem, file.parent)["figures"] if file.exists() else {"cells": {}}
    known["cells"].setdefault(contestant, {})[scenario] = cell
    known["accounts"] = accounts.SIZES
    results.write(file.stem, known, seed=accounts.SEED, command=COMMAND, versions=versions(), folder=file.parent)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


if __name__ == "__main__":
    main()
