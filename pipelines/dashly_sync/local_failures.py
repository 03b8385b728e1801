"""What this machine did wrong when a run failed: dlt wraps it, and knows nothing of a disk that is full."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dashly_state.disk import disk_full, is_full
from dashly_state.errors import StateDiskFull, StateError
from dashly_warehouse.failures import causes


def explain_local_failure(error: BaseException, root: Path) -> StateError | None:
    """Returns what the state directory did wrong; None when the failure has nothing to do with it.

    Args:
        error: One that is not the destination's.
        root: The state directory, where dlt's working directory is too.
    """
    chain = list(causes(error))
    for one in chain:
        if isinstance(one, StateError):
            return one
    for one in chain:
        if is_full(one):
            at = getattr(one, "filename", None)
            return StateDiskFull(*disk_full(Path(at) if isinstance(at, str) else root, one))
    return None


@contextmanager
def local_failures_explained(root: Path) -> Iterator[None]:
    """Raises what the state directory did wrong instead of what dlt made of it.

    Args:
        root: The state directory.
    """
    try:
        yield
    except Exception as error:
        known = explain_local_failure(error, root)
        if known is None:
            raise
        raise known from None
