"""A full disk costs nothing that was paid: what is wrong is said, and with room again the next run completes.

The state directory and the DuckDB file, each alone on a disk of its own that is really full: a tmpfs in a mount
namespace that needs no rights, where the machine allows it. And, everywhere, a process whose files may not grow.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.command_line.conftest import SCRIPT, App, Shell
from tests.conftest import Warehouse
from tests.end_to_end.conftest import assert_equal_to_truth

SIZE_KB = 48 * 1024
MOUNT = f'mount -t tmpfs -o size={SIZE_KB}k tmpfs "$0" && echo mounted && cat'
LIMITED = (
    "import os, resource, sys; size = int(sys.argv[1]); "
    "resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)); os.execv(sys.argv[2], sys.argv[2:])"
)
ACCOUNT = {"users": 9, "conversations": 7, "events_per_user": 25.0}


class SmallDisk:
    """A disk that only those inside see; gone with the process that made it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self._keeper = subprocess.Popen(
            ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", MOUNT, str(folder)],  # noqa: S607
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._keeper.stdout is not None
        self.said = self._keeper.stdout.readline().strip()

    @property
    def inside(self) -> tuple[str, ...]:
        """What to put in front of a command that is to see the disk."""
        return ("nsenter", "--target", str(self._keeper.pid), "--user", "--mount", "--preserve-credentials", "--wd=.")

    def fill(self, but_kb: int) -> None:
        """Leaves so little room."""
        self._sh(f'head -c {(SIZE_KB - but_kb) * 1024} /dev/zero > "$0/filler"')

    def make_room(self) -> None:
        self._sh('rm "$0/filler"')

    def read(self, name: str) -> bytes:
        return subprocess.run([*self.inside, "cat", self.folder / name], capture_output=True, check=True).stdout

    def close(self) -> None:
        self._keeper.communicate()

    def _sh(self, command: str) -> None:
        subprocess.run([*self.inside, "sh", "-c", command, str(self.folder)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    try:
        disk = SmallDisk(tmp_path / "small")
    except FileNotFoundError as error:
        pytest.skip(f"no {error.filename} on this machine")
    if disk.said != "mounted":
        disk.close()
        pytest.skip(f"this machine lets nobody mount a tmpfs: {disk.said}")
    yield disk
    disk.close()


def run(shell: Shell, *before: str) -> tuple[int, str]:
    """`dashly-sync run`, begun by another command: the exit code, and the last line of stderr."""
    command = [*before, str(SCRIPT), "run"]
    done = subprocess.run(command, cwd=shell.folder, env=shell.environ, capture_output=True, text=True, timeout=120)
    return done.returncode, (done.stderr.rstrip("\n") or "\n").splitlines()[-1]


def prepared(app: Callable[..., App], shell: Shell, warehouse: Warehouse, state: Path) -> App:
    served = app(**ACCOUNT)
    shell.environ |= served.environ
    shell.environ |= {"DASHLY_DESTINATION": warehouse.destination, "DASHLY_STATE_DIR": str(state)}
    shell.environ |= {"DASHLY_RECONCILE_SHARE": "0"}
    return served


@pytest.mark.parametrize("room_kb", [250, *(pytest.param(kb, marks=pytest.mark.soak) for kb in (0, 60, 150, 400, 600))])
def test_a_full_disk_under_the_state_directory(
    room_kb: int, app: Callable[..., App], shell: Shell, small_disk: SmallDisk
) -> None:
    """Ledger, journal or dlt's working directory, whichever is first: exit 1, and one request at most is repeated."""
    warehouse = shell.warehouse()
    served = prepared(app, shell, warehouse, small_disk.folder / "state")
    small_disk.fill(but_kb=room_kb)

    code, said = run(shell, *small_disk.inside)
    small_disk.make_room()
    completed = run(shell, *small_disk.inside)

    assert (1, 0) == (code, completed[0]), (said, completed)
    assert said.startswith(f"dashly-sync: {small_disk.folder}/state"), said
    assert "kB free on its disk. Nothing is lost: " in said
    assert "Make room on this disk" in said
    assert served.floor <= served.cost() <= served.floor + 1
    assert_equal_to_truth(served.simulator, warehouse)


@pytest.mark.parametrize(
    "room_kb", [100, *(pytest.param(kb, marks=pytest.mark.soak) for kb in (0, 4, 8, 16, 200, 400))]
)
def test_a_full_disk_under_the_duckdb_file(
    room_kb: int, app: Callable[..., App], shell: Shell, small_disk: SmallDisk
) -> None:
    """Exit 4; the package that could not be loaded is loaded first, and the run after it looks at the 4 heads again."""
    inside = Warehouse("duckdb", f"duckdb:///{small_disk.folder}/w.duckdb", "dashly", "")
    served = prepared(app, shell, inside, shell.state)
    small_disk.fill(but_kb=room_kb)

    code, said = run(shell, *small_disk.inside)
    paid = served.cost()
    small_disk.make_room()
    completed = run(shell, *small_disk.inside)
    (shell.folder / "w.duckdb").write_bytes(small_disk.read("w.duckdb"))

    assert (4, 0) == (code, completed[0]), (said, completed)
    assert f"dashly-sync: there is no room for {small_disk.folder}/w.duckdb, " in said
    assert "kB free on its disk. Make room" in said
    assert served.floor <= paid + served.cost() <= served.floor + 4
    assert_equal_to_truth(served.simulator, shell.warehouse("w"))


@pytest.mark.parametrize(
    ("largest_kb", "code"),
    [(60, 1), *(pytest.param(kb, code, marks=pytest.mark.soak) for kb, code in ((1, 4), (20, 1), (300, 1)))],
)
def test_files_that_may_not_grow(largest_kb: int, code: int, app: Callable[..., App], shell: Shell) -> None:
    """`ulimit -f` stops whichever file is the first to be too large; the limit is named, and nothing is lost."""
    warehouse = shell.warehouse()
    served = prepared(app, shell, warehouse, shell.state)
    assert resource.RLIM_INFINITY == resource.getrlimit(resource.RLIMIT_FSIZE)[0]

    ended, said = run(shell, sys.executable, "-c", LIMITED, str(largest_kb * 1000))
    completed = shell.run("run")

    assert (code, 0) == (ended, completed.exit), (said, completed)
    assert f", files of {largest_kb} kB at most (ulimit -f)" in said
    assert served.floor <= served.cost() <= served.floor + 4
    assert_equal_to_truth(served.simulator, warehouse)
