"""Keeping a DuckDB file open for a while, so that everything in between opens it at no cost.

dlt opens the file a dozen times a load, and each time DuckDB reads its catalog and writes a checkpoint: 36 ms.
While one connection of this process is open, the others join it. Nobody else can open the file meanwhile, so it is kept
only while it is worked on, not while pages are read.
"""

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any, Self

from dashly_warehouse.connections import WAIT_SECONDS, Sleep, open_duckdb
from dashly_warehouse.failures import causes, first_line
from dashly_warehouse.specs import DestinationSpec

logger = logging.getLogger(__name__)

MEMORY_LIMITS = ("24MB", "48MB", "128MB")
"""Of everything that DuckDB keeps of the file meanwhile; by itself it takes what it reads, up to 80 % of the machine.

What fails for want of memory is tried again with the next limit, and at last without one, see `with_memory`. To delete
60,000 rows that lie scattered over a million takes less than 24 MB, over 10 million more than 96, over 60 million more
than 192.
"""


_LIMITED = "set memory_limit = '{}'; set threads = 1; set disabled_optimizers = 'join_filter_pushdown'"
"""A join that filters what it will look up by what it has takes 28 MB to delete 300 rows, and otherwise 14."""
_UNLIMITED = "reset memory_limit; reset threads; reset disabled_optimizers"


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
            self._open()
            self._limit_memory()
        self._depth += 1

    def checkpoint(self) -> None:
        """Moves what was loaded from the log into the file: what waits in the log is in memory too.

        Without enough memory for that, DuckDB refuses everything until the file is opened again, and has lost nothing.

        Raises:
            duckdb.Error: All memory did not help; the file is not kept any more.
        """
        if self._connection is None:
            return
        import duckdb

        try:
            self._connection.execute("checkpoint")
        except (duckdb.FatalException, duckdb.OutOfMemoryException) as error:
            logger.info("DuckDB cannot write its log into the file: %s", first_line(str(error)))
            self._close()
            self._open()
            try:
                self._connection.execute("checkpoint")
            except duckdb.Error:
                self._close()
                raise
            self._limit_memory()
        except duckdb.Error as error:  # somebody else in this process is writing, or the disk is full
            logger.info("What was loaded stays in DuckDB's log: %s", first_line(str(error)))

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

    def let_go(self) -> None:
        """Closes the file when nobody wants it any more; what was loaded is then in it, not in a log beside it."""
        self._depth = max(0, self._depth - 1)
        if self._depth == 0 and self._connection is not None:
            self.checkpoint()
            self._connection.execute(_UNLIMITED)
            self._close()

    def _open(self) -> None:
        with self._waiting():
            self._connection = open_duckdb(self._spec, False, self.wait_seconds, self._sleep)

    def _close(self) -> None:
        self._connection.close()
        self._connection = None

    def _limit_memory(self) -> None:
        """Tells DuckDB how much it may keep of a file that is open; without a limit, whatever it wants by itself."""
        if self._connection is not None:
            limits = self._memory_limits
            self._connection.execute(_LIMITED.format(limits[0]) if limits else _UNLIMITED)

    def __enter__(self) -> Self:
        self.take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.let_go()
