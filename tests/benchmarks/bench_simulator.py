"""What the simulator itself can do, so that a reader knows that it is not what the other benchmarks measure.

    .venv/bin/python -m tests.benchmarks.bench_simulator
    .venv/bin/python -m tests.benchmarks.bench_simulator --quick

One client sends one request after the other over one connection, with Python's bare `http.client`, and reads the body.
CPU is that of the server's process.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from itertools import cycle
from typing import Any
from urllib.parse import urlencode, urlsplit

from tests.benchmarks.measuring import Bench, show, show_heads
from tests.benchmarks.served import Served, simulator

from dashly_simulator import SimulatorSettings

ACCOUNT = SimulatorSettings(users=10_000, conversations=4_000, events_per_user=200.0, parts_per_conversation=100.0)
ASKED = {"auth_token": ACCOUNT.auth_token, "id_as_string": "true", "count": "50"}
LISTS = {
    "users": "/apps/$self_app/users",
    "conversations": "/apps/$self_app/conversations",
}
CHILDREN = {"events": ("users", "/users/{}/events"), "parts": ("conversations", "/conversations/{}/parts")}


class Client:
    """A connection that stays open."""

    def __init__(self, base_url: str) -> None:
        url = urlsplit(base_url)
        self._connection, self._root = HTTPConnection(url.netloc), url.path

    def get(self, path: str) -> bytes:
        """Returns the body of one answer."""
        self._connection.request("GET", f"{self._root}{path}?{urlencode(ASKED)}")
        return self._connection.getresponse().read()

    def ids(self, path: str) -> list[str]:
        """Returns the ids on the first page of a list."""
        data = json.loads(self.get(path))["data"]
        return [str(one["id"]) for one in (data["users"] if isinstance(data, dict) else data)]


def measured(served: Served, requests: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields resource and figures."""
    client = Client(served.base_url)
    for name, path in LISTS.items():
        yield name, cost(served, requests, lambda path=path: client.get(path))  # type: ignore[misc]
    for name, (parent, path) in CHILDREN.items():
        paths = cycle([path.format(one) for one in client.ids(LISTS[parent])])
        yield name, cost(served, requests, lambda paths=paths: client.get(next(paths)))  # type: ignore[misc]


def cost(served: Served, requests: int, ask: Callable[[], bytes]) -> dict[str, Any]:
    """Returns what so many requests cost, the first one left out."""
    ask()
    cpu, began = served.cpu_seconds(), time.perf_counter()
    bytes_sent = sum(len(ask()) for _ in range(requests))
    wall = time.perf_counter() - began
    return {
        "requests": requests,
        "kilobytes_each": round(bytes_sent / requests / 1000, 1),
        "per_second": round(requests / wall),
        "cpu_ms_each": round((served.cpu_seconds() - cpu) / requests * 1000, 2),
    }


def main() -> None:
    """Measures, prints and stores."""
    bench = Bench("simulator", __doc__)
    bench.options.add_argument("--requests", type=int, default=2_000, help="of each kind")
    chosen = bench.chosen(requests=100)
    show_heads(("page of", "requests", "kB each", "requests a second", "CPU ms each"))
    figures = {}
    with simulator(ACCOUNT) as served:
        for name, found in measured(served, chosen.requests):
            figures[name] = found
            show(name, *found.values())
    bench.store(figures, ACCOUNT.seed)


if __name__ == "__main__":
    main()
