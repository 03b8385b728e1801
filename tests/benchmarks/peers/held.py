"""What a contestant holds after a run, as rows to compare: from a DuckDB file, or from records as they were printed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
from tests.benchmarks.peers.differences import TABLES, Row, Wrong, differences, of_record, of_row

from dashly_simulator import Simulator

Held = Mapping[str, list[Row]]


def wrong_by_table(simulator: Simulator, held: Held) -> dict[str, Wrong]:
    """By table, what is wrong with it."""
    return {
        table: differences(dict(of_row(table, row) for row in simulator.truth.rows(table)), held.get(table, []))
        for table in TABLES
    }


def in_records(work: Path) -> Held:
    """Records in the order in which they were printed, the last version of each id, as a destination would merge them.

    So none is doubled, whatever the source prints twice.
    """
    file = work / "records.jsonl"
    last: dict[str, dict[str, Row]] = {table: {} for table in TABLES}
    if file.exists():
        with file.open(encoding="utf-8") as lines:
            for table, record in (json.loads(line) for line in lines if line.endswith("\n")):
                row = of_record(table, record)
                last[table][row[0]] = row
    return {table: list(rows.values()) for table, rows in last.items()}


def in_raw_tables(work: Path) -> Held:
    """The tables of dlt and of PyAirbyte, whose columns are named as the API's fields."""
    return {table: [of_record(table, row) for row in rows(work / "held.duckdb", "raw", table)] for table in TABLES}


def in_our_tables(work: Path) -> Held:
    """Our own tables, without what has `_deleted_at`."""
    file = work / "held.duckdb"
    return {
        table: [of_row(table, row) for row in rows(file, "dashly", table) if row["_deleted_at"] is None]
        for table in TABLES
    }


def rows(file: Path, dataset: str, table: str) -> Iterator[dict[str, Any]]:
    """The rows of a table; none when it does not exist, as after a load that was killed."""
    if not file.exists():
        return
    with duckdb.connect(str(file), read_only=True) as connection:
        known = "select 1 from information_schema.tables where table_schema = ? and table_name = ?"
        if not connection.execute(known, [dataset, table]).fetchall():
            return
        found = connection.execute(f"select * from {dataset}.{table}")
        names = [column[0] for column in found.description or []]
        for row in found.fetchall():
            yield dict(zip(names, row, strict=True))
