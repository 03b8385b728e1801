"""Rows of Postgres as Arrow: which type a column becomes, and the batches."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from dashly_warehouse.connections import Row

if TYPE_CHECKING:
    from pyarrow import DataType, RecordBatch, RecordBatchReader, Schema

_NUMERIC, _BYTEA, _INTERVAL = 1700, 17, 1186
_DECIMAL_DIGITS = 38
"""The most that Arrow's decimal128 holds, and DuckDB's too."""


def schema_of(description: Sequence[Any]) -> "Schema":
    """The columns of a psycopg2 cursor. What has no counterpart, JSON among it, is text."""
    import pyarrow

    return pyarrow.schema([(column.name, _type_of(column)) for column in description])


def reader(schema: "Schema", fetch: Callable[[], Sequence[Row]]) -> "RecordBatchReader":
    """The rows as batches, one for each `fetch` until it returns none."""
    import pyarrow

    def batches() -> Iterator["RecordBatch"]:
        while rows := fetch():
            columns = [
                _column(values, field.type) for field, values in zip(schema, zip(*rows, strict=True), strict=True)
            ]
            yield pyarrow.RecordBatch.from_arrays(columns, schema=schema)

    return pyarrow.RecordBatchReader.from_batches(schema, batches())


def _type_of(column: Any) -> "DataType":
    """The Arrow type of a column. A numeric of no declared digits is a double: what `sum` and `avg` make."""
    import pyarrow as pa

    code, digits, scale = column.type_code, column.precision, column.scale
    if code == _NUMERIC and digits is not None and digits <= _DECIMAL_DIGITS and 0 <= (scale or 0) <= digits:
        return pa.decimal128(digits, scale or 0)
    # the numbers are those of pg_type, which never change
    return {
        16: pa.bool_(),
        20: pa.int64(),
        21: pa.int16(),
        23: pa.int32(),
        700: pa.float32(),
        701: pa.float64(),
        _NUMERIC: pa.float64(),
        _BYTEA: pa.binary(),
        1082: pa.date32(),
        1083: pa.time64("us"),
        1114: pa.timestamp("us"),
        1184: pa.timestamp("us", tz="UTC"),
        _INTERVAL: pa.month_day_nano_interval(),
        1009: pa.list_(pa.string()),
        1015: pa.list_(pa.string()),
        1016: pa.list_(pa.int64()),
        1007: pa.list_(pa.int32()),
    }.get(code, pa.string())


def _column(values: Sequence[Any], kind: "DataType") -> Any:
    import pyarrow as pa

    convert: dict[Any, Callable[[Any], Any]] = {pa.string(): str, pa.float64(): float, pa.binary(): bytes}
    change = convert.get(kind)
    return pa.array(values if change is None else [None if one is None else change(one) for one in values], kind)
