"""What the first load of a million users costs in requests: by the simulator's own count, and as `plan` foresees it.

    .venv/bin/python -m tests.benchmarks.bench_million
    .venv/bin/python -m tests.benchmarks.bench_million --quick

Nothing is loaded: that takes two weeks at 60 requests a minute, and the count is the same. `dashly-sync plan` is the
installed command; it asks the simulator eight times.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks.bench_startup import COMMAND, environment
from tests.benchmarks.measuring import Bench, as_installed, show, show_heads
from tests.benchmarks.served import Served, simulator

from dashly_simulator import SimulatorSettings

SEED = 1
A_DAY = 86_400
ONLY = {"everything": [], "lists": ["--only", "users,conversations"]}


def planned(served: Served, typed: list[str]) -> dict[str, Any]:
    """Returns what the command says of a first load."""
    with tempfile.TemporaryDirectory() as home, as_installed() as path:
        environ = environment(served.base_url, Path(home), path) | {"DASHLY_RATE_LIMIT": "60/60"}
        words = [str(COMMAND), "plan", "--json", *typed]
        done = subprocess.run(words, env=environ, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    return {"requests": told["requests"], "days": round(told["seconds"] / A_DAY, 1), "certainty": told["certainty"]}


def main() -> None:
    """Counts, prints and stores."""
    bench = Bench("million", __doc__)
    bench.options.add_argument("--users", type=int, default=1_000_000)
    bench.options.add_argument("--conversations", type=int, default=200_000)
    bench.options.add_argument("--events", type=float, default=20.0, help="mean a user")
    bench.options.add_argument("--parts", type=float, default=6.0, help="mean a conversation")
    chosen = bench.chosen(users=20_000, conversations=4_000)
    account = SimulatorSettings(
        users=chosen.users,
        conversations=chosen.conversations,
        events_per_user=chosen.events,
        parts_per_conversation=chosen.parts,
        seed=SEED,
    )
    show_heads(("what", "requests", "days at 60 a minute"))
    with simulator(account) as served:
        counted = {"requests": served.floor, "days": round(served.floor / A_DAY, 1)}
        show("the least, counted by the simulator", f"{served.floor:,}", counted["days"])
        plans = {name: planned(served, typed) for name, typed in ONLY.items()}
    for name, plan in plans.items():
        show(f"plan, {name}", f"{plan['requests']:,}", plan["days"])
    of = {name: getattr(chosen, name) for name in ("users", "conversations", "events", "parts")}
    bench.store({"account": of, "counted": counted, "planned": plans}, SEED)


if __name__ == "__main__":
    main()
