"""Rows a second from page to committed row, beside what DuckDB and Postgres do with the same rows by themselves.

    .venv/bin/python -m tests.benchmarks.bench_throughput               # a million events, on DuckDB and on Postgres
    .venv/bin/python -m tests.benchmarks.bench_throughput --quick
    .venv/bin/python -m tests.benchmarks.bench_throughput --only events --to duckdb

The pages are rendered beforehand by the simulator and played to a real run, whose waiting is virtual: client, journal,
rows, dlt, indexes, views and settling are those of `dashly-sync run`; only the network is missing. Raw is one statement
of the database that makes a table of the same JSON (`read_json` of DuckDB), or of the same rows (`COPY` of Postgres).
Each load and each raw statement has a process of its own, and is the fastest of three. CPU is that of the process, and
of the Postgres server.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import psycopg2
from tests.benchmarks.loads import Load, load
from tests.benchmarks.measuring import TRIES, Bench, Meter, in_child, peak_mb, resident_mb, show, show_heads
from tests.benchmarks.tapes import Tape, record
from tests.benchmarks.warehouses import Postgres, postgres

from dashly_sync.libraries import prepare_libraries

SEED = 1
CREATED = {"id": "varchar", "created": "double"}


@dataclass(frozen=True, slots=True)
class Case:
    """One resource.

    Attributes:
        listed: List that it is, or whose children it is.
        tables: Tables that its rows fill.
        fields: Fields of a record and their types, for DuckDB.
    """

    listed: str
    tables: tuple[str, ...]
    fields: Mapping[str, str]

    @property
    def is_list(self) -> bool:
        """Whether it is the list itself."""
        return self.tables[0] == self.listed

    def data_type(self) -> str:
        """Returns the type of `data` in the envelope."""
        record = ", ".join(f'"{name}" {kind}' for name, kind in self.fields.items())
        return f"struct(users struct({record})[])" if self.listed == "users" and self.is_list else f"struct({record})[]"

    @property
    def records(self) -> str:
        """The list of records in the envelope."""
        return "data.users" if self.listed == "users" and self.is_list else "data"


CASES = {
    "users": Case(
        "users",
        ("users", "user_props"),
        {"id": "varchar", "user_id": "varchar", "removed": "varchar", "presence": "varchar", "props": "json"},
    ),
    "events": Case(
        "users",
        ("events", "event_types"),
        {**CREATED, "user": "varchar", "type": "struct(id varchar, name varchar)", "props": "json"},
    ),
    "conversations": Case(
        "conversations",
        ("conversations", "conversation_tags", "admins"),
        {
            **CREATED,
            "last_update": "double",
            **dict.fromkeys(("closed", "read", "replied", "clicked", "unsubscribed"), "boolean"),
            **dict.fromkeys(("type", "reply_type", "message"), "varchar"),
            **dict.fromkeys(("parts_count", "unread_parts_count"), "bigint"),
            **dict.fromkeys(("assignee", "last_admin", "channel", "tags", "user", "part_last"), "json"),
        },
    ),
    "parts": Case(
        "conversations",
        ("parts", "part_attachments", "admins"),
        {
            **CREATED,
            **dict.fromkeys(("conversation", "body", "type", "sent_via", "tag"), "varchar"),
            **dict.fromkeys(("edited", "removed"), "double"),
            **dict.fromkeys(("first", "read"), "boolean"),
            **dict.fromkeys(("from", "assignee", "attachments"), "json"),
        },
    ),
}
"""By resource."""


@dataclass(frozen=True, slots=True)
class Raw:
    """What a database took to make a table by itself."""

    rows: int
    wall_seconds: float
    cpu_seconds: float
    peak_mb: float = 0.0
    base_mb: float = 0.0


Measured = TypeVar("Measured", Load, Raw)


# ---- DuckDB by itself --------------------------------------------------------------------------------------------


def raw_duckdb(statements: list[str]) -> Raw:
    """Executes the statements in a new file and returns what they cost; the last one says how many rows there are."""
    with tempfile.TemporaryDirectory() as place, duckdb.connect(str(Path(place) / "raw.duckdb")) as connection:
        connection.execute("set enable_progress_bar = false")
        base = resident_mb()
        with Meter() as meter:
            for statement in statements:
                connection.execute(statement)
            connection.execute("checkpoint")
        rows = connection.execute("select count(*) from raw").fetchone() or (0,)
    return Raw(int(rows[0]), meter.wall_seconds, meter.cpu_seconds, peak_mb(), base)


def from_bodies(case: Case, file: Path) -> str:
    """Returns the query that reads the records of page bodies."""
    how = f"format = 'newline_delimited', columns = {{data: '{case.data_type()}'}}"
    return f"select unnest({case.records}, max_depth := 2) from read_json('{file}', {how})"


def from_records(case: Case, file: Path) -> str:
    """Returns the query that reads records, one a line."""
    columns = ", ".join(f"'{name}': '{kind}'" for name, kind in case.fields.items())
    return f"select * from read_json('{file}', format = 'newline_delimited', columns = {{{columns}}})"


def write_records(case: Case, bodies: Path, records: Path) -> None:
    """Writes the records of page bodies, one a line."""
    kind = "struct(users json[])" if case.records == "data.users" else "json[]"
    read = f"read_json('{bodies}', format = 'newline_delimited', columns = {{data: '{kind}'}})"
    how = "format csv, header false, quote '', escape '', delimiter '\x01'"
    with duckdb.connect() as connection:
        connection.execute("set enable_progress_bar = false")
        connection.execute(f"copy (select unnest({case.records}) from {read}) to '{records}' ({how})")


def merged(query: str) -> list[str]:
    """Returns the statements that do what a merge does: rows in between, what is there deleted, each id once."""
    return [
        f"create table staged as {query}",
        "create table raw as from staged limit 0",
        "delete from raw where id in (select id from staged)",
        "insert into raw from staged qualify row_number() over (partition by id) = 1",
        "drop table staged",
    ]


# ---- Postgres by itself ------------------------------------------------------------------------------------------


def raw_postgres(server: Postgres, dataset: str, tables: tuple[str, ...], like: str) -> Raw:
    """Copies the rows of a dataset's tables into new tables `like` them, and returns what that cost."""
    with tempfile.TemporaryDirectory() as place, psycopg2.connect(server.uri) as connection:
        cursor, rows, meter = connection.cursor(), 0, Meter()
        cpu_before = server.cpu_seconds()
        for table in tables:
            file = Path(place) / table
            with file.open("w") as out:
                cursor.copy_expert(f"copy {dataset}.{table} to stdout (format csv)", out)
            cursor.execute(f"create temporary table raw_{table} (like {dataset}.{table} {like})")
            cpu_before = server.cpu_seconds()
            with file.open() as read, meter:
                cursor.copy_expert(f"copy raw_{table} from stdin (format csv)", read)
            meter.cpu_seconds += (server.cpu_seconds() or 0.0) - (cpu_before or 0.0)
            rows += cursor.rowcount
    return Raw(rows, meter.wall_seconds, meter.cpu_seconds)


