"""What a piece of work costs: CPU and time of this process, its memory, and a process of its own to measure it in."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, ParamSpec, Self, TypeVar

from tests.benchmarks import results

Given = ParamSpec("Given")
Answer = TypeVar("Answer")


def in_child(work: Callable[Given, Answer], *given: Given.args, **named: Given.kwargs) -> Answer:
    """Returns what `work` returns when a new process does it, whose memory and CPU are that work's alone."""
    with as_installed() as path, ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        before = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = path
        try:
            return pool.submit(work, *given, **named).result()
        finally:
            os.environ.pop("PYTHONPATH")
            os.environ.update({} if before is None else {"PYTHONPATH": before})


@contextmanager
def as_installed() -> Iterator[str]:
    """Yields the PYTHONPATH of a process without numpy, pandas and tornado, as where dashly-sync alone is installed.

    The development group has them for the notebook; pyarrow and tenacity take them along wherever they find them.
    """
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "sitecustomize.py").write_text(_KEPT_OUT)
        yield os.pathsep.join(filter(None, (folder, os.environ.get("PYTHONPATH"))))


TRIES = 3
"""How often something is measured of which the fastest counts: a neighbour on the machine may take half of it."""
JOIN = "DASHLY_BENCH_CGROUP"
"""Names the file that takes the ids of processes into a cgroup, for those that `in_child` begins."""
_KEPT_OUT = f"""
import os, sys
sys.modules.update(dict.fromkeys(("numpy", "pandas", "tornado")))
if "{JOIN}" in os.environ:
    with open(os.environ["{JOIN}"], "w") as group:
        group.write(str(os.getpid()))
"""


@dataclass(slots=True)
class Meter:
    """CPU and wall seconds between `with` and its end; all threads of the process count."""

    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    _began: tuple[float, float] = field(default=(0.0, 0.0), init=False, repr=False)

    def __enter__(self) -> Self:
        self._began = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall_seconds += time.perf_counter() - self._began[0]
        self.cpu_seconds += time.process_time() - self._began[1]


def resident_mb() -> float:
    """Returns the memory of this process now; where the system does not say, the most it ever was."""
    pages = Path("/proc/self/statm")
    if pages.exists():
        return int(pages.read_text().split()[1]) * resource.getpagesize() / 2**20
    return peak_mb()


def peak_mb() -> float:
    """Returns the most memory that this process ever had.

    Linux hands `ru_maxrss` on to whoever a process starts, so there it is read where it belongs to one process alone.
    """
    status = Path("/proc/self/status")
    if status.exists():
        told = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(told.split()[1]) / 2**10
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def mapped_mb() -> float:
    """Returns how much of this process's memory are files, its libraries; nothing where the system does not say.

    The system may take these pages away and read them again. How many there are depends on how it had read them.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return 0.0
    told = next(line for line in status.read_text().splitlines() if line.startswith("RssFile"))
    return int(told.split()[1]) / 2**10


class Bench:
    """One benchmark as a command: its options, the tables that it prints, and the file of its results.

    Args:
        name: Of the results file.
        doc: Docstring of the module.
    """

    def __init__(self, name: str, doc: str | None) -> None:
        self._name = name
        self.options = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
        self.options.add_argument("--quick", action="store_true", help="small, to see that it works; stores nothing")

    def chosen(self, **when_quick: Any) -> argparse.Namespace:
        """Returns the options; with `--quick` these values are the defaults."""
        if "--quick" in sys.argv:
            self.options.set_defaults(**when_quick)
        self._chosen = self.options.parse_args()
        return self._chosen

    def store(self, figures: dict[str, Any], seed: int | None = None, name: str | None = None) -> None:
        """Writes the figures to the results under the benchmark's name or this one, unless they are small ones."""
        if self._chosen.quick:
            return
        module = f"python -m tests.benchmarks.bench_{self._name}"
        results.write(name or self._name, figures, seed=seed, command=" ".join([module, *sys.argv[1:]]))


def show(*cells: object) -> None:
    """Prints a line of a Markdown table at once."""
    sys.stdout.write(f"| {' | '.join(map(str, cells))} |\n")
    sys.stdout.flush()


def show_heads(names: Sequence[str], *, texts: int = 1) -> None:
    """Prints the head of a Markdown table, of which so many columns are text and the others numbers."""
    show(*names)
    show(*(["---"] * texts + ["---:"] * (len(names) - texts)))


def middle(samples: Iterable[float]) -> float:
    """Returns the median, to the millisecond."""
    return round(median(samples), 3)
