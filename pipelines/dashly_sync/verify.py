"""Is everything there: what the API counts against what is held, orphans, duplicates; each with a verdict and numbers.

All of it is read from the warehouse; only the total of the user list costs a request.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from dashly.endpoints import LISTS
from dashly.errors import DashlyError, SettingsError
from dashly.tables import TABLES
from dashly_sync.exits import Exit
from dashly_sync.memory import Memory, open_warehouse, read_memory
from dashly_sync.probe import open_probe
from dashly_sync.settings import Settings
from dashly_warehouse.connections import Connection
from dashly_warehouse.specs import parse_destination
from dashly_warehouse.verify import (
    Children,
    ChildTable,
    Count,
    count_children,
    count_duplicates,
    count_live,
    count_orphans,
    count_pending,
    tables_with_keys,
)

CHILD_TABLES = (
    ChildTable("parts", "parts", "conversation_id", "conversations"),
    ChildTable("events", "events", "user_id", "users"),
)
BELONGS = {
    "parts": ("conversation_id", "conversations"),
    "part_attachments": ("part_id", "parts"),
    "conversation_tags": ("conversation_id", "conversations"),
    "events": ("user_id", "users"),
    "user_props": ("user_id", "users"),
    "user_details": ("user_id", "users"),
}
"""What cannot be there without its parent: it comes from a request for the parent, or with the parent's own row."""
MAY_LACK_PARENT = {"conversations": ("user_id", "users")}
"""A conversation comes with the id of its user, who need not be a lead."""


class Verdict(enum.StrEnum):
    """How one check ended."""

    WELL = "ok"
    """Nothing is missing."""
    NOTE = "note"
    """Worth knowing, and nothing is missing."""
    WAITING = "missing"
    """Something is known to be missing; a run brings it."""
    DEFECT = "defect"
    """Something that was read is not there, or is there more than once."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One check.

    Attributes:
        check: What was looked at.
        verdict: How it ended.
        says: The numbers in words.
        numbers: The numbers, by name.
        examples: Ids of a few rows that it concerns.
    """

    check: str
    verdict: Verdict
    says: str
    numbers: dict[str, int]
    examples: tuple[str, ...] = ()

    def line(self) -> str:
        """Returns the line for people."""
        for_example = f" (such as {', '.join(self.examples)})" if self.examples else ""
        return f"{self.verdict.value:<7}  {self.check}: {self.says}{for_example}"


@dataclass(frozen=True, slots=True)
class Report:
    """All checks of one warehouse.

    Attributes:
        destination: Which.
        findings: In the order of the checks; empty for a warehouse without tables.
    """

    destination: str
    findings: tuple[Finding, ...]

    @property
    def exit(self) -> Exit:
        """`Exit.INCOMPLETE` when something is missing, was lost, or is there twice."""
        bad = {Verdict.WAITING, Verdict.DEFECT}
        is_bad = not self.findings or any(finding.verdict in bad for finding in self.findings)
        return Exit.INCOMPLETE if is_bad else Exit.DONE

    def sentence(self) -> str:
        """Returns the closing sentence."""
        if not self.findings:
            return f"Nothing to verify: {self.destination} holds no tables yet. Start with `dashly-sync run`."
        by_verdict = {kind: sum(1 for one in self.findings if one.verdict is kind) for kind in Verdict}
        waiting, defects = by_verdict[Verdict.WAITING], by_verdict[Verdict.DEFECT]
        head = f"{len(self.findings)} checks of {self.destination}"
        if defects:
            also = f", and {waiting} more wait for the next run" if waiting else ""
            return f"{head}: {defects} found defects{also}. `dashly-sync run --full` reads everything again."
        if waiting:
            return f"{head}: {waiting} found something missing. `dashly-sync run` brings it."
        return f"{head}: everything is there."

    def to_json(self) -> dict[str, Any]:
        """Returns what `--json` prints."""
        return {
            "destination": self.destination,
            "complete": self.exit is Exit.DONE,
            "checks": [asdict(finding) for finding in self.findings],
            "sentence": self.sentence(),
        }


def verify(settings: Settings, *, offline: bool = False) -> Report:
    """Returns the checks of the settings' warehouse. Costs one request with a token, none when `offline`.

    An API that does not answer is a note: what the warehouse says of itself stands.

    Raises:
        WarehouseError: The warehouse cannot be opened.
        SettingsError: The base URL makes no sense.
    """
    with open_warehouse(settings) as connection:
        memory = read_memory(connection)
        if connection is None or not memory.tables & {"users", "conversations"}:
            return Report(parse_destination(settings.destination).display, ())
        findings = [finding for check in CHECKS for finding in check(connection, memory)]
        live = count_live(connection, "users") if "users" in memory.tables else None
    if live is not None and settings.auth_token and not offline:
        findings += _list_total(settings, memory, live)
    return Report(parse_destination(settings.destination).display, tuple(findings))


def _runs(connection: Connection, memory: Memory) -> Iterator[Finding]:
    if "sync_runs" not in memory.tables:
        return
    rows = connection.execute("select outcome from sync_runs order by started_at desc limit 1")
    if rows and rows[0][0] == "running":
        yield Finding("runs", Verdict.NOTE, "one is at work or was killed: numbers may be in motion", {"running": 1})


def _lists(connection: Connection, memory: Memory) -> Iterator[Finding]:
    for name in LISTS:
        coverage = memory.coverage(name)
        if coverage.newest is None and not coverage.gaps:
            continue
        live = count_live(connection, name) if name in memory.tables else 0
        numbers = {"rows": live, "open_walks": len(coverage.gaps)}
        if coverage.complete:
            yield Finding(f"list of {name}", Verdict.WELL, f"read to its end, {live:,} live rows", numbers)
        else:
            says = f"not read to its end yet, {live:,} live rows so far; a run brings the rest"
            yield Finding(f"list of {name}", Verdict.WAITING, says, numbers)


