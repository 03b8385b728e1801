"""The requests of every process on this machine, in one SQLite file, by token."""

import os
import secrets
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from math import inf
from pathlib import Path
from typing import TypeVar

from .clock import Clock
from .database import file_identity, is_damage, open_database
from .disk import disk_full, is_full
from .errors import BudgetError
from .process import Processes

T = TypeVar("T")

VERSION = 2
SCHEMA = """
CREATE TABLE timebase (boot TEXT NOT NULL);  -- one row: the boot whose monotonic clock all times below are of
INSERT INTO timebase VALUES ('');
CREATE TABLE requests (
    id INTEGER PRIMARY KEY,   -- random, so that the lease of a replaced file never means another request
    key TEXT NOT NULL,        -- a hash of the token
    process TEXT NOT NULL,    -- pid@start
    started REAL NOT NULL,    -- monotonic seconds
    ended REAL,               -- the same; null while the request is in flight
    wall REAL NOT NULL        -- unix seconds of the end, or of the start while in flight; read after a reboot only
);
CREATE INDEX requests_by_end ON requests (key, ended);
CREATE TABLE spells (
    key TEXT NOT NULL,        -- a hash of the token, or '*' for all of them
    what TEXT NOT NULL,       -- 'closed': nothing may start; 'strict': every request counts from its end
    until REAL NOT NULL,      -- monotonic seconds
    wall REAL NOT NULL,       -- unix seconds of the same instant
    seconds REAL NOT NULL,    -- how long it was meant to last
    PRIMARY KEY (key, what)
)
"""

EVERY_KEY = "*"
CLOSED, STRICT = "closed", "strict"
_DAY = 86_400.0
_FORGET_EVERY = 0.1
"""Of the time that ended requests are kept: so often those that are older are deleted."""
_CLOCK_TOLERANCE = 1.0  # an end that lies further ahead than this is of another boot's clock


_Row = tuple[int, float, float | None, str]
"""Id, start, end and process of a request."""


@dataclass(frozen=True)
class Recorded:
    """One request as the file has it.

    Attributes:
        started: Monotonic seconds.
        ended: The same; None while it is in flight.
        mine: Whether this process sent it.
    """

    started: float
    ended: float | None
    mine: bool


@dataclass(frozen=True)
class Survey:
    """What may count at one instant.

    Attributes:
        requests: The ones in flight, and the ones that ended less than a window ago.
        closed_seconds: For how long no request may start, whatever the other numbers say.
        strict_seconds: For how long every request counts from its end, after a 429.
    """

    requests: list[Recorded]
    closed_seconds: float
    strict_seconds: float


def ledger_key(token: str) -> str:
    """Return what stands for `token` in the file: 128 bits of a hash, from which nobody gets back.

    Examples:
        >>> ledger_key("app.1.secret")
        'd013235799f1cda57b2eafe40e82939f'
    """
    return sha256(b"dashly-sync request budget\0" + token.encode("utf-8", "surrogatepass")).hexdigest()[:32]


