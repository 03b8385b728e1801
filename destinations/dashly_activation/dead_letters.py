"""The table `push_dead_letters`: the rows that are not in Dashly as they should be, and why.

The ledger knows them all; the table is its mirror, for whoever asks the warehouse. Only what changed is written, so a
push that finds nothing new opens the warehouse for reading only.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from dashly_activation.changes import request_of
from dashly_activation.rows import Kind, canonical
from dashly_state.push_ledger import LETTERS, Entry, PushLedger, Status
from dashly_warehouse.connections import Connection

TABLE = "push_dead_letters"
COLUMNS = {
    "push": "varchar not null",
    "kind": "varchar not null",
    "row_key": "varchar not null",
    "status": "varchar not null",
    "row": "json",
    "reason": "varchar not null",
    "attempts": "integer not null",
    "failed_at": "timestamptz not null",
}
"""Names and types, the same in DuckDB and Postgres. `row` is a word of SQL's, so it is quoted."""


def has_news(ledger: PushLedger, push: str) -> bool:
    """Whether the table does not yet say what the ledger knows."""
    return bool(ledger.untold(push, 1))


def write_letters(connection: Connection, ledger: PushLedger, push: str, kind: Kind) -> int:
    """Makes the table say of this push what the ledger knows; returns how many of its rows changed.

    Killed in between, the next push writes the same again.

    Args:
        connection: One that may write.
        ledger: Knows what is to be written.
        push: The name of the push.
        kind: What its rows become.
    """
    table = f'"{connection.dataset}"."{TABLE}"'
    connection.execute(f'create schema if not exists "{connection.dataset}"')
    columns = ", ".join(f'"{name}" {type_}' for name, type_ in COLUMNS.items())
    connection.execute(f"create table if not exists {table} ({columns})")
    written = 0
    while entries := ledger.untold(push):
        _replace(connection, table, push, kind, entries)
        ledger.told(push, entries)
        written += len(entries)
    return written


def _replace(connection: Connection, table: str, push: str, kind: Kind, entries: Sequence[Entry]) -> None:
    marks = ", ".join(["%s"] * len(entries))
    connection.execute("begin")
    connection.execute(
        f"delete from {table} where push = %s and row_key in ({marks})",  # noqa: S608 - our own names
        [push, *(entry.key for entry in entries)],
    )
    letters = [_letter(push, kind, entry) for entry in entries if entry.status in LETTERS]
    if letters:
        row = f"({', '.join(['%s'] * len(COLUMNS))})"
        names = ", ".join(f'"{name}"' for name in COLUMNS)
        connection.execute(
            f"insert into {table} ({names}) values {', '.join([row] * len(letters))}",  # noqa: S608
            [value for letter in letters for value in letter],
        )
    connection.execute("commit")


def _letter(push: str, kind: Kind, entry: Entry) -> tuple[Any, ...]:
    failed_at = datetime.fromtimestamp(entry.at, UTC)
    row = entry.open if entry.status == Status.UNSENDABLE else canonical(_asked(kind, entry))
    return push, kind, entry.key, str(entry.status), row, entry.reason, entry.attempts, failed_at


def _asked(kind: Kind, entry: Entry) -> dict[str, Any]:
    """What was asked of Dashly, as people write it; of what could not be asked, the table has the row itself."""
    request = request_of(entry, kind)
    content = {"props": request.content} if kind == "props" else request.content
    return {"user_id" if request.by_user_id else "id": request.user, **content}
