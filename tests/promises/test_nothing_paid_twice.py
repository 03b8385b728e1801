"""The promise: a run killed at any instant, SIGKILL included, repeats at most the request in flight.

And it ends equal to the truth. However else a sync is cut up: `tests/end_to_end/test_resume.py`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.conftest import MOSTLY_DUCKDB, Warehouse
from tests.end_to_end.conftest import Account, assert_equal_to_truth
from tests.promises.conftest import Runs

TINY = {"users": 3, "conversations": 3, "events_per_user": 25.0, "parts_per_conversation": 6.0}


@pytest.fixture
def runs(account: Callable[..., Account], warehouse: Warehouse) -> Iterator[Runs]:
    found = Runs(account(**TINY), warehouse)
    yield found
    found.close()


@MOSTLY_DUCKDB  # killed before anything is loaded: what is left is in files, whatever the destination
@pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.soak)])
def test_sigkill_at_every_request_in_turn(every: int, runs: Runs, tmp_path: Path) -> None:
    """Killed around request 1, 2, 3, … of a first load: the next run pays for the rest, and for one request twice."""
    app, kind = runs.app, runs.warehouse.kind
    floor = app.simulator.floor_requests()
    repeated = []
    points = range(every, floor + 1, every)
    for at in points:
        place = _place(runs.warehouse, tmp_path, at)
        app.cost()
        assert "signal 9" == runs.sync(f"state {at}", place.destination, kill_at=at, when=("after", "before")[at % 2])
        assert "exit 0" == runs.sync(f"state {at}", place.destination)
        repeated.append(app.cost() - floor)
        assert_equal_to_truth(app.simulator, place)
        _drop(place)

    # killed before it was sent, a request is not paid at all; killed after it was answered, it is paid twice
    assert [(1, 0)[at % 2] for at in points] == repeated, kind


def test_sigkill_while_it_looks_again_at_who_was_answered(account: Callable[..., Account], tmp_path: Path) -> None:
    """The pages that came are taken up, and so is whoever was not reached; one request is paid twice."""
    place = Warehouse("duckdb", f"duckdb:///{tmp_path}/w.duckdb", "dashly", str(tmp_path / "w.duckdb"))
    app = account(users=3, conversations=12, parts_per_conversation=4.0)
    runs = Runs(app, place)
    assert "exit 0" == runs.sync("state", place.destination)
    talks = [row["id"] for row in app.simulator.truth.rows("conversations") if row["parts_count"] > 1][:5]
    for talk in talks:
        part = next(row for row in app.simulator.truth.rows("parts") if row["conversation_id"] == talk)
        app.simulator.life.edit_part(part["id"], "corrected")
        app.simulator.life.reply(talk)
    app.cost()

    share = {"share": 0.1 * 60 / 1_000_000}
    ended = [runs.sync("state", place.destination, kill_at=4 + 3, when="after", **share)]
    ended += [runs.sync("state", place.destination, **share)]
    runs.close()

    assert (["signal 9", "exit 0"], 4 + 5 + 1) == (ended, app.cost())
    assert [(5,)] == place.sql("select count(*) from parts where body = 'corrected'")


@pytest.mark.soak
def test_sigkill_at_random_instants_during_load(runs: Runs, tmp_path: Path) -> None:
    """Killed again and again wherever it is, also while it loads: it gets there, equal to the truth."""
    app, rng = runs.app, random.Random(7)
    floor = app.simulator.floor_requests()
    place = _place(runs.warehouse, tmp_path, 0)
    app.cost()
    kills = 0
    while (ended := runs.sync("state", place.destination, kill_after=_some_seconds(rng, kills))) != "exit 0":
        assert "signal 9" == ended
        kills += 1
    cost = app.cost()

    assert kills >= 1
    # each run that finished its slice but not itself looks at the heads again, which is 4
    assert floor <= cost <= floor + kills * 5, (floor, cost, kills)
    assert_equal_to_truth(app.simulator, place)


def _some_seconds(rng: random.Random, kills: int) -> float:
    """Longer with every kill, so that it ends on a slow machine too."""
    return 0.1 + rng.random() * (0.3 + 0.3 * kills)


def _place(warehouse: Warehouse, folder: Path, number: int) -> Warehouse:
    """An empty place of the same kind: a file of its own, or the one database, which `_drop` empties."""
    if warehouse.kind == "postgres":
        return warehouse
    file = folder / f"kill_{number}.duckdb"
    return Warehouse("duckdb", f"duckdb:///{file}", "dashly", str(file))


def _drop(warehouse: Warehouse) -> None:
    if warehouse.kind == "postgres":
        warehouse.sql("drop schema dashly cascade")
        warehouse.sql("drop schema if exists dashly_staging cascade")
