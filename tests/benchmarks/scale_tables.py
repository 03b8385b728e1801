"""The tables of docs/scale.md, made from the results of the benchmarks of local cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tests.benchmarks import results
from tests.benchmarks.bench_requests import PARTS
from tests.benchmarks.bench_startup import BARE, CASES
from tests.benchmarks.bench_storage import MEASURED

Figures = Mapping[str, Any]
APPS, EVERY_SECONDS = 1_000, 900
A_BILLION = 1_000_000_000


def figures_of(name: str) -> Any:
    """Returns the figures that were stored under this name."""
    return results.read(name)["figures"]


def table(heads: Sequence[str], rows: Iterable[Sequence[object]], texts: int = 1) -> str:
    """Returns a Markdown table, of which so many columns are text and the others numbers."""
    under = ["---"] * texts + ["---:"] * (len(heads) - texts)
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in (heads, under, *rows))


def million() -> str:
    """Returns what the first load of a million users costs, counted and foreseen."""
    found = figures_of("million")
    named = {"the least, counted by the simulator": found["counted"]}
    named |= {"`plan`": found["planned"]["everything"], "`plan`, the lists only": found["planned"]["lists"]}
    rows = [(name, f"{one['requests']:,}", f"{one['days']:.1f}") for name, one in named.items()]
    return table(("", "requests", "days at 60 a minute"), rows)


def active_users() -> str:
    """Returns the requests of some hours of an account's life, beside the formula."""
    found = figures_of("active_users")
    names = ("hours", "runs", "active_users", "changed_conversations", "requests", "expected")
    heads = ("hours", "runs", "active users", "changed conversations", "requests", "by the formula")
    return table(heads, [[found[name] for name in names]], texts=0)


def apps() -> str:
    """Returns what a thousand apps take of a machine when each is looked at every 15 minutes."""
    run = figures_of("startup")["commands"]["run, nothing new"]
    memory = figures_of("memory")["by_users"]
    peak = max(one["peak_mb"] for runs in memory.values() for one in runs.values())
    per_request = figures_of("requests")["duckdb"]["cpu_seconds_per_1000"] / 1000
    jobs = math.ceil(APPS * run["wall_seconds"] / EVERY_SECONDS)
    cores, loading = APPS * run["cpu_seconds"] / EVERY_SECONDS, APPS * per_request
    return table(
        (f"{APPS:,} apps, a run each every 15 minutes", "formula", "is"),
        (
            ("cores, nothing new", f"{APPS:,} × {run['cpu_seconds']} CPU s ÷ {EVERY_SECONDS} s", f"{cores:.1f}"),
            (
                "`--jobs`, nothing new",
                f"{APPS:,} × ({run['wall_seconds']} s + 4 answers of the API) ÷ {EVERY_SECONDS} s",
                f"{jobs}, and {math.ceil(4 * APPS / EVERY_SECONDS)} more for each second that an answer takes",
            ),
            (
                "memory of so many jobs",
                f"{jobs} × {peak} MB, the most of any run below",
                f"{jobs * peak / 1000:.1f} GB",
            ),
            ("cores, all in their first load", f"{APPS:,} × {per_request:.4f} CPU s a request", f"{loading:.1f}"),
            ("memory, all in their first load", f"{APPS:,} × {peak} MB", f"{APPS * peak / 1000:.0f} GB"),
        ),
        texts=2,
    )


def storage() -> str:
    """Returns the bytes a row."""
    found = figures_of("storage")
    rows = [
        (
            f"`{name}`",
            found["json"].get(name, ""),
            one["auto"],
            one["uncompressed"],
            found["postgres"][name]["table"],
            found["postgres"][name]["indexes"],
        )
        for name, one in ((name, found["duckdb"][name]) for name in MEASURED)
    ]
    heads = ("bytes a row", "JSON of the API", "DuckDB", "DuckDB uncompressed", "Postgres", "its indexes")
    return table(heads, rows)


def merge() -> str:
    """Returns what a slice costs to merge."""
    rows = [
        (
            kind,
            f"{int(held):,}",
            f"{one['load_seconds']:.2f}",
            f"{one['after_seconds']:.2f}",
            f"{one['cpu_seconds']:.2f}",
        )
        for kind, sizes in figures_of("merge").items()
        for held, one in sorted(sizes.items(), key=lambda size: int(size[0]))
    ]
    return table(("database", "rows held", "load s", "indexes, settling s", "CPU s, client"), rows)


def billion() -> str:
    """Returns disk and merge cost of many events: bytes in proportion, the merge in a straight line where it grows."""
    bytes_of, merging = figures_of("storage"), figures_of("merge")
    heads = ("events", "DuckDB", "uncompressed", "Postgres with indexes", "merge, DuckDB", "merge, Postgres")
    return table(heads, [_of_many(rows, bytes_of, merging) for rows in (10**7, 10**8, A_BILLION)], texts=0)


