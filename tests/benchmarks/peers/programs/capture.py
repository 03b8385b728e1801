"""What stands behind a source that only prints: keeps its records and its state as a destination would.

    python capture.py singer --work DIR -- tap --config …      # adds --state when there is one

Records are appended to DIR/records.jsonl as `[table, record]`. A state message is kept, whole and in one step, once the
records before it are on the disk. So whenever both are killed, the state never says more than the records hold.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

Message = dict[str, Any]


def take_singer(message: Message, state: Any) -> tuple[list[Any] | None, Any]:
    """The record in a Singer message, and the state after it."""
    if message.get("type") == "RECORD":
        return [message["stream"], message["record"]], state
    return None, message["value"] if message.get("type") == "STATE" else state


def take_airbyte(message: Message, state: Any) -> tuple[list[Any] | None, Any]:
    """The record in an Airbyte message, and the state after it, one entry a stream."""
    if message.get("type") == "RECORD":
        return [message["record"]["stream"], message["record"]["data"]], state
    if message.get("type") != "STATE":
        return None, state
    name = message["state"]["stream"]["stream_descriptor"]["name"]
    others = [one for one in state or [] if one["stream"]["stream_descriptor"]["name"] != name]
    return None, [*others, message["state"]]


TAKES: dict[str, Callable[[Message, Any], tuple[list[Any] | None, Any]]] = {
    "singer": take_singer,
    "airbyte": take_airbyte,
}


def capture(lines: IO[str], take: Callable[[Message, Any], tuple[list[Any] | None, Any]], work: Path) -> None:
    """Keeps what the source prints until it ends."""
    state_file = work / "state.json"
    state = json.loads(state_file.read_text(encoding="utf-8")) if state_file.exists() else None
    with (work / "records.jsonl").open("a", encoding="utf-8") as records:
        for line in lines:
            message = parsed(line)
            record, after = take(message, state)
            if record is not None:
                records.write(json.dumps(record) + "\n")
            if after is not state:
                state = after
                records.flush()
                keep(state_file, state)


def parsed(line: str) -> Message:
    """A message; what is none, such as a log line, is an empty one."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def keep(file: Path, state: Any) -> None:
    """Replaces the file in one step."""
    beside = file.with_suffix(".new")
    beside.write_text(json.dumps(state), encoding="utf-8")
    beside.replace(file)


def main() -> int:
    """Runs the source to its end, and returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=TAKES)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("source", nargs="+")
    chosen = parser.parse_args()
    state = chosen.work / "state.json"
    more = ["--state", str(state)] if state.exists() else []
    with subprocess.Popen([*chosen.source, *more], stdout=subprocess.PIPE, text=True, encoding="utf-8") as source:
        assert source.stdout is not None
        capture(source.stdout, TAKES[chosen.kind], chosen.work)
    return source.returncode


if __name__ == "__main__":
    sys.exit(main())
