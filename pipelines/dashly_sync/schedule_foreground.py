"""`schedule --every` in the foreground: each run is a process of its own, on time, and one at a time."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from types import FrameType

import click

from dashly_state.clock import Clock
from dashly_sync.durations import duration_text
from dashly_sync.exits import Exit
from dashly_sync.signals import StopSignal

LONGEST_BACKOFF_SECONDS = 3600.0
BACK_OFF = (Exit.USAGE, Exit.API, Exit.DESTINATION)
"""What the next run is likely to meet again; any other failure is tried again at the next start."""


class Timekeeper:
    """Starts runs at multiples of an interval, counted from the first, so that nothing drifts.

    Args:
        every: Seconds between two starts. A start that comes while a run is at work is skipped.
        run_once: Carries out one run and returns its exit code.
        clock: Time.
        stop: Ends the waiting.
        say: Takes a line for each run.
    """

    def __init__(
        self, every: float, run_once: Callable[[], int], clock: Clock, stop: StopSignal, say: Callable[[str], None]
    ) -> None:
        self._every, self._run_once, self._clock, self._stop, self._say = every, run_once, clock, stop, say
        self._failures = 0

    def keep_time(self) -> None:
        """Runs again and again, until a signal came."""
        first = self._clock.monotonic()
        tick = 0
        while not self._clock.wait(first + tick * self._every - self._clock.monotonic(), self._stop.event):
            began = self._clock.monotonic()
            code = self._run_once()
            ended = self._clock.monotonic()
            if self._stop.event.is_set():
                return
            self._failures = self._failures + 1 if code in BACK_OFF else 0
            following = max(tick + self._ticks_to_wait(), int((ended - first) // self._every) + 1)
            self._say(
                self._sentence(code, ended - began, following - tick - 1, first + following * self._every - ended)
            )
            tick = following

    def _ticks_to_wait(self) -> int:
        """Returns 1, and after failures in a row 2, 4, 8, … as long as they are an hour at most."""
        doubled: int = 2 ** min(self._failures, 20)
        return max(1, min(doubled, int(LONGEST_BACKOFF_SECONDS // self._every)))

    def _sentence(self, code: int, took: float, skipped: int, wait: float) -> str:
        """Returns how the run ended, and when the next one starts."""
        start = datetime.fromtimestamp(self._clock.now() + wait, UTC)
        how = ENDS.get(code, f"failed (exit {code})")
        left_out = f", {skipped} {'start' if skipped == 1 else 'starts'} left out" if skipped else ""
        why = " after failures in a row" if left_out and self._failures else " as it took so long" if left_out else ""
        return f"run {how} after {duration_text(took)}; the next at {start:%Y-%m-%dT%H:%M:%SZ}{left_out}{why}"


ENDS = {int(Exit.DONE): "done", int(Exit.LOCKED): "left out, as another one is at work (exit 5)"}


class ChildRun:
    """One run at a time, in a process of its own: its crash is not ours, and its memory is given back.

    Args:
        command: The words of the run.
        environ: Its environment.
        stop: Set by SIGINT and SIGTERM, which the run gets, too; it commits, and a second one ends it at once.
    """

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], stop: StopSignal) -> None:
        self._command, self._environ, self._stop = command, environ, stop
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> int:
        """Returns the exit code, above 128 when a signal ended it; 1 when no process could be had."""
        try:
            # a session of its own: Ctrl-C would reach it twice, which ends a run before it has committed
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                self._command, env=self._environ, stdin=subprocess.DEVNULL, start_new_session=True
            )
        except OSError as error:
            click.echo(f"dashly-sync: no run could be started: {error}", err=True)
            return int(Exit.FAILED)
        if self._stop.number is not None:
            self._process.send_signal(self._stop.number)
        code = self._process.wait()
        return code if code >= 0 else 128 - code

    def receive(self, number: int, _frame: FrameType | None) -> None:
        """Takes a signal: no further run begins, and the one at work gets it."""
        self._stop.number = number
        self._stop.event.set()
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    def listen(self) -> None:
        """Takes SIGINT and SIGTERM from now on; only the main thread can."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.receive)