def _of_many(rows: int, bytes_of: Figures, merging: Figures) -> tuple[str, ...]:
    here, there = bytes_of["duckdb"]["events"], bytes_of["postgres"]["events"]
    sizes = (here["auto"], here["uncompressed"], there["table"] + there["indexes"])
    scanned, looked_up = _points(merging["duckdb"]), _points(merging["postgresql"])
    (fewer, quick), (more, slow) = scanned[-2:]
    in_duckdb = slow + max(0.0, (slow - quick) / (more - fewer)) * (rows - more)
    in_postgres = max(seconds for _, seconds in looked_up)
    return (
        f"{rows:,}",
        *(f"{rows * size / 1e9:,.1f} GB" for size in sizes),
        f"{in_duckdb:,.1f} s",
        f"{in_postgres:,.1f} s",
    )


def _points(measured: Figures) -> list[tuple[int, float]]:
    """Returns rows held, and the seconds of a slice."""
    return sorted((int(held), one["load_seconds"] + one["after_seconds"]) for held, one in measured.items())


def requests() -> str:
    """Returns the CPU of 1,000 requests, and where it goes."""
    found = figures_of("requests")
    here, there = found["duckdb"], found["postgres"]
    rows: list[tuple[object, ...]] = [("**all**", here["cpu_seconds_per_1000"], there["cpu_seconds_per_1000"])]
    rows += [(said, here["parts_per_1000"][name], there["parts_per_1000"][name]) for name, said in PARTS.items()]
    rows.append(("Postgres itself, beside that", "", there["server_cpu_seconds_per_1000"]))
    return table(("CPU s per 1,000 requests", "DuckDB", "Postgres"), rows)


def throughput() -> str:
    """Returns rows a second, and how many times what the database takes by itself."""
    rows = []
    for kind, by_resource in figures_of("throughput").items():
        for name, one in by_resource.items():
            raw = {of: f"{beside['times_cpu']:g}" for of, beside in one["raw"].items()}
            times = ("bodies", "records", "merged") if kind == "duckdb" else ("copied", "", "copied_with_indexes")
            counts = (f"{sum(one['rows'].values()):,}", f"{one['rows_per_second']:,}", one["cpu_microseconds_per_row"])
            rows.append((kind, name, *counts, *(raw.get(of, "") for of in times), one["peak_mb"] - one["imported_mb"]))
    heads = (
        *("warehouse", "resource", "rows", "rows a second", "CPU µs a row"),
        *("× CPU of raw: page bodies, or `COPY`", "× records, one a line", "× raw with merge, or with indexes"),
        "MB above imports",
    )
    return table(heads, rows, texts=2)


RUNS = {
    "lists": "the lists of a first load",
    "children": "600 requests for children, all others waiting",
    "nothing": "nothing new",
    "churn": "5 % active, and two hours' share for reading again",
}
"""Whose memory is measured."""


def memory() -> str:
    """Returns the most memory of a run, and what of it is not the files of libraries, by users."""

    def cell(run: Figures, _: Figures) -> str:
        return f"{run['peak_mb']} MB ({run['peak_mb'] - run['mapped_mb']})"

    by_users = figures_of("memory")["by_users"]
    return _by_users("peak of a run (of that not files of libraries)", by_users, by_users, cell)


def memory_within() -> str:
    """Returns what runs take that get no more memory than that, and their CPU beside that of the others."""

    def cell(run: Figures, unlimited: Figures) -> str:
        return f"{run['peak_mb']} MB, {run['cpu_seconds']:.1f} s ({unlimited['cpu_seconds']:.1f})"

    within, beside = figures_of("memory_within"), figures_of("memory")["by_users"]
    return _by_users(f"in {within['limit_mb']} MB: peak, CPU (without a limit)", within["by_users"], beside, cell)


def _by_users(head: str, figures: Figures, beside: Figures, cell: Callable[[Figures, Figures], str]) -> str:
    """Returns a line for each run, and a column for each size of an account."""
    sizes = sorted(figures, key=int)
    rows = [(said, *(cell(figures[size][run], beside[size][run]) for size in sizes)) for run, said in RUNS.items()]
    return table((head, *(f"{int(size):,} users" for size in sizes)), rows)


def startup() -> str:
    """Returns how long the command takes that has nothing to do."""
    commands = figures_of("startup")["commands"]
    timed = {name: commands[name] for name in (BARE, *CASES)}
    rows = [(name, f"{one['wall_seconds']:.2f}", f"{one['cpu_seconds']:.2f}") for name, one in timed.items()]
    return table(("command", "wall s", "CPU s"), rows)


def simulator() -> str:
    """Returns what the simulator can do."""
    rows = [
        (name, one["kilobytes_each"], one["per_second"], one["cpu_ms_each"])
        for name, one in figures_of("simulator").items()
    ]
    return table(("a page of", "kB", "requests a second", "CPU ms a request"), rows)


TABLES: Mapping[str, Callable[[], str]] = {
    "million": million,
    "active_users": active_users,
    "apps": apps,
    "storage": storage,
    "merge": merge,
    "billion": billion,
    "requests": requests,
    "throughput": throughput,
    "memory": memory,
    "memory-within": memory_within,
    "startup": startup,
    "simulator": simulator,
}
"""By the name between the markers."""
