"""Whether a failure says that a disk is full, and how much room there is."""

import errno
import resource
import shutil
import sqlite3
from pathlib import Path

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""No space, none left of a quota, or a file larger than `ulimit -f` allows."""

_COULD_NOT_GROW = frozenset(
    {sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_SHMMAP, sqlite3.SQLITE_IOERR_FSYNC}
)
"""What SQLite says of a file that may not grow (EFBIG), and of a log's index that found no room on a full disk."""
MAKE_ROOM = (
    "Nothing is lost: what was loaded stays, and so do the pages that were fetched since. Make room on this disk "
    "(50 MB are plenty) and run again; with another --state-dir those pages would have to be fetched again"
)
"""A slice has 600 pages at most: 9 MB in the journal, at 15 kB each, and about as much again as dlt's package."""


def is_full(error: BaseException) -> bool:
    """Return whether `error` says that there is no room for what was to be written.

    Examples:
        >>> is_full(OSError(errno.ENOSPC, "No space left on device")), is_full(PermissionError(errno.EACCES, "no"))
        (True, False)
    """
    if isinstance(error, sqlite3.Error):
        code: int = getattr(error, "sqlite_errorcode", 0)
        return code & 0xFF == sqlite3.SQLITE_FULL or code in _COULD_NOT_GROW
    return isinstance(error, OSError) and error.errno in _FULL


def disk_full(path: Path, error: BaseException) -> tuple[str, str]:
    """Return message and mend when something of the state could not be written for want of room.

    Args:
        path: What could not be written, or the folder that it was to be in.
        error: Says why.
    """
    reason = getattr(error, "strerror", None) or error
    return f"{path} cannot be written: {reason}, {room(path)}", MAKE_ROOM


def room(path: Path) -> str:
    """Return how much is free on the disk of a path that need not exist, and how large a file may be, for people."""
    try:
        free = shutil.disk_usage(next(folder for folder in (path, *path.parents) if folder.exists())).free
    except OSError:
        return "nobody can tell how much is free there"
    largest = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    most = "" if largest == resource.RLIM_INFINITY else f", files of {size_text(largest)} at most (ulimit -f)"
    return f"{size_text(free)} free on its disk{most}"


def size_text(size: int) -> str:
    """Return a number of bytes for people, rounded down.

    Examples:
        >>> size_text(0), size_text(999_999), size_text(12_345_678), size_text(3_999_000_000)
        ('0 kB', '999 kB', '12.3 MB', '3.9 GB')
    """
    for unit, name in ((10**9, "GB"), (10**6, "MB")):
        if size >= unit:
            return f"{size * 10 // unit / 10:.1f} {name}"
    return f"{size // 1000} kB"
