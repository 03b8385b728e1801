"""Who is running: this boot of the machine, this process, and whether another one still lives."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Protocol

_START_FIELD = 19  # proc(5): starttime is field 22, and two fields (pid, comm) are cut off before


class Processes(Protocol):
    """The seam between the state and the process table. A process is named `pid@start`."""

    @property
    def boot_id(self) -> str:
        """A text that is different after every boot; empty where none is known."""
        ...

    def current(self) -> str:
        """Return the name of the process that asks."""
        ...

    def is_alive(self, process: str) -> bool:
        """Return whether the process of that name still runs. A zombie does not."""
        ...


class SystemProcesses:
    """The machine's own process table.

    On Linux a name holds the start time, so a pid that was given to somebody else is no mistake. On macOS it does
    not (nothing but a C structure would tell): there a reused pid counts as alive.
    """

    @property
    def boot_id(self) -> str:
        """The kernel's id of this boot; empty where it has none."""
        return _boot_id()

    def current(self) -> str:
        """Return the name of this process."""
        return process_name(os.getpid())

    def is_alive(self, process: str) -> bool:
        """Return whether the process named `pid@start` runs, and is still the same one. About 15 µs."""
        pid = int(process.partition("@")[0])
        if not Path("/proc/self/stat").exists():
            return _answers(pid)
        return process_name(pid) == process


def process_name(pid: int) -> str:
    """Return `pid@start`, where start is empty for a process that is gone, a zombie, or on a machine without /proc."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return f"{pid}@"
    fields = stat.rpartition(b")")[2].split()  # the command before it may contain spaces and brackets
    ended = fields[0] in (b"Z", b"X")
    return f"{pid}@" if ended else f"{pid}@{fields[_START_FIELD].decode()}"


def _answers(pid: int) -> bool:
    """Return whether there is a process of that number, whoever owns it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@cache
def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return _boot_id_of_macos() if sys.platform == "darwin" else ""


def _boot_id_of_macos() -> str:
    command = ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return ""
