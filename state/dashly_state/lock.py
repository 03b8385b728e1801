"""One run per app at a time."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout

from .clock import Clock, SystemClock
from .disk import disk_full, is_full
from .errors import RunLockHeld, StateDirectoryError, StateDiskFull
from .process import Processes, SystemProcesses

Holder = dict[str, str | int]


class RunLock:
    """A lock that the kernel takes away from a process that dies, so that it can never be left behind.

    Who holds it is written beside it (`<name>.holder`), for people only: the lock decides, and a holder file of a
    dead process means nothing. A child made by `fork` without `exec` keeps the lock as long as it lives.

    Args:
        path: The lock file. It stays there when nobody holds it.
        clock: What time it is for the holder file.
        processes: Who lives.
    """

    def __init__(self, path: Path, clock: Clock | None = None, processes: Processes | None = None) -> None:
        self.path = path
        self._holder_path = path.with_name(f"{path.name}.holder")
        self._clock = clock or SystemClock()
        self._processes = processes or SystemProcesses()
        self._lock = FileLock(path, timeout=0, mode=0o600, thread_local=False)

    def acquire(self, holder: Mapping[str, str | int]) -> None:
        """Take the lock, or raise at once.

        Args:
            holder: What to tell whoever comes second, such as the `command`. No secrets: it goes into a file.

        Raises:
            RunLockHeld: Another live process has it, or another `RunLock` of this one.
            StateDirectoryError: The file cannot be made.
            StateDiskFull: Its disk is full.
        """
        if self._lock.is_locked:
            raise self._held(self._read_holder())
        try:
            self._lock.acquire()
        except Timeout:
            raise self._held(self._read_holder()) from None
        except OSError as error:
            if is_full(error):
                raise StateDiskFull(*disk_full(self.path, error)) from error
            raise StateDirectoryError(
                f"the lock {self.path} cannot be made ({error})", "See that its folder exists and is yours to write"
            ) from error
        self._write_holder({**holder, **self._myself()})

    def release(self) -> None:
        """Give the lock back; nothing happens when it is not held."""
        if self._lock.is_locked:
            with suppress(OSError):
                self._holder_path.unlink(missing_ok=True)
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _myself(self) -> Holder:
        since = datetime.fromtimestamp(self._clock.now(), UTC).isoformat(timespec="seconds")
        return {"pid": os.getpid(), "process": self._processes.current(), "since": since}

    def _write_holder(self, holder: Holder) -> None:
        """Say who holds the lock. Nobody needs it to be right, so a full disk is no reason not to run."""
        draft = self._holder_path.with_name(f"{self._holder_path.name}.new")
        with suppress(OSError):
            descriptor = os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(holder, file)
            draft.replace(self._holder_path)

    def _read_holder(self) -> Holder:
        """Return what the holder said of itself; nothing when it has not yet, and what is there is of a dead one."""
        try:
            said = json.loads(self._holder_path.read_text(encoding="utf-8"))
            return dict(said) if self._processes.is_alive(said["process"]) else {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def _held(self, holder: Holder) -> RunLockHeld:
        told = {key: value for key, value in holder.items() if key != "process"}
        return RunLockHeld(*_describe(self.path, told), told)


def _describe(path: Path, holder: Holder) -> tuple[str, str]:
    """Return what to say about a held lock, and what to do.

    Examples:
        >>> message, mend = _describe(Path("a.lock"), {"pid": 7, "since": "2026-01-01T00:00:00", "command": "run"})
        >>> message
        'another run is at work on this app: pid 7, since 2026-01-01T00:00:00, command run'
        >>> mend
        'Wait until it is done, or stop it with `kill 7`: it commits what it has'
    """
    if not holder:
        return (
            f"another run is at work on this app (it holds {path})",
            f"Wait until it is done, or find it with `fuser {path}`",
        )
    first = [f"{key} {holder[key]}" if key != "since" else f"since {holder[key]}" for key in ("pid", "since")]
    rest = [f"{key} {value}" for key, value in holder.items() if key not in ("pid", "since")]
    return (
        f"another run is at work on this app: {', '.join(first + rest)}",
        f"Wait until it is done, or stop it with `kill {holder['pid']}`: it commits what it has",
    )
