"""What was sent to Dashly, row by row, so that a push that is killed repeats nothing that was acknowledged."""

import enum
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from .database import UnusableDatabase, open_database
from .disk import is_full, room
from .errors import PushLedgerError, StateDiskFull

T = TypeVar("T")

VERSION = 1
SCHEMA = """
CREATE TABLE rows (
    push TEXT NOT NULL,
    key TEXT NOT NULL,
    status TEXT NOT NULL,
    digest TEXT NOT NULL,      -- of all that the row wants, once all of it is settled; empty before
    sent TEXT,                 -- JSON: what Dashly has acknowledged
    open TEXT,                 -- JSON: what is under way, in doubt, or refused
    doubt TEXT,                -- JSON: what is in doubt of earlier requests
    reason TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    at REAL NOT NULL,          -- unix seconds
    pass TEXT,                 -- of an unsendable row: the push that met it last
    mirror TEXT,               -- the dead-letter table: nothing there (NULL), 'written', or 'stale'
    PRIMARY KEY (push, key)
) WITHOUT ROWID;
CREATE INDEX unsettled ON rows (push, status, key) WHERE status <> 'acknowledged';
CREATE INDEX untold ON rows (push, key) WHERE mirror = 'stale'
"""

_COLUMNS = "key, status, digest, sent, open, doubt, reason, attempts, at"


class Status(enum.StrEnum):
    """How it stands with a row."""

    SENDING = "sending"
    """Its request is under way, or was when the push was killed."""
    ACKNOWLEDGED = "acknowledged"
    UNCERTAIN = "uncertain"
    """Its request may have taken effect."""
    REFUSED = "refused"
    """The API said no, and why."""
    UNSENDABLE = "unsendable"
    """No request can be made of it."""
    GONE = "gone"
    """It was unsendable and is no more; forgotten when the dead-letter table knows."""


LETTERS = (Status.UNCERTAIN, Status.REFUSED, Status.UNSENDABLE)
"""What belongs into the dead-letter table."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one row of a push.

    Attributes:
        key: Which row, within its push.
        status: How it stands.
        digest: Of all that the row wanted when it was settled last; empty while something of it is not.
        sent: JSON of what Dashly has acknowledged and a later push is compared with.
        open: JSON of what is under way, in doubt or refused.
        doubt: JSON of what earlier requests left in doubt.
        reason: Why it is refused, uncertain or unsendable.
        attempts: Requests spent on it since it was last well.
        at: When its status was written, unix seconds.
    """

    key: str
    status: Status = Status.SENDING
    digest: str = ""
    sent: str | None = None
    open: str | None = None
    doubt: str | None = None
    reason: str = ""
    attempts: int = 0
    at: float = 0.0


