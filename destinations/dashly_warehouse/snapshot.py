"""A read copy of the DuckDB file: readers of the copy and the loads of a sync never meet.

DuckDB gives its file to one writer or to any number of readers. So the file is copied while this process holds it for
reading and no log of unfinished work lies beside it; then the copy takes the place of the one before. As a file it is
copied 25 to 45 times as fast as by `copy from database`, in 63 MB of memory instead of 2.4 GB (1,145 MB on 2 cores: 1.4
to 2.5 s against 63 s), and everything comes along: views, keys, comments.
"""

import errno
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dashly_state.disk import room
from dashly_warehouse.connections import WAIT_SECONDS, Sleep, connect
from dashly_warehouse.errors import DestinationConfigError, DestinationUnavailable
from dashly_warehouse.failures import database_failure
from dashly_warehouse.replacement import replacing
from dashly_warehouse.specs import DestinationSpec, check_name_clash

READ_ONLY = 0o444
"""A reader that asks for more would lock out the others, and what it wrote would be gone with the next copy."""
NEW = 0o440
"""The first copy is not for everybody; it holds personal data."""
_ATTEMPTS = 3


def check_snapshot(spec: DestinationSpec, dataset: str, target: Path) -> None:
    """Nothing, when the warehouse can be copied to `target` after each run.

    Raises:
        DestinationConfigError: With the mend.
    """
    if spec.path is None:
        raise DestinationConfigError(
            f"a snapshot is a copy of a DuckDB file, and {spec.display} is none",
            "Leave out --snapshot: other databases serve readers while a sync writes",
        )
    target = target.resolve()
    if target == spec.path.resolve():
        raise DestinationConfigError(f"the snapshot {target} is the warehouse itself", "Name another file")
    if target.is_dir():
        raise DestinationConfigError(
            f"the snapshot {target} is a directory", f"Name a file in it: {target}/read.duckdb"
        )
    if not target.parent.is_dir():
        raise DestinationConfigError(f"there is no directory {target.parent}", f"Create it: mkdir -p {target.parent}")
    check_name_clash(DestinationSpec("duckdb", display=f"duckdb:///{target}", path=target), dataset)


def publish_snapshot(
    spec: DestinationSpec, target: Path, wait_seconds: float = WAIT_SECONDS, sleep: Sleep = time.sleep
) -> None:
    """Makes `target` a copy of the warehouse as it is now. When it fails, `target` stays as it was.

    Args:
        spec: A DuckDB file.
        target: On whose disk there is room for both the old copy and the new one.
        wait_seconds: How long to wait for a reader that has the warehouse itself open, where its log must be put away.
        sleep: How to wait.

    Raises:
        DestinationUnavailable: The warehouse cannot be opened.
        OSError: The copy cannot be written.
    """
    source = spec.path or Path()
    with replacing(target) as partial:
        with _at_rest(spec, wait_seconds, sleep):
            _check_room(source, target)
            shutil.copyfile(source, partial)
        partial.chmod(_rights(source, target))
    _log_of(target.resolve()).unlink(missing_ok=True)  # of a copy that someone wrote to: it would be taken for ours


@contextmanager
def _at_rest(spec: DestinationSpec, wait_seconds: float, sleep: Sleep) -> Iterator[None]:
    """Holds the file for reading, so that nobody writes, while all that was committed is in the file itself.

    To close any descriptor of a file gives up this process's locks on it. So the copy is the last thing to be done
    under the lock, and the lock is one for reading: a connection that writes would have work to do when it closes.
    """
    for _ in range(_ATTEMPTS):
        with connect(spec, "main", wait_seconds=wait_seconds, sleep=sleep):
            if not _log_of(spec.path or Path()).exists():
                yield
                return
        with connect(spec, "main", read_only=False, wait_seconds=wait_seconds, sleep=sleep) as writer:
            try:
                writer.execute("checkpoint")
            except Exception as error:  # duckdb's own, without importing it: its disk is full, or damaged
                raise database_failure(error, spec) from None
    raise DestinationUnavailable(f"something else keeps writing to {spec.path}", "Let it end first")


def _log_of(path: Path) -> Path:
    """Where DuckDB keeps what is not in the file yet."""
    return path.with_name(f"{path.name}.wal")


def _rights(source: Path, target: Path) -> int:
    """Who may read the copy: those who may read the one before; of the first one, the warehouse's owner and group."""
    return target.stat().st_mode & READ_ONLY if target.exists() else source.stat().st_mode & NEW


def _check_room(source: Path, target: Path) -> None:
    """A copy that cannot fit is not begun: it would take the last room from the warehouse itself."""
    size = source.stat().st_size
    if shutil.disk_usage(target.resolve().parent).free < size:
        raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)} for {size:,} bytes, {room(target)}")