# ---- both sides --------------------------------------------------------------------------------------------------


def on_duckdb(name: str, tape: Tape, folder: Path) -> dict[str, Any]:
    """Returns the figures of one resource on DuckDB."""
    case = CASES[name]
    bodies, records = tape.lists if case.is_list else tape.children, folder / "records.ndjson"
    write_records(case, bodies, records)
    files = [folder / f"warehouse_{number}.duckdb" for number in range(TRIES)]
    ours = fastest(in_child(load, tape, (name,), case.tables, f"duckdb:///{file}") for file in files)
    queries = {"bodies": from_bodies(case, bodies), "records": from_records(case, records)}
    statements = {of: [f"create table raw as {query}"] for of, query in queries.items()}
    statements["merged"] = merged(queries["bodies"])
    raw = {of: fastest(in_child(raw_duckdb, each) for _ in range(TRIES)) for of, each in statements.items()}
    return {
        "json_mb": round(bodies.stat().st_size / 1e6, 1),
        "file_mb": round(files[0].stat().st_size / 1e6, 1),
        **figures_of(ours, raw, ours.cpu_seconds),
    }


def on_postgres(name: str, tape: Tape, server: Postgres) -> dict[str, Any]:
    """Returns the figures of one resource on Postgres."""
    dataset, tables = f"bench_{name}", CASES[name].tables

    def both(number: int) -> tuple[Load, float]:
        """One try, and the server's CPU in it."""
        before = server.cpu_seconds() or 0.0
        ours = in_child(load, tape, (name,), tables, server.uri, f"{dataset}_{number}" if number else dataset)
        return ours, (server.cpu_seconds() or 0.0) - before

    ours, served = min((both(number) for number in range(TRIES)), key=lambda one: one[0].cpu_seconds + one[1])
    raw = {
        of: fastest(in_child(raw_postgres, server, dataset, tables, like) for _ in range(TRIES))
        for of, like in {"copied": "", "copied_with_indexes": "including indexes"}.items()
    }
    return {"server_cpu_seconds": round(served, 2), **figures_of(ours, raw, ours.cpu_seconds + served)}


def fastest(tries: Iterable[Measured]) -> Measured:
    """Returns the try that took the least CPU."""
    return min(tries, key=lambda one: one.cpu_seconds)


def figures_of(ours: Load, raw: Mapping[str, Raw], cpu_seconds: float) -> dict[str, Any]:
    """Returns what is stored of a load and of what stands beside it; `cpu_seconds` is what the ratios are made of."""
    return {
        "rows": ours.rows,
        "pages": ours.pages,
        "wall_seconds": round(ours.wall_seconds, 2),
        "cpu_seconds": round(ours.cpu_seconds, 2),
        "played_cpu_seconds": round(ours.played_seconds, 2),
        "rows_per_second": round(ours.total / ours.wall_seconds),
        "cpu_microseconds_per_row": round(cpu_seconds / ours.total * 1e6, 1),
        "imported_mb": round(ours.base_mb),
        "peak_mb": round(ours.peak_mb),
        "memory_mb": [round(at) for at in tenths(ours.memory_mb)],
        "raw": {of: raw_figures(one, ours, cpu_seconds) for of, one in raw.items()},
    }


