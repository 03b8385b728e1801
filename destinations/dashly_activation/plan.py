"""What a push will send, worked out before its first request, and kept on disk: a million rows take no memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

from dashly_activation.changes import Change, decide, request_of
from dashly_activation.rows import Kind, Request, calls, canonical, digest_of
from dashly_activation.values import Unsendable
from dashly_state.push_ledger import Entry, PushLedger, Status

Row = Mapping[str, Any]
RequestOf = Callable[[Row], Request]

_SCHEMA = """
CREATE TABLE items (
    position INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    digest TEXT NOT NULL,  -- of all that the row wants
    change TEXT NOT NULL,
    calls INTEGER NOT NULL,
    request TEXT           -- JSON: what is to be sent
)
"""
_SAME_KEY = (
    "another row of this push has the same {key} and wants something else; none of them is sent. "
    "Make the query return one row for each"
)


@dataclass(frozen=True, slots=True)
class Item:
    """One row that is to be sent.

    Attributes:
        request: With only the content that has to be sent.
        digest: Of all that the row wants; empty when it is not known.
    """

    request: Request
    digest: str


@dataclass(frozen=True, slots=True)
class PlanCounts:
    """How many rows there are of which kind.

    Attributes:
        rows: That were looked at.
        to_send: That have to be sent.
        calls: How many calls that takes.
        unchanged: That are in Dashly as they are.
        refused: That the API refused as they are.
        uncertain: That may be in Dashly, and are not sent again.
        unsendable: Of which no request can be made, the rows that contradict each other among them.
    """

    rows: int = 0
    to_send: int = 0
    calls: int = 0
    unchanged: int = 0
    refused: int = 0
    uncertain: int = 0
    unsendable: int = 0


class Plan:
    """The rows of one push, and what is to be done about each.

    Args:
        kind: What rows become.
        push: The name of the push.
        ledger: What was sent before.
        most_operations: How many operations a call may have.
    """

    def __init__(self, kind: Kind, push: str, ledger: PushLedger, most_operations: int) -> None:
        self._kind, self._push, self._ledger, self._most = kind, push, ledger, most_operations
        self._rows = self._unsendable = 0
        # an empty name is a file that SQLite makes, and removes when it is closed or its process dies
        self._items = sqlite3.connect("", isolation_level=None)
        self._items.execute("PRAGMA journal_mode = OFF")
        self._items.execute(_SCHEMA)

    def add(self, rows: Sequence[Row], request_of_row: RequestOf, this_pass: str, at: float) -> None:
        """Takes a few thousand rows: looks up what is known of them, and notes those that cannot be sent.

        Args:
            rows: Of the warehouse.
            request_of_row: What a row asks for.
            this_pass: The name of this reading of all rows.
            at: What time it is, unix seconds.
        """
        self._rows += len(rows)
        requests: list[tuple[Row, Request]] = []
        bad: list[Entry] = []
        for row in rows:
            try:
                requests.append((row, request_of_row(row)))
            except Unsendable as error:
                bad.append(_bad(row, str(error), at))
        known = self._ledger.known(self._push, [request.key for _, request in requests])
        self._items.execute("BEGIN")
        for row, request in requests:
            if not self._note(request, known.get(request.key), at):
                what = "id" if self._kind == "props" else "key"
                bad.append(_bad(row, _SAME_KEY.format(key=what), at))
        self._items.execute("COMMIT")
        if bad:
            self._unsendable += len(bad)
            self._ledger.set_aside(self._push, this_pass, bad)

    def add_open(self, status: Status) -> None:
        """Takes all rows that the ledger has as refused or uncertain, as they were then."""
        after = ""
        while entries := self._ledger.with_status(self._push, status, after):
            after = entries[-1].key
            self._rows += len(entries)
            for entry in entries:
                request = request_of(entry, self._kind)
                self._insert(request, entry.digest, Change.SEND, request.content)

    def counts(self) -> PlanCounts:
        """Returns how many rows are to be sent, and how many not."""
        query = "SELECT change, count(*), sum(calls) FROM items GROUP BY change"
        found = {Change(change): (count, of_calls) for change, count, of_calls in self._items.execute(query)}

        def count(*changes: Change) -> int:
            return sum(found.get(change, (0, 0))[0] for change in changes)

        return PlanCounts(
            rows=self._rows,
            to_send=count(Change.SEND),
            calls=found.get(Change.SEND, (0, 0))[1],
            unchanged=count(Change.NOTHING, Change.SETTLE),
            refused=count(Change.REFUSED),
            uncertain=count(Change.UNCERTAIN),
            unsendable=self._unsendable + count(Change.CONFLICT),
        )

    def items(self, limit: int | None = None) -> Iterator[Item]:
        """Yields what is to be sent, in the order of the rows, at most so many."""
        query = "SELECT key, digest, request FROM items WHERE change = 'send' ORDER BY position LIMIT ?"
        for key, digest, request in self._items.execute(query, (-1 if limit is None else limit,)):
            yield Item(Request.from_json(key, request), digest)

    def close(self) -> None:
        """Forgets the plan."""
        self._items.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _note(self, request: Request, entry: Entry | None, at: float) -> bool:
        """Returns False when a row with the same key wants something else: neither is sent then."""
        before = self._items.execute("SELECT digest FROM items WHERE key = ?", (request.key,)).fetchone()
        if before is not None:
            if before[0] == request.digest:
                return True
            self._items.execute(
                "UPDATE items SET change = ?, request = NULL WHERE key = ?", (Change.CONFLICT, request.key)
            )
            return False
        decision = decide(self._kind, entry, request)
        if decision.change == Change.SETTLE and entry is not None:
            well = replace(entry, status=Status.ACKNOWLEDGED, digest=request.digest, open=None, reason="", attempts=0)
            self._ledger.put(self._push, replace(well, at=at))
        self._insert(request, request.digest, decision.change, decision.content)
        return True

    def _insert(self, request: Request, digest: str, change: Change, content: Mapping[str, Any]) -> None:
        is_sent = change == Change.SEND
        of_calls = len(calls(self._kind, content, self._most)) if is_sent else 0
        self._items.execute(
            "INSERT INTO items (key, digest, change, calls, request) VALUES (?, ?, ?, ?, ?)",
            (request.key, digest, change, of_calls, request.to_json(content) if is_sent else None),
        )


def _bad(row: Row, reason: str, at: float) -> Entry:
    return Entry(f"row {digest_of(row)}", Status.UNSENDABLE, open=canonical(row), reason=reason, at=at)
