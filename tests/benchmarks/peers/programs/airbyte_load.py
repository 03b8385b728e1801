"""One sync of the connector in `airbyte_manifest.py`; runs in an environment that has `airbyte-cdk`, or `airbyte`.

cdk: the connector's own command prints records and states, which `capture.py` keeps as a destination would.
pyairbyte: PyAirbyte runs the same command and merges into its DuckDB cache. It is given the installed executable, as
    with a manifest of its own it does not hand the saved state on (0.71.3).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from airbyte_manifest import manifest

STREAMS = ("users", "conversations", "events", "parts")
EXECUTABLE = Path(sys.executable).parent / "source-declarative-manifest"


def load_with_cdk(config: dict[str, Any], work: Path) -> int:
    """Syncs into DIR/records.jsonl, and returns the exit code."""
    for name, content in (("config", config), ("catalog", catalog())):
        (work / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    source = [EXECUTABLE, "read", "--config", work / "config.json", "--catalog", work / "catalog.json"]
    capture = [sys.executable, Path(__file__).with_name("capture.py"), "airbyte", "--work", work, "--", *source]
    return subprocess.run([str(part) for part in capture], check=False).returncode


def catalog() -> dict[str, Any]:
    """All four streams: incremental, and deduplicated by id where they arrive."""
    schema = {"type": "object", "additionalProperties": True, "properties": {}}
    modes = ["full_refresh", "incremental"]
    return {
        "streams": [
            {
                "stream": {
                    "name": name,
                    "json_schema": schema,
                    "supported_sync_modes": modes,
                    "source_defined_primary_key": [["id"]],
                },
                "sync_mode": "incremental",
                "destination_sync_mode": "append_dedup",
                "primary_key": [["id"]],
            }
            for name in STREAMS
        ]
    }


def load_with_pyairbyte(config: dict[str, Any], work: Path) -> int:
    """Syncs into DIR/held.duckdb; raises what goes wrong."""
    os.chdir(work)
    import airbyte
    from airbyte.caches import DuckDBCache

    source = airbyte.get_source("source-dashly-peer", local_executable=EXECUTABLE, config=config, streams="*")
    source.read(cache=DuckDBCache(db_path=str(work / "held.duckdb"), schema_name="raw"), write_strategy="merge")
    return 0


def main() -> int:
    """Carries one sync out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("into", choices=["cdk", "pyairbyte"])
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--rate-limit", type=int)
    chosen = parser.parse_args()
    config = {
        "base_url": f"{chosen.base_url}/",
        "auth_token": chosen.token,
        "__injected_declarative_manifest": manifest(chosen.rate_limit),
    }
    load = load_with_cdk if chosen.into == "cdk" else load_with_pyairbyte
    return load(config, chosen.work)


if __name__ == "__main__":
    sys.exit(main())
