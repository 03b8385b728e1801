"""Who may read what is kept on this machine: its owner, and nobody else, whatever the umask says."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import StateDirectoryError

OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OURS = (
    "budget.sqlite*",
    "journal-*.sqlite*",
    "push-*.sqlite*",
    "run-*.lock*",
    "alerts-*.json",
    "cron.lo[cg]*",
    "pipelines",
)
"""What of the state directory is ours: it may be a folder that a person keeps other things in."""
_PLACE = "[0-9a-f]" * 16
"""A working directory of dlt's in `pipelines`."""


@contextmanager
def private_files() -> Iterator[int]:
    """Files that this process makes in the block are for its owner alone; yields the umask that was there before.

    For what others make for us, such as dlt in its working directory. The umask is the whole process's.
    """
    before = os.umask(OTHERS)
    try:
        yield before
    finally:
        os.umask(before)


def close_to_others(root: Path) -> None:
    """Takes all rights of others on the state directory and on what of it is ours.

    Costs a look at each of the few dozen files. Of a folder that holds something else nothing is changed.

    Raises:
        StateDirectoryError: It belongs to another user, or is open to others and not recognisably ours.
        OSError: It cannot be looked at.
    """
    status = root.stat()
    if status.st_uid != os.geteuid():
        raise StateDirectoryError(
            f"the state directory {root} belongs to another user (uid {status.st_uid}, this is {os.geteuid()})",
            f"Run as that user, or name a folder of your own: --state-dir {root / 'dashly-sync'} or DASHLY_STATE_DIR",
        )
    if status.st_mode & OTHERS:
        _check_ours(root)
        _close(root)
    for path in _ours(root):
        _close(path)


def _check_ours(root: Path) -> None:
    """Refuses to close what others may have a right to look into, such as a home or /tmp."""
    ours = set(_ours(root))
    if root / "budget.sqlite" not in ours and set(root.iterdir()) - ours:
        raise StateDirectoryError(
            f"the state directory {root} is open to other users, and holds other things as well",
            f"Name one of its own, such as --state-dir {root / 'dashly-sync'}, or close this one: chmod 700 {root}",
        )


def _ours(root: Path) -> Iterator[Path]:
    """Yields files and folders of ours; links are not followed."""
    for pattern in _OURS:
        yield from root.glob(pattern)
    pipelines = root / "pipelines"
    for place in pipelines.glob(_PLACE) if not pipelines.is_symlink() else ():
        yield place
        if not place.is_symlink():
            yield from place.rglob("*")


def _close(path: Path) -> None:
    """Takes the rights of others on a file or folder away, if there are any; another process may remove it first."""
    with suppress(FileNotFoundError):
        status = path.lstat()
        if status.st_mode & OTHERS and not stat.S_ISLNK(status.st_mode):
            try:
                path.chmod(stat.S_IMODE(status.st_mode) & ~OTHERS)
            except PermissionError:
                if status.st_uid == os.geteuid():  # a file system that knows no rights, such as FAT
                    return
                raise StateDirectoryError(
                    f"{path} belongs to another user (uid {status.st_uid}, this is {os.geteuid()})",
                    f"Give it back, as after a run with sudo: chown -R {os.geteuid()} {path.parent}",
                ) from None
