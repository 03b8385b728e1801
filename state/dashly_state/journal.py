"""The pages fetched since the last committed slice, so that a run that is killed pays nothing twice."""

import sqlite3
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from .database import is_damage, open_database
from .disk import disk_full, is_full
from .errors import JournalError

T = TypeVar("T")

VERSION = 1
SCHEMA = """
CREATE TABLE pages (
    slice_id INTEGER NOT NULL,
    key TEXT NOT NULL,
    fetched_at REAL NOT NULL,  -- unix seconds
    body BLOB NOT NULL,        -- zlib
    UNIQUE (slice_id, key)
)
"""

COMPRESSION_LEVEL = 1  # 50 parts of random words, 33 KB: 15 KB in 0.5 ms; level 6 takes 0.9 ms for 5 % less
SHRINK_BYTES = 4_000_000
"""Free space from which the file is made smaller: a slice of 60 pages takes 1 MB, so this is rare."""


@dataclass(frozen=True)
class JournalPage:
    """One response of the API, as it came.

    Attributes:
        key: What was asked for: walk, path and page token.
        fetched_at: When it came, unix seconds.
        body: The bytes of the response.
    """

    key: str
    fetched_at: float
    body: bytes


class PageJournal:
    """A cache of pages that survives a SIGKILL and a power cut. Safe to use from several threads.

    It never stops a sync by what it holds: a file that is damaged, or of another version, is moved aside to
    `<name>.corrupt` and an empty one takes its place; a page that is damaged is not there. The price is to fetch
    again.

    Args:
        path: The file, made with mode 0600 when missing: it holds customer data.

    Attributes:
        discarded: Why the pages of an earlier run were thrown away, for the caller to report; None when they were not.

    Raises:
        JournalError: From every method, when the file cannot be used for another reason: no space, no permission.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.discarded: str | None = None
        self._lock = threading.Lock()
        self._connection = self._guarded(self._open)

    def put(self, slice_id: int, key: str, body: bytes, fetched_at: float) -> None:
        """Keep a page. It is on the disk when this returns: 1 ms for 33 KB, of which the fsync is half."""
        row = (slice_id, key, fetched_at, zlib.compress(body, COMPRESSION_LEVEL))
        self._work(lambda connection: connection.execute("INSERT OR REPLACE INTO pages VALUES (?, ?, ?, ?)", row))

    def get(self, slice_id: int, key: str) -> JournalPage | None:
        """Return the page that was kept under `key` in that slice, or None."""
        query = "SELECT fetched_at, body FROM pages WHERE slice_id = ? AND key = ?"
        row = self._work(lambda connection: connection.execute(query, (slice_id, key)).fetchone())
        if row is None:
            return None
        try:
            return JournalPage(key, row[0], zlib.decompress(row[1]))
        except zlib.error:  # its checksum is wrong
            return None

    def has_pages(self, slice_id: int) -> bool:
        """Return whether any page of that slice is kept."""
        return self.count(slice_id) > 0

    def count(self, slice_id: int) -> int:
        """Return how many pages of that slice are kept."""
        query = "SELECT count(*) FROM pages WHERE slice_id = ?"
        found: int = self._work(lambda connection: connection.execute(query, (slice_id,)).fetchone())[0]
        return found

    def keep_only(self, slice_id: int) -> None:
        """Forget the pages of all other slices: their package is loaded."""
        self._work(lambda connection: connection.execute("DELETE FROM pages WHERE slice_id <> ?", (slice_id,)))
        self._work(_shrink)

    def close(self) -> None:
        """Close the file; the journal cannot be used any more."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> sqlite3.Connection:
        opened = open_database(self.path, SCHEMA, VERSION, synchronous="FULL")
        self.discarded = opened.discarded or self.discarded
        return opened.connection

    def _work(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._lock:
            return self._guarded(lambda: self._work_or_replace(work))

    def _work_or_replace(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return work(self._connection)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            self._connection.close()
        self._connection = self._open()  # finds the damage and moves the file aside
        return work(self._connection)

    def _guarded(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except (OSError, sqlite3.Error) as error:
            if is_full(error):
                raise JournalError(*disk_full(self.path, error)) from error
            raise JournalError(
                f"the page journal {self.path} cannot be used ({error})",
                "Nothing is lost: what was loaded stays, and the next run continues. See that the folder is yours to "
                "write, or choose another one with --state-dir",
            ) from error


def _shrink(connection: sqlite3.Connection) -> None:
    free_pages: int = connection.execute("PRAGMA freelist_count").fetchone()[0]
    page_size: int = connection.execute("PRAGMA page_size").fetchone()[0]
    if free_pages * page_size >= SHRINK_BYTES:
        connection.executescript("PRAGMA incremental_vacuum")  # execute() would take one step, which frees one page
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
