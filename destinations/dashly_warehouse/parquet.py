"""The answer to a query as Parquet, with the types that its columns have in the database; JSON is text."""

from typing import BinaryIO

from dashly_warehouse.connections import Connection
from dashly_warehouse.errors import QueryError
from dashly_warehouse.failures import first_line
from dashly_warehouse.query import check_reads_only, distinct, query_error

GROUP_ROWS = 50_000
"""What is in memory at a time. DuckDB's own groups have 122,880 rows, which wide rows with bodies make 100 MB of."""


def write_parquet(connection: Connection, sql: str, file: BinaryIO, max_rows: int | None = None) -> int:
    """Writes the answer to one statement and returns how many rows it has; a group of rows is in memory at a time.

    Args:
        connection: From `connect(spec, dataset)`, which lets nothing change.
        sql: What a person wrote; table names are looked up in the dataset.
        file: Where to. Need not be able to seek.
        max_rows: How many rows at most.

    Raises:
        QueryError: The database refuses it, or Parquet has no such type.
    """
    import pyarrow
    from pyarrow import parquet

    check_reads_only(connection, sql)
    left, written = max_rows, 0
    try:
        batches = connection.arrow(sql.strip().rstrip(";"), GROUP_ROWS)
        schema = pyarrow.schema(
            field.with_name(name) for field, name in zip(batches.schema, distinct(batches.schema.names), strict=True)
        )
        with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
            for batch in batches:
                rows = batch if left is None else batch.slice(0, left)
                writer.write_batch(pyarrow.RecordBatch.from_arrays(rows.columns, schema=schema))
                written += rows.num_rows
                left = None if left is None else left - rows.num_rows
                if left == 0:
                    break
    except pyarrow.ArrowNotImplementedError as error:
        raise QueryError(
            f"Parquet cannot hold this: {first_line(str(error))}", "Cast the column, as in x::text"
        ) from None
    except OSError:
        raise
    except Exception as error:  # the drivers' classes, without importing the driver that is not used
        raise query_error(error, connection) from None
    return written