def raw_figures(raw: Raw, ours: Load, cpu_seconds: float) -> dict[str, Any]:
    """Returns what is stored of the database alone, with how many times that ours took."""
    return {
        "rows": raw.rows,
        "wall_seconds": round(raw.wall_seconds, 2),
        "cpu_seconds": round(raw.cpu_seconds, 2),
        "peak_mb": round(raw.peak_mb),
        "imported_mb": round(raw.base_mb),
        "times_wall": round(ours.wall_seconds / raw.wall_seconds, 1),
        "times_cpu": round(cpu_seconds / raw.cpu_seconds, 1),
    }


def tenths(values: list[float]) -> list[float]:
    """Returns eleven values from the first to the last, evenly spread; fewer where there are not so many.

    Example:
        >>> tenths([float(n) for n in range(31)])
        [0.0, 3.0, 6.0, 9.0, 12.0, 15.0, 18.0, 21.0, 24.0, 27.0, 30.0]
    """
    last = len(values) - 1
    return values if last < 10 else [values[round(last * tenth / 10)] for tenth in range(11)]


# ---- what is measured --------------------------------------------------------------------------------------------


def recorded(name: str, rows: int, children: float, folder: Path) -> Tape:
    """Returns a tape with so many rows of the resource, about so many for each parent."""
    from dashly_simulator import SimulatorSettings  # its libraries take memory, and the loads' processes do without

    case = CASES[name]
    parents = rows if case.is_list else 100 + round(2 * rows / children)
    is_users = case.listed == "users"
    account = SimulatorSettings(
        users=parents if is_users else max(100, parents // 4),
        conversations=0 if is_users else parents,
        events_per_user=children if is_users else 1.0,
        parts_per_conversation=6.0 if case.is_list else children,
        seed=SEED,
    )
    return record(account, case.listed, folder, rows, with_children=not case.is_list)


def measured(chosen: Any, folder: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yields resource, kind of warehouse and figures."""
    with postgres() as server:
        for kind, name in product(chosen.to, chosen.only):
            here, rows = folder / kind / name, getattr(chosen, name)
            if kind == "postgres":
                rows = round(rows * chosen.postgres_share)
            tape = recorded(name, rows, chosen.each[name], here)
            yield name, kind, on_duckdb(name, tape, here) if kind == "duckdb" else on_postgres(name, tape, server)
            shutil.rmtree(here)


def show_figures(name: str, kind: str, figures: Mapping[str, Any]) -> None:
    """Prints a line for the load, and one for each raw statement beside it."""
    rows = sum(figures["rows"].values())
    cells = (f"{figures['cpu_seconds']:.1f}", f"{figures['wall_seconds']:.1f}", f"{figures['rows_per_second']:,}")
    show(name, kind, "run", f"{rows:,}", *cells, "", f"{figures['peak_mb']} ({figures['imported_mb']} imported)")
    for of, raw in figures["raw"].items():
        times = f"{raw['times_cpu']} / {raw['times_wall']}"
        show("", "", of, f"{raw['rows']:,}", raw["cpu_seconds"], raw["wall_seconds"], "", times, raw["peak_mb"])


def main() -> None:
    """Measures, prints and stores."""
    bench = Bench("throughput", __doc__)
    for name, rows in {"events": 1_000_000, "users": 50_000, "conversations": 50_000, "parts": 100_000}.items():
        bench.options.add_argument(f"--{name}", type=int, default=rows, help="so many rows")
    bench.options.add_argument("--events-each", type=float, default=500.0, help="of a user; 500 are ten pages")
    bench.options.add_argument("--parts-each", type=float, default=12.5, help="of a conversation; nearly all on a page")
    bench.options.add_argument("--postgres-share", type=float, default=0.2, help="of these rows, on Postgres")
    bench.options.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    bench.options.add_argument("--to", nargs="+", choices=("duckdb", "postgres"), default=["duckdb", "postgres"])
    small = {"postgres_share": 1.0, "events": 20_000, "users": 2_000, "conversations": 2_000, "parts": 10_000}
    chosen = bench.chosen(**small)
    chosen.each = {"users": 0.0, "events": chosen.events_each, "conversations": 0.0, "parts": chosen.parts_each}
    prepare_libraries()
    heads = ("resource", "warehouse", "what", "rows", "CPU s", "wall s", "rows a second", "times CPU / wall", "peak MB")
    show_heads(heads, texts=3)
    figures: dict[str, dict[str, Any]] = {"duckdb": {}, "postgres": {}}
    with tempfile.TemporaryDirectory(prefix="bench-") as place:
        for name, kind, found in measured(chosen, Path(place)):
            figures[kind][name] = found
            show_figures(name, kind, found)
    if all(set(found) == set(CASES) for found in figures.values()):
        bench.store(figures, SEED)


if __name__ == "__main__":
    main()
