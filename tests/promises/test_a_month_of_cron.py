"""All promises at once, and nobody's hand: a month of cron starts, most of them well, some of them not.

Real processes under a real HTTP server, in virtual time: killed at a request or wherever they are, short of time, with
files that may not grow, with clocks that are wrong, with an API that fails; the state directory is lost, and the
journal is another version's. In the end the warehouse is equal to the truth without `--full`, and the state directory
is no larger than it began.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest
from tests.conftest import Warehouse
from tests.end_to_end.conftest import Account, assert_equal_to_truth
from tests.promises.conftest import Runs

from dashly_simulator.faults import Faults

HOUR, DAY = 3600.0, 86_400.0
VARIES_BYTES = 100_000
"""From run to run: dlt's trace of the last one, and the journal's file, which gives nothing back below 4 MB.

Less than 60 kills, 10 damages or 240 loads would leave behind, whichever is forgotten.
"""
MISHAPS = {
    "none": 60,
    "killed wherever it is": 12,
    "killed at a request": 8,
    "faults": 8,
    "short of time": 5,
    "files may not grow": 3,
    "clock is wrong": 3,
    "file is held": 2,
    "state directory is lost": 1,
    "journal of another version": 1,
    "working files are damaged": 1,
}
MAY_FAIL = {"files may not grow", "file is held", "faults"}


class Month:
    """Starts one run after the other, and lets life go on in between."""

    def __init__(self, runs: Runs, seed: int) -> None:
        self.runs, self.app, self.rng = runs, runs.app, random.Random(seed)
        self.seen: Counter[tuple[str, str]] = Counter()

    @property
    def state_dir(self) -> Path:
        return self.app.state_dir.with_name("state")

    def start(self, mishap: str, every: float, *deeds: int) -> str:
        """One run with this mishap, and the time until the next one with one of these numbers of deeds in it.

        Returns how it ended.
        """
        how = getattr(self, "_" + mishap.replace(" ", "_"))()
        now = self.app.simulator.clock.now()
        with self._held(mishap == "file is held"):
            ended = self.runs.sync(
                "state", self.runs.warehouse.destination, now=now, rate_limit="60/60", share=0.004, **how
            )
        self.app.simulator.faults.clear()
        self.seen[mishap, ended] += 1
        for _ in range(self.rng.choice(deeds or (0,))):
            self.app.simulator.life.random_deed()
        self.app.simulator.clock.advance(every)
        return ended

    def can(self, mishap: str) -> bool:
        """Whether it can happen to this warehouse: nobody holds the file of a Postgres, nor limits it from here."""
        return self.runs.warehouse.kind == "duckdb" or not mishap.startswith("file")

    def size(self) -> int:
        """Bytes in the state directory, but for what was moved aside for people to look at: one file of each."""
        files = (file for file in self.state_dir.rglob("*") if file.is_file() and file.suffix != ".corrupt")
        return sum(file.stat().st_size for file in files)

    def _none(self) -> dict[str, Any]:
        return {}

    def _killed_wherever_it_is(self) -> dict[str, Any]:
        return {"kill_after": self.rng.uniform(0.0, 2.5)}

    def _killed_at_a_request(self) -> dict[str, Any]:
        return {"kill_at": self.rng.randint(1, 12), "when": self.rng.choice(("before", "after"))}

    def _faults(self) -> dict[str, Any]:
        self.app.simulator.faults.follow(Faults(every=self.rng.randint(2, 9)))
        return {}

    def _short_of_time(self) -> dict[str, Any]:
        return {"max_seconds": self.rng.uniform(1.0, 60.0)}

    def _files_may_not_grow(self) -> dict[str, Any]:
        return {"file_bytes": self.rng.randint(1, 2_000_000)}

    def _clock_is_wrong(self) -> dict[str, Any]:
        return {"clock_error": self.rng.choice((-1.0, 1.0)) * self.rng.choice((90.0, HOUR, DAY))}

    def _file_is_held(self) -> dict[str, Any]:
        return {}

    def _state_directory_is_lost(self) -> dict[str, Any]:
        shutil.rmtree(self.state_dir, ignore_errors=True)
        return {}

    def _journal_of_another_version(self) -> dict[str, Any]:
        for journal in self.state_dir.rglob("*journal*.sqlite"):
            with closing(sqlite3.connect(journal)) as connection:
                connection.execute("pragma user_version = 999")
        return {}

    def _working_files_are_damaged(self) -> dict[str, Any]:
        files = sorted(file for file in self.state_dir.glob("pipelines/**/*") if file.is_file())
        for file in self.rng.sample(files, min(3, len(files))):
            file.write_bytes(file.read_bytes()[: self.rng.randrange(100)])
        return {}

    def _held(self, is_held: bool) -> Any:
        """Somebody reads the DuckDB file while the block runs."""
        return duckdb.connect(self.runs.warehouse.location, read_only=True) if is_held else closing(_Nothing())


class _Nothing:
    def close(self) -> None:
        pass


@pytest.fixture
def month(account: Callable[..., Account], warehouse: Warehouse) -> Iterator[Month]:
    app = account(users=60, conversations=40, events_per_user=12.0, parts_per_conversation=6.0)
    runs = Runs(app, warehouse)
    yield Month(runs, seed=11)
    runs.close()


@pytest.mark.soak
@pytest.mark.parametrize("every", [3 * HOUR])
def test_a_month_of_cron_starts(every: float, month: Month) -> None:
    """What was in no list is read again within days, so a few quiet ones end it."""
    kinds = {
        name: weight for name, weight in MISHAPS.items() if month.runs.warehouse.kind == "duckdb" or "file" not in name
    }
    assert ["exit 0"] * 2 == [month.start("none", every) for _ in range(2)]
    began = month.size()
    for mishap in month.rng.choices(list(kinds), list(kinds.values()), k=int(30 * DAY / every)):
        ended = month.start(mishap, every, 0, 1, 2)
        assert ended in _expected(mishap), (mishap, ended)
    for _ in range(int(3 * DAY / every)):
        assert "exit 0" == month.start("none", every)

    assert_equal_to_truth(month.app.simulator, month.runs.warehouse)
    assert month.size() <= began + VARIES_BYTES, month.seen


def _expected(mishap: str) -> set[str]:
    killed = {"signal 9"} if "killed" in mishap else set()
    failed = {"exit 1", "exit 3", "exit 4"} if mishap in MAY_FAIL else set()
    return {"exit 0"} | killed | failed
