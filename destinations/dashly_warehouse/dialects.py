"""The analytics views as SQL for a warehouse that `run` does not make views in."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from dashly_warehouse.business_hours import BusinessHours
from dashly_warehouse.errors import DestinationConfigError
from dashly_warehouse.views import Model, read_models

WRITTEN_IN = "postgres"
"""The dialect that the models are read as; DuckDB takes them as they are."""


def view_statements(dataset: str, hours: BusinessHours, dialect: str) -> Iterator[tuple[str, str]]:
    """Yields each view's `create or replace view`, and why it needs a hand; empty when it needs none.

    Each comes after the views that it selects from.

    Args:
        dataset: Schema of the tables; the views go there too.
        hours: What business seconds are counted by.
        dialect: Of sqlglot: `bigquery`, `snowflake`, `databricks`, `clickhouse`, `redshift`, …

    Raises:
        DestinationConfigError: sqlglot knows no such dialect.
    """
    _check_dialect(dialect)
    for model in read_models():
        sql = model.render(f"{dataset}.{{}}".format, hours.variables())
        yield _translated(model, dataset, sql, dialect)


def _translated(model: Model, dataset: str, sql: str, dialect: str) -> tuple[str, str]:
    import sqlglot  # 0.2 s: not for --help

    write = partial(sqlglot.transpile, sql, read=WRITTEN_IN, write=dialect, pretty=True, comments=False)
    try:
        select, doubt = write(unsupported_level=sqlglot.ErrorLevel.RAISE)[0], ""
    except sqlglot.errors.UnsupportedError as error:
        select, doubt = write(unsupported_level=sqlglot.ErrorLevel.IGNORE)[0], str(error).partition("\n")[0]
    return f"-- {model.description}\ncreate or replace view {dataset}.{model.name} as\n{select};\n", doubt


def _check_dialect(dialect: str) -> None:
    from sqlglot.dialects.dialect import Dialects

    known = sorted(one.value for one in Dialects if one.value)
    if dialect not in known:
        raise DestinationConfigError(f"no SQL dialect {dialect!r} is known", f"It is one of {', '.join(known)}")