class PushLedger:
    """What became of each row of each push of one app. Safe to use from several threads.

    It survives a SIGKILL and a power cut. Unlike the page journal it is never thrown away when it is damaged: who knows
    nothing of what was sent sends everything again.

    Args:
        path: The file, made with mode 0600 when missing: it holds what was sent, which is personal data.

    Raises:
        PushLedgerError: From every method, when the file cannot be used.
        StateDiskFull: From every method that writes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._connection = self._guarded(
            lambda: open_database(path, SCHEMA, VERSION, synchronous="FULL", may_replace=False).connection
        )

    def known(self, push: str, keys: Sequence[str]) -> dict[str, Entry]:
        """Return what is known of these rows, by key. About 5 µs a row."""
        marks = ", ".join("?" * len(keys))
        query = f"SELECT {_COLUMNS} FROM rows WHERE push = ? AND key IN ({marks})"  # noqa: S608 - marks only
        return {entry.key: entry for entry in self._entries(query, (push, *keys))}

    def get(self, push: str, key: str) -> Entry | None:
        """Return what is known of one row, or None."""
        return self.known(push, [key]).get(key)

    def put(self, push: str, entry: Entry) -> None:
        """Write how it stands with a row. It is on the disk when this returns."""
        self._work(lambda connection: _put(connection, push, entry))

    def take_back(self, push: str, key: str, before: Entry | None) -> None:
        """Make true again what was known of a row before a request that was never sent."""
        if before is not None:
            self.put(push, before)
        else:
            self._work(lambda connection: connection.execute(_DELETE, (push, key)))

    def abandon(self, push: str, reason: str, at: float) -> int:
        """Call uncertain what a push that was killed had under way, and return how many rows that are."""
        statement = (
            "UPDATE rows SET status = 'uncertain', reason = ?, at = ?, mirror = 'stale' "
            "WHERE push = ? AND status = 'sending'"
        )
        return int(self._work(lambda connection: connection.execute(statement, (reason, at, push)).rowcount))

    def with_status(self, push: str, status: Status, after: str = "", count: int = 1000) -> list[Entry]:
        """Return rows of one status in the order of their keys, from the first one behind `after`."""
        query = (
            f"SELECT {_COLUMNS} FROM rows WHERE push = ? AND status = ? AND status <> 'acknowledged' AND key > ? "  # noqa: S608
            "ORDER BY key LIMIT ?"
        )
        return self._entries(query, (push, status, after, count))

    def counts(self, push: str) -> Mapping[Status, int]:
        """Return how many rows have each status; one that none has is left out."""
        query = "SELECT status, count(*) FROM rows WHERE push = ? GROUP BY status"
        return {Status(status): count for status, count in self._rows(query, (push,))}

    def set_aside(self, push: str, this_pass: str, entries: Iterable[Entry]) -> None:
        """Note rows of which no request can be made; one that is noted already stays as it is."""
        statement = (
            "INSERT INTO rows (push, key, status, digest, open, reason, attempts, at, pass, mirror) "
            "VALUES (?, ?, 'unsendable', '', ?, ?, 0, ?, ?, 'stale') ON CONFLICT (push, key) DO UPDATE SET "
            "pass = excluded.pass, mirror = CASE WHEN status = 'unsendable' THEN mirror ELSE 'stale' END, "
            "status = 'unsendable', reason = excluded.reason"
        )
        values = [(push, entry.key, entry.open, entry.reason, entry.at, this_pass) for entry in entries]
        self._work(lambda connection: _at_once(connection, lambda: connection.executemany(statement, values)))

    def forget_unseen(self, push: str, this_pass: str) -> None:
        """Forget the unsendable rows that this pass has not met: they are mended, or no longer asked for."""
        statement = (
            "UPDATE rows SET status = 'gone', mirror = 'stale' WHERE push = ? AND status = 'unsendable' AND pass <> ?"
        )
        self._work(lambda connection: connection.execute(statement, (push, this_pass)))

    def untold(self, push: str, count: int = 500) -> list[Entry]:
        """Return rows that stand otherwise than the dead-letter table says."""
        return self._entries(
            f"SELECT {_COLUMNS} FROM rows WHERE push = ? AND mirror = 'stale' ORDER BY key LIMIT ?",  # noqa: S608
            (push, count),
        )

    def told(self, push: str, entries: Iterable[Entry]) -> None:
        """Note that the dead-letter table says how it stands with these rows."""
        found = list(entries)
        gone = [(push, entry.key) for entry in found if entry.status == Status.GONE]
        rest = [("written" if entry.status in LETTERS else None, push, entry.key) for entry in found]

        def note(connection: sqlite3.Connection) -> None:
            connection.executemany("UPDATE rows SET mirror = ? WHERE push = ? AND key = ?", rest)
            connection.executemany(_DELETE, gone)

        self._work(lambda connection: _at_once(connection, lambda: note(connection)))

    def close(self) -> None:
        """Close the file; the ledger cannot be used any more."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _entries(self, query: str, values: tuple[object, ...]) -> list[Entry]:
        return [Entry(key, Status(status), *rest) for key, status, *rest in self._rows(query, values)]

    def _rows(self, query: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        return self._work(lambda connection: connection.execute(query, values).fetchall())

    def _work(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._lock:
            return self._guarded(lambda: work(self._connection))

    def _guarded(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except UnusableDatabase as error:
            raise PushLedgerError(
                f"the push ledger {self.path} cannot be read: {error}",
                "It alone knows what was sent to Dashly: put a backup in its place. Without it everything that a push "
                "asks for is sent again; if that does no harm, move it away",
            ) from error
        except (OSError, sqlite3.Error) as error:
            if is_full(error):
                raise StateDiskFull(
                    f"the push ledger {self.path} cannot be written: {error}, {room(self.path)}",
                    "Nothing more was sent. Make room on this disk and push again: it goes on from there",
                ) from error
            raise PushLedgerError(
                f"the push ledger {self.path} cannot be used ({error})",
                "Nothing more was sent. See that the state directory is yours to write, then push again",
            ) from error


_DELETE = "DELETE FROM rows WHERE push = ? AND key = ?"


def _put(connection: sqlite3.Connection, push: str, entry: Entry) -> None:
    """Write a row. The dead-letter table has to change when it is a letter, or was one and is well again."""
    statement = (
        f"INSERT INTO rows (push, {_COLUMNS}, mirror) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "  # noqa: S608
        "ON CONFLICT (push, key) DO UPDATE SET status = excluded.status, digest = excluded.digest, "
        "sent = excluded.sent, open = excluded.open, doubt = excluded.doubt, reason = excluded.reason, "
        "attempts = excluded.attempts, at = excluded.at, mirror = CASE excluded.status "
        "WHEN 'sending' THEN mirror WHEN 'acknowledged' THEN iif(mirror IS NULL, NULL, 'stale') ELSE 'stale' END"
    )
    values = (entry.key, entry.status, entry.digest, entry.sent, entry.open, entry.doubt)
    more = (entry.reason, entry.attempts, entry.at, "stale" if entry.status in LETTERS else None)
    connection.execute(statement, (push, *values, *more))


def _at_once(connection: sqlite3.Connection, work: Callable[[], object]) -> None:
    """Do all of it in one transaction, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        work()
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
