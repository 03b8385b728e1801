"""Bytes a row on disk: a million rows of each table in DuckDB, a quarter of them in Postgres.

    .venv/bin/python -m tests.benchmarks.bench_storage
    .venv/bin/python -m tests.benchmarks.bench_storage --quick
    .venv/bin/python -m tests.benchmarks.bench_storage --rows 5000000 --postgres-rows 1000000

A simulated account is loaded as a run does it; then each table is filled up with copies of its own rows, whose ids and
times differ, as the ids and times of an account do. DuckDB compresses: what it makes of the simulator's texts, which
are a few dozen in turn, it does not make of what people write. So the bytes of the JSON that the API sent stand beside
it, and the size of the same rows in DuckDB without compression.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
from tests.benchmarks.loads import load
from tests.benchmarks.measuring import Bench, in_child, show, show_heads
from tests.benchmarks.tapes import Tape, record
from tests.benchmarks.warehouses import postgres

from dashly.tables import TABLES
from dashly_simulator import SimulatorSettings
from dashly_sync.libraries import prepare_libraries
from dashly_warehouse.connections import Connection, connect
from dashly_warehouse.specs import parse_destination

SEED = 1
DATASET = "bench_storage"
MEASURED = ("users", "user_props", "events", "conversations", "parts", "sync_progress")
RESOURCES = {"users": ("users", "events"), "conversations": ("conversations", "parts")}
EVENTS_EACH = PARTS_EACH = 8.0


def tapes(rows: int, folder: Path) -> dict[str, Tape]:
    """Returns a tape with so many children for each list."""
    parents = rows // 5
    users = SimulatorSettings(users=parents, conversations=0, events_per_user=EVENTS_EACH, seed=SEED)
    talks = SimulatorSettings(users=parents, conversations=parents, parts_per_conversation=PARTS_EACH, seed=SEED)
    return {
        "users": record(users, "users", folder / "users", rows, with_children=True),
        "conversations": record(talks, "conversations", folder / "conversations", rows, with_children=True),
    }


def grow(connection: Connection, table: str, rows: int) -> int:
    """Fills a table up with copies of its rows; returns how many it has then."""
    have = int(connection.execute(f"select count(*) from {table}")[0][0])
    columns = [str(name) for (name,) in connection.execute(_COLUMNS, [connection.dataset, table])]
    shown = ", ".join(_copied(name, TABLES[table].key) for name in columns)
    times = max(0, -(-rows // have) - 1)
    names = ", ".join(columns)
    connection.run(
        f"insert into {table} ({names}) select {shown} from {table} cross join generate_series(1, {times}) as s(n)"
    )
    return have * (times + 1)


_COLUMNS = (
    "select column_name from information_schema.columns where table_schema = %s and table_name = %s "
    "order by ordinal_position"
)


def _copied(column: str, key: tuple[str, ...]) -> str:
    """Returns what a copy has in the column: ids and times of its own, as long as they were."""
    if column == "_dlt_id":
        return "substr(md5(_dlt_id || n), 1, 14)"
    if column in key and column.endswith("id"):
        return f"cast(cast({column} as bigint) + n * 7919 as varchar)"
    if column.endswith("_at"):
        return f"{column} - n * interval '1 second'"
    return column


def duckdb_bytes(connection: duckdb.DuckDBPyConnection, table: str, file: Path, compression: str) -> int:
    """Returns the size of a new file that has the table alone."""
    connection.execute(f"set force_compression = '{compression}'")
    connection.execute(f"attach '{file}' as alone")
    connection.execute(f"create table alone.{table} as from {DATASET}.{table}")
    connection.execute("detach alone")
    size = file.stat().st_size
    file.unlink()
    return size


def on_duckdb(file: Path, rows: int) -> Iterator[tuple[str, dict[str, float]]]:
    """Yields table and bytes a row."""
    for table in MEASURED:
        with connect(parse_destination(f"duckdb:///{file}"), DATASET, read_only=False) as connection:
            have = grow(connection, table, rows)
        with duckdb.connect(str(file)) as plain:
            plain.execute("set enable_progress_bar = false")
            by = {how: duckdb_bytes(plain, table, file.with_suffix(".alone"), how) for how in ("auto", "uncompressed")}
        yield table, {"rows": have, **{how: round(size / have, 1) for how, size in by.items()}}


def on_postgres(uri: str, rows: int) -> Iterator[tuple[str, dict[str, float]]]:
    """Yields table and bytes a row: the heap with what is stored beside it, and the indexes."""
    for table in MEASURED:
        with connect(parse_destination(uri), DATASET, read_only=False) as connection:
            have = grow(connection, table, rows)
            sizes = connection.execute(f"select pg_table_size('{table}'), pg_indexes_size('{table}')")[0]
        heap, indexes = (round(size / have, 1) for size in sizes)
        yield table, {"rows": have, "table": heap, "indexes": indexes}


def main() -> None:
    """Measures, prints and stores."""
    bench = Bench("storage", __doc__)
    bench.options.add_argument("--rows", type=int, default=1_000_000, help="of each table, in DuckDB")
    bench.options.add_argument("--postgres-rows", type=int, default=250_000, help="where indexes make it slow")
    bench.options.add_argument("--loaded", type=int, default=24_000, help="rows that a run loads, before the copying")
    chosen = bench.chosen(rows=20_000, postgres_rows=20_000, loaded=2_000)
    prepare_libraries()
    show_heads(("database", "table", "rows", "bytes a row", "uncompressed, or indexes"), texts=2)
    figures: dict[str, Any] = {"json": {}, "duckdb": {}, "postgres": {}}
    with tempfile.TemporaryDirectory() as place, postgres() as server:
        recorded = tapes(chosen.loaded, Path(place))
        file = Path(place) / "warehouse.duckdb"
        for kind, destination in {"duckdb": f"duckdb:///{file}", "postgres": server.uri}.items():
            for name, tape in recorded.items():
                loaded = in_child(load, tape, RESOURCES[name], RESOURCES[name], destination, DATASET).rows
                figures["json"] |= json_bytes(name, tape, loaded)
            at_home = kind == "duckdb"
            sizes = on_duckdb(file, chosen.rows) if at_home else on_postgres(destination, chosen.postgres_rows)
            for table, found in sizes:
                figures[kind][table] = found
                show(kind, table, *found.values())
    bench.store(figures, SEED)


def json_bytes(name: str, tape: Tape, rows: dict[str, int]) -> dict[str, float]:
    """Returns the bytes of JSON a record, of the list of that name and of its children."""
    files = zip(RESOURCES[name], (tape.lists, tape.children), strict=True)
    return {resource: round(file.stat().st_size / rows[resource], 1) for resource, file in files}


if __name__ == "__main__":
    main()
