"""What can go wrong between dashly-sync and the warehouse, grouped by what the caller should do.

```
WarehouseError
├── DestinationError             the destination's fault                   exit 4
│   ├── DestinationConfigError   `--to` or `--dataset` cannot be used      exit 2
│   └── DestinationUnavailable   it is well described, but does not answer exit 4
└── QueryError                   the SQL of `query` cannot be run          exit 2
```
"""

from typing import ClassVar


class WarehouseError(Exception):
    """A failure with its mend. No message ever holds a password.

    Attributes:
        message: What happened and where, one sentence without a full stop.
        mend: What to do next, empty when nothing helps.
        exit_code: What the command line exits with, see CONTRACT.md section 3.
    """

    exit_code: ClassVar[int] = 4

    def __init__(self, message: str, mend: str = "") -> None:
        super().__init__(message, mend)
        self.message = message
        self.mend = mend

    def __str__(self) -> str:
        return f"{self.message}. {self.mend}" if self.mend else self.message


class DestinationError(WarehouseError):
    """The destination failed."""


class DestinationConfigError(DestinationError):
    """The destination or the dataset is named in a way that cannot work."""

    exit_code = 2


class DestinationUnavailable(DestinationError):
    """The destination is named well, and cannot be reached or written to at this moment."""


class QueryError(WarehouseError):
    """The database refused the SQL that a person wrote."""

    exit_code = 2
