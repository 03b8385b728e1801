"""How much of 60 requests in 60 s is used, and how many are refused: real readers, real servers, the whole matrix.

    .venv/bin/python tests/benchmarks/bench_budget.py                         # 27 cells at once, 8 minutes
    .venv/bin/python tests/benchmarks/bench_budget.py sliding:3:4 bucket:3:1  # window:latency:readers

Prints a table. "Used" is the window against the mean time after which a place in it was taken again, "typical" the same
with the median. Under pytest (`make bench`) it checks the hardest cells: no refusal, 98 % of the budget, even parts.
Each cell has a server process of its own and one process for each reader; they are idle nearly all the time, but a
machine that has no time for them for more than a second makes the server count late, which is another experiment.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from dashly_state.budget import REACH_SECONDS

READ_SIDE_BY_SIDE = Path(__file__).parents[1] / "promises" / "programs" / "read_side_by_side.py"
PLAN = {"limit": "60/60", "reach_seconds": REACH_SECONDS, "windows": 6}
HARDEST = ["sliding:3:4", "bucket:3:1", "fixed:1:2"]
ALL = [
    f"{window}:{latency}:{readers}"
    for window in ("fixed", "sliding", "bucket")
    for latency in (0.05, 1, 3)
    for readers in (1, 2, 4)
]


def measure(cells: list[str]) -> list[dict[str, Any]]:
    """What the server of each cell saw; all cells run at once."""
    asked = [dict(zip(("window", "latency_seconds", "readers"), cell.split(":"), strict=True)) for cell in cells]
    typed = [
        {**cell, "latency_seconds": float(cell["latency_seconds"]), "readers": int(cell["readers"])} for cell in asked
    ]
    done = subprocess.run(
        [sys.executable, READ_SIDE_BY_SIDE],
        input=json.dumps({**PLAN, "cells": typed}),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    outcomes: list[dict[str, Any]] = json.loads(done.stdout)
    return outcomes


def table(outcomes: list[dict[str, Any]]) -> str:
    """The outcomes as Markdown."""
    heads = (
        "window",
        "latency",
        "readers",
        "arrivals",
        "most in any window",
        "used",
        "typical",
        "accepted afterwards",
        "429",
    )
    rows = (
        (
            one["window"],
            f"{one['latency_seconds']:g} s",
            one["readers"],
            one["arrivals"],
            one["most"],
            f"{one['used']:.1%}",
            f"{one['typical']:.1%}",
            f"{one['counted']:.1%}",
            one["rate_limited"],
        )
        for one in outcomes
    )
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in (heads, ["---"] * len(heads), *rows))


def test_the_hardest_cells_use_98_percent_and_are_never_refused(capsys: Any) -> None:
    outcomes = measure(HARDEST)
    with capsys.disabled():
        sys.stdout.write(f"\n{table(outcomes)}\n")

    assert [0, 0, 0] == [one["rate_limited"] for one in outcomes]
    assert 60 >= max(one["most"] for one in outcomes)
    assert min(one["used"] for one in outcomes) >= 0.98
    assert all(min(one["by_reader"]) >= 0.8 * one["arrivals"] / one["readers"] for one in outcomes)


if __name__ == "__main__":
    sys.stdout.write(table(measure(sys.argv[1:] or ALL)) + "\n")
