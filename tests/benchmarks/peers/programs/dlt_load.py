"""One load with dlt's own `rest_api` source into a DuckDB file; runs in an environment that has `dlt[duckdb]`.

plain: what its documentation shows first: merge on the id, a cursor paginator, children of each parent.
tuned: each list is an incremental that runs newest first (`row_order`), so that paging stops at what is known and only
    the parents that moved have their children read; and more patience with an API that refuses.
replace: plain, but every run writes the tables anew.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

LISTS: dict[str, dict[str, Any]] = {
    "users": {"data": "data.users", "cursor": "props['$last_seen']", "oldest": "1970-01-01T00:00:00", "params": {}},
    "conversations": {
        "data": "data",
        "cursor": "last_update",
        "oldest": 0,
        "params": {"include_not_assigned": "true"},
    },
}
CHILDREN = {"events": "users/{resources.users.id}/events", "parts": "conversations/{resources.conversations.id}/parts"}
PATIENCE = {"RUNTIME__REQUEST_MAX_ATTEMPTS": "10", "RUNTIME__REQUEST_MAX_RETRY_DELAY": "60"}


def configuration(base_url: str, token: str, mode: str) -> dict[str, Any]:
    """What `rest_api_source` takes."""
    return {
        "client": {
            "base_url": base_url,
            "auth": {"type": "api_key", "name": "auth_token", "api_key": token, "location": "query"},
            "paginator": {"type": "cursor", "cursor_path": "meta.next_after", "cursor_param": "after"},
        },
        "resource_defaults": {
            "primary_key": "id",
            "write_disposition": "replace" if mode == "replace" else "merge",
            "columns": {"id": {"data_type": "text"}},
            "endpoint": {"params": {"count": 50, "id_as_string": "true"}},
        },
        "resources": [*(a_list(name, mode) for name in LISTS), *map(a_child, CHILDREN)],
    }


def a_list(name: str, mode: str) -> dict[str, Any]:
    """A list of parents."""
    known = LISTS[name]
    endpoint = {"path": f"apps/1/{name}", "data_selector": known["data"], "params": known["params"]}
    if mode == "tuned":
        endpoint["incremental"] = {
            "cursor_path": known["cursor"],
            "initial_value": known["oldest"],
            "row_order": "desc",
            "on_cursor_value_missing": "include",
        }
    return {"name": name, "endpoint": endpoint}


def a_child(name: str) -> dict[str, Any]:
    """The children of each parent that came."""
    columns = {"user": {"data_type": "text"}, "conversation": {"data_type": "text"}, "from": {"data_type": "json"}}
    return {
        "name": name,
        "columns": {"id": {"data_type": "text"}, **columns},
        "endpoint": {"path": CHILDREN[name], "data_selector": "data"},
    }


def main() -> None:
    """Carries one load out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--mode", choices=["plain", "tuned", "replace"], required=True)
    chosen = parser.parse_args()
    if chosen.mode == "tuned":
        os.environ.update(PATIENCE)
    import dlt
    from dlt.sources.rest_api import rest_api_source

    declared: Any = configuration(chosen.base_url + "/", chosen.token, chosen.mode)
    source = rest_api_source(declared, name="dashly_peer", max_table_nesting=0)
    pipeline = dlt.pipeline(
        "dashly_peer",
        destination=dlt.destinations.duckdb(str(chosen.work / "held.duckdb")),
        dataset_name="raw",
        pipelines_dir=str(chosen.work / "dlt"),
    )
    pipeline.run(source)


if __name__ == "__main__":
    main()
