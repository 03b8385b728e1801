"""One run of a contestant: a process group of its own, what it used, and how it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

KB_OF_MAXRSS = 2**10 if sys.platform != "darwin" else 1


@dataclass(frozen=True)
class Ended:
    """How a run ended, and what it used.

    Attributes:
        exit: Its exit code; minus the signal's number when a signal ended it.
        cpu_seconds: Of all its processes.
        peak_mb: The most memory that one of its processes had.
    """

    exit: int
    wall_seconds: float
    cpu_seconds: float
    peak_mb: int


class Started:
    """A run at work. It and all that it starts are one process group, so that a kill leaves nothing of it behind."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], work: Path, log: Path) -> None:
        self._began = time.monotonic()
        with log.open("a", encoding="utf-8") as said:
            said.write(f"\n$ {' '.join(command)}\n")
            said.flush()
            self._process = subprocess.Popen(
                command,
                cwd=work,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Sends a signal to all its processes."""
        os.killpg(self._process.pid, number)

    def wait(self, longest_seconds: float) -> Ended:
        """Waits for the end, and brings it about when that takes too long."""
        timer = threading.Timer(longest_seconds, self.kill, [signal.SIGTERM])
        timer.start()
        try:
            _, status, usage = os.wait4(self._process.pid, 0)
        except KeyboardInterrupt:
            self.kill()
            raise
        finally:
            timer.cancel()
        self._process.returncode = code = os.waitstatus_to_exitcode(status)
        return Ended(
            exit=code,
            wall_seconds=round(time.monotonic() - self._began, 1),
            cpu_seconds=round(usage.ru_utime + usage.ru_stime, 1),
            peak_mb=round(usage.ru_maxrss * KB_OF_MAXRSS / 2**20),
        )
