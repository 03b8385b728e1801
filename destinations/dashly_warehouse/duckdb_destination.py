"""dlt's DuckDB destination, with room in memory for every commit.

A commit that DuckDB 2.0 must give up for want of memory leaves half of its rows: in the table at once, and once more
in the log, from where they come back when the file is opened. A statement that fails so leaves nothing. So the memory
limit of `holding` stands only while a statement of a transaction runs, or an INSERT, or a checkpoint, which loses
nothing either: there memory grows with the account, and with the rows of a slice.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any

import duckdb
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.destination.dataset import DBApiCursor
from dlt.common.normalizers.naming import NamingConvention
from dlt.common.schema import Schema
from dlt.destinations import duckdb as dlt_duckdb
from dlt.destinations.impl.duckdb.configuration import DuckDbClientConfiguration
from dlt.destinations.impl.duckdb.duck import DuckDbClient
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient
from dlt.destinations.typing import DBTransaction

from dashly_warehouse.failures import is_news

_one_at_a_time = threading.RLock()
"""The limit is one for all connections: who puts it back must not do so while another one commits."""


class RoomyDuckDb(dlt_duckdb):
    """What dlt takes for its own DuckDB destination, in its state as well."""

    @property
    def destination_type(self) -> str:
        """The name under which dlt finds the destination again."""
        return "dlt.destinations.duckdb"

    @property
    def client_class(self) -> type[DuckDbClient]:
        """What loads into it."""
        return RoomyClient

    def capabilities(
        self, config: DuckDbClientConfiguration | None = None, naming: NamingConvention | None = None
    ) -> DestinationCapabilitiesContext:
        """What DuckDB can do, whatever the configuration: dlt would resolve one for it, eight times a load."""
        return super().capabilities(config or self.spec(), naming)


class RoomyClient(DuckDbClient):
    """Loads through a `RoomySqlClient`."""

    def __init__(
        self, schema: Schema, config: DuckDbClientConfiguration, capabilities: DestinationCapabilitiesContext
    ) -> None:
        super().__init__(schema, config, capabilities)
        names = self.create_dataset_names(schema, config)
        self.sql_client = RoomySqlClient(*names, config.credentials, capabilities)


class RoomySqlClient(DuckDbSqlClient):
    """Lifts the memory limit for whatever commits."""

    _in_transaction = False

    @contextmanager
    def begin_transaction(self) -> Iterator[DBTransaction]:
        """A transaction whose statements are limited, and its end not."""
        self._in_transaction = True
        try:
            with super().begin_transaction() as transaction:
                yield transaction
        finally:
            self._in_transaction = False

    def commit_transaction(self) -> None:
        """Commits, whatever memory that takes."""
        with unlimited(self.native_connection):
            super().commit_transaction()

    def rollback_transaction(self) -> None:
        """Undoes the transaction, whatever memory that takes."""
        with unlimited(self.native_connection):
            super().rollback_transaction()

    @contextmanager
    def execute_query(self, query: Any, *args: Any, **kwargs: Any) -> Iterator[DBApiCursor]:
        """Executes a statement, whose rows have to be fetched within; outside a transaction it commits afterwards."""
        with self._around(query), super().execute_query(query, *args, **kwargs) as cursor:
            yield cursor

    def _around(self, query: str) -> AbstractContextManager[Any]:
        if self._in_transaction:
            return nullcontext()
        if query.lstrip()[:6].upper() == "INSERT":  # a file of the load: its rows are limited, its commit is not
            return self.begin_transaction()
        return unlimited(self.native_connection)


@contextmanager
def unlimited(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Lets DuckDB have what memory it wants, and afterwards as much as before, if it can do with that by then."""
    with _one_at_a_time, connection.cursor() as beside:
        (limit,) = beside.execute("select current_setting('memory_limit')").fetchone() or ("",)
        beside.execute("reset memory_limit")
        try:
            yield
        finally:
            with suppress(duckdb.OutOfMemoryException):
                beside.execute(f"set memory_limit = '{limit}'")


logging.getLogger("dlt").addFilter(is_news)
