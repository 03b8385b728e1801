"""A file that is always whole: what it held before, or all of what is new."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields the file to write; when the block ends well it takes the place of `path`, otherwise it is gone.

    Whoever has the old file open keeps reading it. A process that is killed leaves `.NAME.partial` beside the file, and
    the next one writes over that. What is no regular file (`/dev/stdout`, a pipe) is written as it is.

    Args:
        path: Need not exist, its folder does.

    Raises:
        OSError: There is no such folder, no right to write in it, or no room.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        yield target
        return
    partial = target.with_name(f".{target.name}.partial")
    partial.unlink(missing_ok=True)
    try:
        yield partial
        _write_through(partial)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _write_through(path: Path) -> None:
    """Waits until the disk has it: otherwise the new name may reach the disk before what was written."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
