"""dlt's state of a pipeline as the destination holds it: what the next run begins with, read without a pipeline."""

from typing import Any

from dashly_warehouse.connections import Connection

_NEWEST = (
    "select s.state from _dlt_pipeline_state as s join _dlt_loads as l on l.load_id = s._dlt_load_id "
    "where s.pipeline_name = %s and l.status = 0 order by l.load_id desc"
)
"""dlt's own rule: of the states whose package is loaded, the one of the newest package."""


def read_pipeline_state(connection: Connection, pipeline_name: str) -> dict[str, Any]:
    """The state that the newest loaded package brought; empty when there is none. Changes nothing, costs one query."""
    return next(iter(read_pipeline_states(connection, pipeline_name, 1)), {})


def read_pipeline_states(connection: Connection, pipeline_name: str, most: int = 100) -> list[dict[str, Any]]:
    """The states that the newest loaded packages brought, newest first: those that `prune_dlt_history` has left."""
    from dlt.common.versioned_state import decompress_state

    if not {"_dlt_pipeline_state", "_dlt_loads"} <= set(connection.tables()):
        return []
    return [dict(decompress_state(text)) for (text,) in connection.execute(f"{_NEWEST} limit {most}", [pipeline_name])]