class RequestLedger:
    """The rows of one token. Every public method is one transaction, or is called inside one.

    Durability: synchronous=NORMAL. A commit survives a SIGKILL and no power cut; what a power cut takes are the last
    seconds before it, and the machine is not up again before most of the window has passed.

    Args:
        path: The file. Several tokens and processes share it.
        key: `ledger_key` of the token.
        window_seconds: How long a request may count after its end.
        max_flight_seconds: After this long a request is given up even though its process lives.
        clock: Where time comes from.
        processes: Who lives.
    """

    def __init__(
        self,
        path: Path,
        key: str,
        window_seconds: float,
        max_flight_seconds: float,
        clock: Clock,
        processes: Processes,
    ) -> None:
        self.path = path
        self.discarded: str | None = None
        self._key = key
        self._window = window_seconds
        self._keep = max(window_seconds, 60.0)  # the API's window: a process set to 1/1 must not blind one set to 60/60
        self._max_flight = max_flight_seconds
        self._clock = clock
        self._processes = processes
        self._me = processes.current()
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._forgot_at = -inf
        self._connection: sqlite3.Connection | None = None
        self._identity = (0, 0)

    # ---- transactions

    def transact(self, work: Callable[[sqlite3.Connection, float], T]) -> T:
        """Return `work(connection, monotonic now)`, done while no other process or thread touches the file.

        Raises:
            BudgetError: The file cannot be read or written.
        """
        if os.getpid() != self._pid:
            raise BudgetError(
                f"the request budget {self.path} was opened by process {self._pid} and used by its fork {os.getpid()}",
                "Make a new RequestBudget in the new process",
            )
        with self._lock:
            try:
                return self._transact_or_replace(work)
            except (OSError, sqlite3.Error) as error:
                raise self._unusable(error) from error

    def close(self) -> None:
        """Close the file. The next transaction opens it again."""
        with self._lock:
            self._disconnect()

    def _transact_or_replace(self, work: Callable[[sqlite3.Connection, float], T]) -> T:
        try:
            return self._transact_once(work)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            self._disconnect()
        return self._transact_once(work)  # opening the file again finds the damage and moves it aside

    def _transact_once(self, work: Callable[[sqlite3.Connection, float], T]) -> T:
        connection = self._connected()
        connection.execute("BEGIN IMMEDIATE")
        try:
            now = self._clock.monotonic()  # after the wait for other processes, so no end of theirs lies ahead
            self._rebase(connection, now)
            result = work(connection, now)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return result

    def _connected(self) -> sqlite3.Connection:
        if self._connection is not None and file_identity(self.path) == self._identity:
            return self._connection
        vanished = "it was removed or replaced while in use" if self._connection is not None else None
        self._disconnect()
        opened = open_database(self.path, SCHEMA, VERSION, synchronous="NORMAL")
        self._connection, self._identity = opened.connection, opened.identity
        self.discarded = opened.discarded or vanished or self.discarded
        blind = bool(opened.discarded or vanished)
        self._transact_once(lambda connection, now: self._settle_in(connection, now, blind))
        return opened.connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _settle_in(self, connection: sqlite3.Connection, now: float, blind: bool) -> None:
        """Forget tokens of yesterday; close the budget for a window when what was requested before is unknown."""
        connection.execute("DELETE FROM requests WHERE started < ?", (now - _DAY,))
        if blind:
            self._write_spell(connection, now, EVERY_KEY, CLOSED, self._keep)

    def _unusable(self, error: Exception) -> BudgetError:
        if is_full(error):
            return BudgetError(*disk_full(self.path, error))
        return BudgetError(
            f"the request budget {self.path} cannot be used ({error})",
            f"Without it the API's limit cannot be kept. See that its folder exists, has space and is yours to write, "
            f"or delete the file while no run is at work and wait {self._keep:g} s",
        )

    def _rebase(self, connection: sqlite3.Connection, now: float) -> None:
        """Turn all times into times of this boot's monotonic clock, by what the wall clock says.

        A request that was in flight ended with the machine, or with a machine that shares the file and will say so:
        it counts as ended now. A wall clock that went back makes everything younger, which is the safe side.
        """
        boot: str
        newest: float | None
        boot, newest = connection.execute(
            "SELECT boot, (SELECT max(ended) FROM requests WHERE key = ?) FROM timebase", (self._key,)
        ).fetchone()
        ahead = newest is not None and newest > now + _CLOCK_TOLERANCE
        if boot == self._processes.boot_id and not ahead:
            return
        times = {"now": now, "wall": self._clock.now(), "boot": self._processes.boot_id}
        connection.execute("UPDATE timebase SET boot = :boot", times)
        connection.execute(
            "UPDATE requests SET ended = :now - iif(ended IS NULL, 0, max(:wall - wall, 0)), started = :now", times
        )
        connection.execute("UPDATE spells SET until = :now + min(max(wall - :wall, 0), seconds)", times)

    # ---- inside a transaction

    def survey(self, connection: sqlite3.Connection, now: float) -> Survey:
        """Return what may count now, after burying what is dead and, now and then, forgetting what is old."""
        self._forget_old(connection, now)
        rows: list[_Row] = connection.execute(
            "SELECT id, started, ended, process FROM requests WHERE key = ? AND (ended IS NULL OR ended > ?)",
            (self._key, now - self._window),
        ).fetchall()
        rows = self._bury_dead(connection, rows, now)
        spells: dict[str, float] = dict(
            connection.execute(
                "SELECT what, max(until) FROM spells WHERE key IN (?, ?) GROUP BY what", (self._key, EVERY_KEY)
            ).fetchall()
        )
        return Survey(
            requests=[Recorded(started, ended, process == self._me) for _, started, ended, process in rows],
            closed_seconds=max(spells.get(CLOSED, now) - now, 0.0),
            strict_seconds=max(spells.get(STRICT, now) - now, 0.0),
        )

    def _forget_old(self, connection: sqlite3.Connection, now: float) -> None:
        if not 0 <= now - self._forgot_at < self._keep * _FORGET_EVERY:
            self._forgot_at = now
            connection.execute("DELETE FROM requests WHERE key = ? AND ended <= ?", (self._key, now - self._keep))

    def start(self, connection: sqlite3.Connection, now: float) -> int:
        """Write that a request starts, and return its id."""
        request_id = secrets.randbits(62)
        connection.execute(
            "INSERT INTO requests (id, key, process, started, wall) VALUES (?, ?, ?, ?, ?)",
            (request_id, self._key, self._me, now, self._clock.now()),
        )
        return request_id

    def _bury_dead(self, connection: sqlite3.Connection, rows: list[_Row], now: float) -> list[_Row]:
        """Write an end for the requests in flight that will never end by themselves, and return the rows with it.

        These are of a dead process, or older than any request may get. Nobody knows how long such a request was on its
        way: until now, for all that is known. So it starts and ends now: once, since an ended request is not looked at
        again.
        """
        lives = {process: self._lives(process) for _, _, ended, process in rows if ended is None}
        buried = {
            request_id
            for request_id, started, ended, process in rows
            if ended is None and (not lives[process] or now - started > self._max_flight)
        }
        if not buried:
            return rows
        times = {"now": now, "wall": self._clock.now()}
        connection.executemany(
            "UPDATE requests SET started = :now, ended = :now, wall = :wall WHERE id = :id",
            [{**times, "id": request_id} for request_id in buried],
        )
        return [(row[0], now, now, row[3]) if row[0] in buried else row for row in rows]

    def _lives(self, process: str) -> bool:
        return process == self._me or self._processes.is_alive(process)

    def _write_spell(self, connection: sqlite3.Connection, now: float, key: str, what: str, seconds: float) -> None:
        connection.execute(
            "INSERT INTO spells VALUES (?, ?, ?, ?, ?) ON CONFLICT (key, what) DO UPDATE "
            "SET until = excluded.until, wall = excluded.wall, seconds = excluded.seconds WHERE until < excluded.until",
            (key, what, now + seconds, self._clock.now() + seconds, seconds),
        )

    # ---- whole transactions

    def end(self, request_id: int, started: float) -> None:
        """Write that a request has ended now; a row that was pruned, given up or lost with its file comes back.

        The end is taken before the transaction waits for others: that is when the response was there.
        """
        ended, wall = self._clock.monotonic(), self._clock.now()
        self.transact(
            lambda connection, _now: connection.execute(
                "INSERT INTO requests VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE "
                "SET started = excluded.started, ended = excluded.ended, wall = excluded.wall",
                (request_id, self._key, self._me, started, ended, wall),
            )
        )

    def close_for(self, seconds: float, strict_seconds: float) -> None:
        """Write that no request of this token may start for `seconds`, and that each counts from its end for longer.

        A longer closing stays.

        Args:
            seconds: From now.
            strict_seconds: From the end of these seconds.
        """

        def write(connection: sqlite3.Connection, now: float) -> None:
            self._write_spell(connection, now, self._key, CLOSED, seconds)
            self._write_spell(connection, now, self._key, STRICT, seconds + strict_seconds)

        self.transact(write)