def _children(connection: Connection, memory: Memory) -> Iterator[Finding]:
    if "sync_progress" not in memory.tables:
        return
    pending = count_pending(connection)
    for kind in CHILD_TABLES:
        if kind.table in memory.tables and kind.parent in memory.tables:
            yield from _held(kind, count_children(connection, kind))
        elif pending.get(kind.stream):
            says = f"never asked for; `dashly-sync run --only {kind.stream}` brings them"
            yield Finding(kind.table, Verdict.NOTE, says, {"parents": pending[kind.stream]})
    if pending.get("user_details") and "user_details" in memory.tables:
        says = f"of {pending['user_details']:,} users not read yet; `run --only user_details` brings them"
        yield Finding("user_details", Verdict.NOTE, says, {"parents": pending["user_details"]})


def _held(kind: ChildTable, found: Children) -> Iterator[Finding]:
    """Yields what is missing and what is worth knowing of one kind of children; that all is well when nothing is."""
    more = "; the API counts {children} more" if kind.stream == "parts" else ""
    looks = (
        (found.waiting, Verdict.WAITING, "of {parents} not read to the end yet" + more + "; a run brings them"),
        (found.lost, Verdict.DEFECT, "{children} of {parents} were read and are not there"),
        (found.unknown, Verdict.WAITING, "{parents} without a row in sync_progress; a run brings them"),
        (found.moved, Verdict.NOTE, "{children} of {parents} are under another parent, with whom theirs was merged"),
        (found.not_listed, Verdict.NOTE, "the API counts {children} of {parents} that it does not list"),
        (found.not_counted, Verdict.NOTE, "the API lists {children} of {parents} that it does not count"),
    )
    seen = [(count, verdict, says) for count, verdict, says in looks if count.parents]
    if all(verdict is Verdict.NOTE for _, verdict, _ in seen):
        all_of_it = Count(found.held.parents, found.held.children)
        seen.insert(0, (all_of_it, Verdict.WELL, "{children} of {parents}, all that the API lists"))
    for count, verdict, says in seen:
        words = says.format(parents=f"{count.parents:,} {kind.parent}", children=f"{count.children:,} {kind.table}")
        numbers = {"parents": count.parents, "children": count.children}
        yield Finding(kind.table, verdict, words, numbers, count.examples)


def _orphans(connection: Connection, memory: Memory) -> Iterator[Finding]:
    rows, examples, where = 0, list[str](), list[str]()
    looked = {table: of for table, of in BELONGS.items() if {table, of[1]} <= memory.tables}
    for table, (column, parent) in looked.items():
        found = count_orphans(connection, table, column, parent)
        if found.parents:
            rows, examples = rows + found.children, examples or list(found.examples)
            where.append(f"{found.children:,} {table} without their {parent}")
    if where:
        yield Finding("orphans", Verdict.DEFECT, "; ".join(where), {"rows": rows}, tuple(examples))
    else:
        yield Finding("orphans", Verdict.WELL, f"none in {', '.join(looked)}", {"rows": 0})
    for table, (column, parent) in MAY_LACK_PARENT.items():
        found = count_orphans(connection, table, column, parent) if {table, parent} <= memory.tables else Count(0)
        if found.parents:
            why = "they need not be leads" if memory.coverage(parent).complete else "it is still being read"
            says = f"of {found.parents:,} {parent} who are not in the list of {parent}; {why}"
            yield Finding(table, Verdict.NOTE, says, {"rows": found.children, "parents": found.parents}, found.examples)


def _duplicates(connection: Connection, _memory: Memory) -> Iterator[Finding]:
    keys = tables_with_keys(connection, {name: table.key for name, table in TABLES.items()})
    clean = True
    for table, key in keys.items():
        found = count_duplicates(connection, table, key)
        if found.parents:
            clean = False
            says = f"{found.children:,} rows too many in {table}, of {found.parents:,} keys ({', '.join(key)})"
            numbers = {"keys": found.parents, "rows": found.children}
            yield Finding("duplicates", Verdict.DEFECT, says, numbers, found.examples)
    if clean:
        yield Finding("duplicates", Verdict.WELL, f"none in {len(keys)} tables", {"keys": 0, "rows": 0})


def _list_total(settings: Settings, memory: Memory, live: int) -> Iterator[Finding]:
    try:
        with open_probe(settings, 2) as probe:
            look = probe.page("users")
    except SettingsError:
        raise
    except DashlyError as error:
        yield Finding("users", Verdict.NOTE, f"not compared with the API's list: {error}", {"rows": live})
        return
    total = None if look is None else look.total
    if look is not None and total is None and look.following is None:
        total = len(look.records)
    if total is None:
        yield Finding("users", Verdict.NOTE, "the API does not say how many there are", {"rows": live})
        return
    numbers = {"total": total, "rows": live}
    if total > live:
        more = "the list changed since the last run" if memory.coverage("users").complete else "its list is still open"
        says = f"the API lists {total:,}, {total - live:,} more than are here; {more}, a run brings them"
        yield Finding("users", Verdict.WAITING, says, numbers)
    elif total < live:
        says = f"the API lists {total:,}, {live - total:,} fewer than are here: they went, and reconciling marks them"
        yield Finding("users", Verdict.NOTE, says, numbers)
    else:
        yield Finding("users", Verdict.WELL, f"{total:,} in the API's list, as many as here", numbers)


CHECKS: tuple[Callable[[Connection, Memory], Iterator[Finding]], ...] = (
    _runs,
    _lists,
    _children,
    _orphans,
    _duplicates,
)
