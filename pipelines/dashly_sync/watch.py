"""Progress of a run on stderr: a bar on a terminal, a line every 30 seconds in a log."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO

from dashly_state.budget import RateLimit
from dashly_sync.durations import duration_text
from dashly_sync.run_log import RunRecord

if TYPE_CHECKING:
    from rich.progress import Progress

    from dashly.slices import Slice

LINE_EVERY_SECONDS = 30.0


class RunWatch:
    """What a run has done so far, in words.

    Args:
        limit: The rate limit, from which the time left follows.
    """

    def __init__(self, limit: RateLimit) -> None:
        self._limit = limit
        self._began = datetime.now(UTC)
        self._requests = self._rows = self._missing = 0
        self._read = 0

    def __call__(self, record: RunRecord, current: Slice | None) -> None:
        """Takes note of a page, or of a finished slice when `current` is None."""
        self._rows = sum(record.records.values())
        self._requests = record.requests
        if current is not None:
            self._rows += sum(count for table, count in current.rows.items() if table != "sync_progress")
            self._requests += current.pages
            self._missing = sum(current.missing.values())

    @property
    def share_done(self) -> float:
        """From 0 to 1, of what is known to be missing by now."""
        total = self._requests + self._missing
        return self._requests / total if total else 0.0

    def sentence(self) -> str:
        """Returns requests, rows, backlog and time left."""
        left = ""
        if self._missing:
            seconds = self._missing * self._limit.seconds / self._limit.requests
            left = f", {self._missing:,} lists to read, at least {duration_text(seconds)} left"
        return f"{self._requests:,} requests, {self._rows:,} rows{left}"


@contextmanager
def watching(watch: RunWatch, stream: TextIO | None = None) -> Iterator[None]:
    """Shows the watch on stderr while the block runs."""
    stream = stream or sys.stderr
    with _bar(watch) if stream.isatty() else _lines(watch, stream):
        yield


@contextmanager
def _lines(watch: RunWatch, stream: TextIO) -> Iterator[None]:
    ended = threading.Event()

    def write() -> None:
        while not ended.wait(LINE_EVERY_SECONDS):
            print(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {watch.sentence()}", file=stream, flush=True)

    thread = threading.Thread(target=write, name="progress")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def _bar(watch: RunWatch) -> Iterator[None]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), BarColumn(30), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=1.0)
        with _refreshing(bar, watch, int(task)):
            yield


@contextmanager
def _refreshing(bar: Progress, watch: RunWatch, task: int) -> Iterator[None]:
    from rich.progress import TaskID

    ended = threading.Event()

    def refresh() -> None:
        while not ended.wait(0.25):
            bar.update(TaskID(task), completed=watch.share_done, description=watch.sentence())

    thread = threading.Thread(target=refresh, name="progress")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
