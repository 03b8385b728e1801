"""Processes that get so much memory and no more: the kernel counts all they take, files of libraries among it.

A memory cgroup, for which one has to be root, on Linux. The processes run in a copy of this environment that nobody
else has open: the kernel counts a page of a file for whoever read it first.
"""

from __future__ import annotations

import multiprocessing.spawn
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.measuring import JOIN

CGROUPS = Path("/sys/fs/cgroup")
V1 = CGROUPS / "memory"
COPIED = ("bin", "lib", "pyvenv.cfg")


@contextmanager
def boxed(limit_mb: int | None) -> Iterator[None]:
    """Lets `in_child` begin processes that all together get so many megabytes; None: as many as there are.

    Raises:
        PermissionError: Whoever calls may not make a cgroup.
    """
    if limit_mb is None:
        yield
        return
    group = (V1 if V1.is_dir() else CGROUPS) / f"dashly-bench-{os.getpid()}"
    group.mkdir()
    try:
        limit = group / ("memory.limit_in_bytes" if V1.is_dir() else "memory.max")
        limit.write_text(str(limit_mb * 2**20))
        with tempfile.TemporaryDirectory() as folder:
            _copy_environment(Path(folder))
            os.environ[JOIN] = str(group / "cgroup.procs")
            with _started_from(Path(folder)):
                yield
    finally:
        os.environ.pop(JOIN, None)
        group.rmdir()


@contextmanager
def _started_from(folder: Path) -> Iterator[None]:
    """Lets processes that are spawned run the environment in that folder; they take over our path of modules."""
    python, path = multiprocessing.spawn.get_executable(), list(sys.path)
    multiprocessing.set_executable(str(folder / "bin" / Path(sys.executable).name))
    sys.path[:] = [entry.replace(sys.prefix, str(folder), 1) for entry in path]
    try:
        yield
    finally:
        multiprocessing.set_executable(python)
        sys.path[:] = path


def _copy_environment(folder: Path) -> None:
    """Copies this environment, and takes its libraries out of the cache."""
    for name in COPIED:
        kept = Path(sys.prefix) / name
        if kept.is_dir():
            shutil.copytree(kept, folder / name, symlinks=True)
        else:
            shutil.copy2(kept, folder / name)
    os.sync()
    for file in (folder / "lib").rglob("*.so*"):
        with file.open("rb") as opened:
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
