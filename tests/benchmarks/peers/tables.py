"""The tables of the side-by-side comparison, made from results/peers.json."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tests.benchmarks import results
from tests.benchmarks.peers.contestants import CONTESTANTS, OURS
from tests.benchmarks.peers.scenarios import SCENARIOS

Cell = Mapping[str, Any]
SHOWN = {
    OURS: "`dashly-sync`",
    "dlt tuned": "dlt `rest_api`, tuned",
    "airbyte-cdk": "Airbyte CDK, tuned",
    "singer-sdk tuned": "Singer SDK, tuned",
    "dlt": "dlt `rest_api`, plain",
}
"""In the README, who stands for whom."""
SAID = {
    "first load": "first load",
    "nothing new": "nothing new",
    "churn": "5 % of the account changed",
    "backdated": "5 users with a backdated event",
    "edited, answered": "5 messages edited, then answered",
    "edited": "5 messages edited, nothing else",
    "silent events": "5 events without a visit",
    "deletions": "a user and 2 conversations deleted",
    "killed": "killed half-way: requests paid twice",
    "60 a minute": "60 a minute enforced, smaller account",
    "10,300 users": "late events, 10,300 users",
}


STOPPED = -15
"""SIGTERM: the run took longer than a run may take here."""


def cells() -> Mapping[str, Mapping[str, Cell]]:
    """Returns what was measured, by contestant and scenario."""
    found: Mapping[str, Mapping[str, Cell]] = results.read("peers")["figures"]["cells"]
    return found


def in_short() -> str:
    """Returns the table of the README: a line for each scenario, a column for each contestant."""
    by_name = cells()
    columns = [name for name in SHOWN if name in by_name]
    rows = (
        (said, *(cell_text(scenario, by_name[name].get(scenario)) for name in columns))
        for scenario, said in SAID.items()
    )
    return table(["requests", *(SHOWN[name] for name in columns)], rows)


def cell_text(scenario: str, cell: Cell | None) -> str:
    """Returns a cell in words.

    >>> right = {"requests": 19, "wrong": "", "exit": 0, "wall_seconds": 17.2}
    >>> cell_text("churn", right), cell_text("churn", {**right, "wrong": "5 missing"})
    ('19', '19, 5 missing')
    >>> cell_text("churn", {**right, "exit": 1}), cell_text("60 a minute", right)
    ('dies after 17 s', '19 in 17 s')
    >>> cell_text("edited", {**right, "wrong": "5 stale", "a day later": [right, right]})
    '19, 5 stale; a day later 38'
    """
    if cell is None:
        return ""
    wrong = f", {cell['wrong']}" if cell["wrong"] else ""
    if cell["exit"] == STOPPED:
        return f"stopped after {cell['wall_seconds']:.0f} s"
    if cell["exit"] != 0:
        return f"dies after {cell['wall_seconds']:.0f} s"
    if scenario == "killed":
        return f"{cell['lost']}{wrong}"
    if scenario == "60 a minute":
        return f"{cell['requests']} in {cell['wall_seconds']:.0f} s{wrong}"
    return f"{cell['requests']}{wrong}{later(cell)}"


def later(cell: Cell) -> str:
    """Returns what our own runs of the next day cost until nothing is wrong; nothing when nothing was."""
    runs = cell.get("a day later")
    if not runs or not cell["wrong"]:
        return ""
    wrong = f", {runs[-1]['wrong']}" if runs[-1]["wrong"] else ""
    return f"; a day later {sum(run['requests'] for run in runs)}{wrong}"


def in_full() -> str:
    """Returns a table for each scenario, with what each contestant used."""
    by_name = cells()
    heads = ("", "requests", "refused", "wrong afterwards", "wall s", "CPU s", "peak MB", "exit")
    blocks = []
    for scenario in SCENARIOS:
        measured = [(name, by_name[name][scenario]) for name in CONTESTANTS if scenario in by_name.get(name, {})]
        rows = [row for name, cell in measured for row in rows_of(name, cell)]
        if rows:
            blocks.append(f"**{SAID[scenario][0].upper()}{SAID[scenario][1:]}**\n\n{table(heads, rows)}")
    return "\n\n".join(blocks)


def rows_of(name: str, cell: Cell) -> Iterable[tuple[object, ...]]:
    """Yields the lines of a contestant: the run, and those that our own needed until nothing was wrong."""
    note = f"; {cell['requests_before']} before the kill" if "requests_before" in cell else ""
    if "first" in cell:
        yield line(f"{name}, first load", cell["first"])
    yield line(f"{name}, then" if "first" in cell else name, cell, note)
    for title, key in (("a day later", "a day later"), ("`--full`", "full")):
        for number, run in enumerate(cell.get(key, [])):
            yield line(f"{name}, {title if number == 0 else 'and again'}", run)


def line(name: str, cell: Cell, note: str = "") -> tuple[object, ...]:
    """Returns a line of the full table."""
    used = (f"{cell['wall_seconds']:.1f}", f"{cell['cpu_seconds']:.1f}", cell["peak_mb"], cell["exit"])
    return name, f"{cell['requests']}{note}", cell["refused"], wrong_of(cell), *used


def wrong_of(cell: Cell) -> str:
    """Returns what is wrong, by table.

    >>> wrong_of({"by_table": {"events": {"missing": 5}, "parts": {}}}), wrong_of({"by_table": {}})
    ('5 events missing', '')
    """
    return ", ".join(
        f"{number:,} {of} {kind}" for of, kinds in cell["by_table"].items() for kind, number in kinds.items()
    )


def made_with() -> str:
    """Returns one sentence: when, where and with which versions."""
    stored = results.read("peers")
    machine, versions = stored["machine"], stored["versions"]
    tools = ", ".join(f"{name} {number}" for name, number in sorted(versions.items()))
    where = f"{machine['cores']} cores ({machine['cpu']}), {machine['memory_gib']} GiB, Python {machine['python']}"
    return f"Measured on {stored['date']} with `{stored['command']}`, seed {stored['seed']}, on {where}: {tools}."


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Returns a Markdown table."""
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in (heads, ["---"] * len(heads), *rows))


TABLES: Mapping[str, Callable[[], str]] = {"peers": in_short, "peers-all": in_full, "peers-made-with": made_with}
"""By the name between the markers."""
