"""The destination of a run: what `--to` means, what dlt needs of it, whether it works, and why it failed.

dlt is imported inside the functions that need it, so that `query` and `--help` start without it.
"""

from typing import TYPE_CHECKING, Any, cast

from dashly_warehouse.checks import check_destination
from dashly_warehouse.errors import DestinationConfigError, DestinationError, DestinationUnavailable
from dashly_warehouse.failures import explain_failure
from dashly_warehouse.specs import DestinationSpec, check_dataset_name, check_name_clash, parse_destination

if TYPE_CHECKING:
    from dlt.common.destination import Destination
    from dlt.common.typing import TLoaderFileFormat

__all__ = [
    "DestinationConfigError",
    "DestinationError",
    "DestinationSpec",
    "DestinationUnavailable",
    "check_dataset_name",
    "check_destination",
    "check_name_clash",
    "dlt_destination",
    "explain_failure",
    "loader_file_format",
    "parse_destination",
]


STATEMENT_BYTES = 2 * 2**20
"""What dlt sends to Postgres at once is half of that; by itself it would be 16 MB, several times in memory."""


def dlt_destination(spec: DestinationSpec, dataset: str | None = None) -> "Destination[Any, Any]":
    """The destination object that `dlt.pipeline(destination=...)` takes.

    Args:
        spec: Which warehouse.
        dataset: The dataset that will go there; when given, a DuckDB file of the same name is refused.

    Raises:
        DestinationConfigError: dlt knows no destination of that name, or the names clash.
    """
    import dlt

    if dataset is not None:
        check_name_clash(spec, dataset)
    if spec.kind == "duckdb":
        from dashly_warehouse.duckdb_destination import RoomyDuckDb

        # one job after the other: side by side they wait for each other in DuckDB, and hold more memory
        return RoomyDuckDb(credentials=str(spec.path), loader_parallelism_strategy="sequential")
    if spec.kind == "postgres":
        return dlt.destinations.postgres(credentials=str(spec.uri), max_query_length=STATEMENT_BYTES)
    return _named_destination(str(spec.name))


def loader_file_format(spec: DestinationSpec) -> "TLoaderFileFormat":
    """What to pass as `pipeline.run(loader_file_format=...)`, the only place where dlt 1.31 listens.

    DuckDB: parquet; its default took 29.7 s and 3.4 GB for 100,000 rows, parquet 1.5 s for a million. Postgres:
    insert_values; csv turns empty strings into NULL, and parquet makes `json` columns instead of `jsonb`.

    Returns:
        None where dlt's own choice is to stand.
    """
    if spec.kind == "duckdb":
        return "parquet"
    if spec.kind == "postgres":
        return "insert_values"
    is_duckdb = dlt_destination(spec).destination_type == "dlt.destinations.duckdb"
    # None is dlt's own default for this argument, although dlt annotates it as never None
    return "parquet" if is_duckdb else cast("TLoaderFileFormat", None)


def _named_destination(name: str) -> "Destination[Any, Any]":
    from dlt.common.destination import Destination
    from dlt.common.destination.exceptions import DestinationException

    try:
        found = Destination.from_reference(name)
    except (DestinationException, ImportError):
        found = None
    if found is None:
        raise DestinationConfigError(
            f"dlt has no destination named {name!r}",
            f"Describe it in .dlt/config.toml ([destination.{name}] destination_type = ...), or give a URI: "
            "duckdb:///FILE, postgresql://USER:PASSWORD@HOST:PORT/DB",
        )
    return found
