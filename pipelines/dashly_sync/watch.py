"""Progress of a run on stderr: a bar on a terminal, a line every 30 seconds in a log; and what it waits for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from dashly_state.budget import RateLimit
from dashly_state.waits import Wait, Waits
from dashly_sync.durations import duration_text
from dashly_sync.run_log import RunRecord
from dashly_sync.talk import Talk

if TYPE_CHECKING:
    from rich.progress import Progress

    from dashly.slices import Slice

LINE_EVERY_SECONDS = 30.0
WORTH_TELLING_SECONDS = 5.0
"""A shorter wait is over before anybody has read of it."""


class Watched(Protocol):
    """What is at work and can be asked how far it is."""

    @property
    def share_done(self) -> float:
        """From 0 to 1."""
        ...

    def sentence(self) -> str:
        """Returns how far it is, for people."""
        ...

    def numbers(self) -> dict[str, Any]:
        """Returns the same for programs."""
        ...


class RunWatch:
    """What a run has done so far, in words.

    Args:
        limit: The rate limit, from which the time left follows.
        waits: Where the run says what it waits for.
    """

    def __init__(self, limit: RateLimit, waits: Waits | None = None) -> None:
        self._limit = limit
        self.waits = waits or Waits()
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

    @property
    def seconds_left(self) -> float:
        """At least, for what is known to be missing by now."""
        return self._missing * self._limit.seconds / self._limit.requests

    @property
    def wait(self) -> Wait | None:
        """What the run waits for; None while it goes on, or only keeps its own pace."""
        longest = self.waits.longest()
        return longest if longest is not None and longest.seconds > WORTH_TELLING_SECONDS else None

    def sentence(self) -> str:
        """Returns requests, rows, backlog, time left, and what is waited for."""
        left = waiting = ""
        if self._missing:
            left = f", {self._missing:,} lists to read, at least {duration_text(self.seconds_left)} left"
        if (wait := self.wait) is not None:
            waiting = f"; waiting {wait.cause}, {duration_text(wait.seconds)} so far"
        return f"{self._requests:,} requests, {self._rows:,} rows{left}{waiting}"

    def numbers(self) -> dict[str, Any]:
        """Returns the same for programs."""
        wait = self.wait
        return {
            "requests": self._requests,
            "rows": self._rows,
            "backlog": self._missing,
            "seconds_left": round(self.seconds_left, 1),
            "waited_seconds": 0.0 if wait is None else round(wait.seconds, 1),
            "wait_cause": None if wait is None else wait.cause,
        }


@contextmanager
def watching(watch: Watched, talk: Talk, line_every_seconds: float = LINE_EVERY_SECONDS) -> Iterator[None]:
    """Shows the watch on stderr while the block runs."""
    with _bar(watch) if talk.is_terminal else _lines(watch, talk, line_every_seconds):
        yield


@contextmanager
def _lines(watch: Watched, talk: Talk, every_seconds: float) -> Iterator[None]:
    ended = threading.Event()

    def write() -> None:
        while not ended.wait(every_seconds):
            talk.say("progress", watch.sentence(), timed=True, **watch.numbers())

    thread = threading.Thread(target=write, name="progress")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def _bar(watch: Watched) -> Iterator[None]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), BarColumn(30), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=1.0)
        with _refreshing(bar, watch, int(task)):
            yield


@contextmanager
def _refreshing(bar: Progress, watch: Watched, task: int) -> Iterator[None]:
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
