"""What can go wrong with what is known on this machine.

StateError                  always says what to do next
├── BudgetError             the request budget cannot be read or written
├── JournalError            a page cannot be kept
├── PushLedgerError         nobody can tell what was sent to Dashly
├── RunLockHeld             another run of the same app is at work
├── StateDiskFull           there is no room for what is to be written
└── StateDirectoryError     the state directory cannot be used
"""

from collections.abc import Mapping


class StateError(Exception):
    """A failure of the local state, with the way out of it.

    Attributes:
        message: What happened and where, without a full stop.
        mend: What to do next, as a sentence without a full stop.
    """

    def __init__(self, message: str, mend: str) -> None:
        super().__init__(message, mend)  # both are args, so that the error survives pickling
        self.message = message
        self.mend = mend

    def __str__(self) -> str:
        return f"{self.message}. {self.mend}."


class BudgetError(StateError):
    """The request budget's file cannot be read or written, so no request may start."""


class JournalError(StateError):
    """A page cannot be kept, so a killed run would pay for it again."""


class PushLedgerError(StateError):
    """What was sent to Dashly cannot be read or written, so nothing may be sent: it might be sent twice."""


class StateDirectoryError(StateError):
    """The state directory, or a lock in it, cannot be used."""


class StateDiskFull(StateError):
    """There is no room for what is to be written: to be mended on the disk, not in the settings."""


class RunLockHeld(StateError):
    """Another live process holds the lock of this app.

    Attributes:
        holder: What the other run said of itself: `pid`, `since` (ISO 8601, UTC) and what it passed to
            `RunLock.acquire`. Empty when it holds the lock but has not said so yet.
    """

    def __init__(self, message: str, mend: str, holder: Mapping[str, str | int] | None = None) -> None:
        super().__init__(message, mend)
        self.holder = dict(holder or {})
