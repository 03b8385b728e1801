"""The exit codes of every command, and which error ends in which."""

from __future__ import annotations

import enum
from collections.abc import Iterable


class Exit(enum.IntEnum):
    """What a script can tell from `$?`."""

    DONE = 0
    """Done; also when a time or request limit ended the run on purpose."""
    FAILED = 1
    """The run failed; what was loaded stays, the next run continues."""
    USAGE = 2
    """Usage or configuration."""
    API = 3
    """API unreachable, token refused, or no access."""
    DESTINATION = 4
    """The destination failed."""
    LOCKED = 5
    """Another run holds the lock for this app."""
    INCOMPLETE = 6
    """`verify` found something missing."""
    STALE = 7
    """`status --max-age`: the last success is older, or there is none."""
    UNCERTAIN = 8
    """A write got no answer: it may have taken effect. Look before it is sent again."""
    SIGINT = 130
    SIGTERM = 143


def exit_of_all(codes: Iterable[int]) -> int:
    """Returns 0 when all are well, what the failed ones have in common, else 1.

    Example:
        >>> exit_of_all([0, 3, 3]), exit_of_all([0, 2, 3]), exit_of_all([0])
        (3, 1, 0)
    """
    failed = set(codes) - {Exit.DONE}
    return int(Exit.DONE) if not failed else int(failed.pop()) if len(failed) == 1 else int(Exit.FAILED)


def exit_for(error: BaseException) -> Exit | None:
    """Returns the exit code of an error with a message for people; None for a defect, which shows its traceback."""
    from dashly import errors as api  # they import dlt, 0.5 s: not for --help
    from dashly_state.errors import RunLockHeld, StateDirectoryError, StateError
    from dashly_sync.settings import UsageError
    from dashly_warehouse.errors import WarehouseError

    if isinstance(error, WarehouseError):
        return Exit(error.exit_code)
    no_access = (api.AccessError, api.ApiUnavailable, api.RequestRefused, api.RecordForbidden, api.RecordGone)
    kinds: tuple[tuple[tuple[type[Exception], ...], Exit], ...] = (
        ((api.SettingsError, api.InvalidArgument, StateDirectoryError, UsageError), Exit.USAGE),
        (no_access, Exit.API),
        ((api.Uncertain,), Exit.UNCERTAIN),
        ((RunLockHeld,), Exit.LOCKED),
        ((api.DashlyError, StateError), Exit.FAILED),
    )
    return next((code for kind, code in kinds if isinstance(error, kind)), None)
