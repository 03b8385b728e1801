"""Keeping a DuckDB file open for a while, so that everything in between opens it at no cost.

dlt opens the file a dozen times a load, and each time DuckDB reads its catalog and writes a checkpoint: 36 ms.
While one connection of this process is open, the others join it. Nobody else can open the file meanwhile, so it is kept
only while it is worked on, not while pages are read.
"""

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from types import TracebackType
from typing import Any, Self

from dashly_warehouse.connections import WAIT_SECONDS, Sleep, open_duckdb
from dashly_warehouse.errors import DestinationUnavailable
from dashly_warehouse.failures import causes, first_line
from dashly_warehouse.specs import DestinationSpec

logger = logging.getLogger(__name__)

MEMORY_LIMITS = ("32MB", "128MB")
"""Of everything that DuckDB keeps of the file meanwhile; by itself it takes what it reads, up to 80 % of the machine.

What fails for want of memory is tried again with the next limit, and at last without one, see `with_memory`. To delete
60,000 rows that lie scattered over a million takes less than 24 MB, over 10 million more than 96, over 60 million more
than 192.
"""


class Hold:
    """Keeps the file of a DuckDB destination; of any other destination there is nothing to keep.

    Args:
        spec: Which warehouse.
        wait_seconds: How long to wait for a file that another process has open.
        sleep: How to wait.
        waiting: Entered while the file is opened, which may take that long.
        memory_limits: What DuckDB may keep in memory, at first and when that does not suffice.

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
        memory_limits: tuple[str, ...] = MEMORY_LIMITS,
    ) -> None:
        self.wait_seconds = wait_seconds
        self._memory_limits = memory_limits
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
            self._limit_memory()
        self._depth += 1

    def with_memory(self, work: Callable[[], Any], again: Callable[[], Any]) -> None:
        """Does the work; as often as DuckDB's memory does not suffice for it, raises its limit and tries `again`."""
        import duckdb

        try:
            work()
            return
        except Exception as error:
            wants_memory = any(isinstance(one, duckdb.OutOfMemoryException) for one in causes(error))
            if not self._memory_limits or not wants_memory:
                raise
        logger.info("DuckDB wants more memory than %s: it may have it", self._memory_limits[0])
        self._memory_limits = self._memory_limits[1:]
        self._limit_memory()
        self.with_memory(again, again)

    def _limit_memory(self) -> None:
        """Tells DuckDB how much it may keep of a file that is open; without a limit, whatever it wants by itself."""
        if self._connection is not None and self._memory_limits:
            self._connection.execute(f"set memory_limit = '{self._memory_limits[0]}'; set threads = 1")
        elif self._connection is not None:
            self._connection.execute("reset memory_limit; reset threads")

    def let_go(self) -> None:
        """Closes the file when nobody wants it any more; what was loaded is then in it, not in a log beside it."""
        self._depth = max(0, self._depth - 1)
        if self._depth == 0 and self._connection is not None:
            written = self._checkpoint()
            self._connection.close()
            self._connection = None
            if not written:
                self._checkpoint_without_limit()

    def _checkpoint(self) -> bool:
        """Moves the log into the file within the memory limit, and returns whether that sufficed.

        Closing would do the same, all at once. Without enough memory DuckDB refuses every other statement until the
        file is opened again, and keeps the log.
        """
        import duckdb

        try:
            self._connection.execute("checkpoint")
            self._connection.execute("reset memory_limit")
        except (duckdb.FatalException, duckdb.OutOfMemoryException) as error:
            logger.info("DuckDB wants more memory to write its log into the file: %s", first_line(str(error)))
            return False
        return True

    def _checkpoint_without_limit(self) -> None:
        """Opens the file and closes it; who opens it first does that, so it may be another process."""
        with suppress(DestinationUnavailable):
            open_duckdb(self._spec, False, 0.0, self._sleep).close()

    def __enter__(self) -> Self:
        self.take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.let_go()
