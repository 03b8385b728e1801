"""Keeping a DuckDB file open for a while, so that everything in between opens it at no cost.

dlt opens the file a dozen times a load, and each time DuckDB reads its catalog and writes a checkpoint: 36 ms.
While one connection of this process is open, the others join it. Nobody else can open the file meanwhile, so it is kept
only while it is worked on, not while pages are read.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any, Self

from dashly_warehouse.connections import WAIT_SECONDS, Sleep, open_duckdb
from dashly_warehouse.specs import DestinationSpec

MEMORY_LIMIT = "512MB"
"""Of everything that DuckDB keeps of the file meanwhile; by itself it takes what it reads, up to 80 % of the machine.

A load of ten minutes into tables of 1.8 million rows takes 60 MB of it, and passes with 100.
"""


class Hold:
    """Keeps the file of a DuckDB destination; of any other destination there is nothing to keep.

    Args:
        spec: Which warehouse.
        wait_seconds: How long to wait for a file that another process has open.
        sleep: How to wait.
        waiting: Entered while the file is opened, which may take that long.

    Example:
        >>> from dashly_warehouse.specs import parse_destination
        >>> with Hold(parse_destination("postgresql://me@localhost/warehouse")) as hold:
        ...     hold.keeps
        False
    """

    def __init__(
        self,
        spec: DestinationSpec,
        wait_seconds: float = WAIT_SECONDS,
        sleep: Sleep = time.sleep,
        waiting: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self.wait_seconds = wait_seconds
        self._spec, self._sleep, self._waiting = spec, sleep, waiting
        self._connection: Any = None
        self._depth = 0

    @property
    def keeps(self) -> bool:
        """Whether a file is kept open now."""
        return self._connection is not None

    def take(self) -> None:
        """Opens the file, unless it is kept already; each call wants a `let_go` of its own.

        Raises:
            DestinationUnavailable: Another process did not let go of it in time, or it cannot be opened.
        """
        if self._spec.kind == "duckdb" and self._connection is None:
            with self._waiting():
                self._connection = open_duckdb(self._spec, False, self.wait_seconds, self._sleep)
            self._connection.execute(f"set memory_limit = '{MEMORY_LIMIT}'")
        self._depth += 1

    def let_go(self) -> None:
        """Closes the file when nobody wants it any more; what was loaded is then in it, not in a log beside it."""
        self._depth = max(0, self._depth - 1)
        if self._depth == 0 and self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        self.take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.let_go()
