"""The promise: edits, removals and silent changes that no list reveals are found, within a bound that `status` states.

By re-reading the longest-unchecked records. That they are found, whatever they are, and that two runs in a row stay
cheap: `tests/end_to_end/test_reconcile.py`. Here: the bound is true, and no more than twice the truth.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.conftest import Warehouse
from tests.promises.conftest import VirtualApp

from dashly.endpoints import DEFAULT_RESOURCES, LISTS
from dashly_sync.memory import open_warehouse, read_memory
from dashly_sync.recheck import Recheck
from dashly_sync.status import read_status

ALL, SOAK = DEFAULT_RESOURCES, pytest.mark.soak
DAY = 86_400.0


def recheck(app: VirtualApp) -> Recheck:
    """What `status` says."""
    found = read_status(app.settings, app.clock).recheck
    assert found is not None
    return found


def oldest_check(app: VirtualApp, warehouse: Warehouse) -> float:
    """Unix seconds: of all parents, and of the lists, of which two walks have to miss what is gone."""
    with open_warehouse(app.settings) as connection:
        memory = read_memory(connection)
    lists = [(memory.coverage(name).read_twice_at or 0) / 1e6 for name in app.resources if name in LISTS]
    (children,) = warehouse.sql("select min(checked_at) from sync_progress")[0]
    return min(children.timestamp(), *lists)


QUICK = ("users", "events")


@pytest.mark.parametrize(
    ("every", "allowed", "resources", "account"),
    [
        pytest.param(DAY, 6, QUICK, {"users": 16, "conversations": 0}, id="daily"),
        pytest.param(3600, 3, ALL, {"users": 9, "conversations": 7}, id="every hour", marks=SOAK),
        pytest.param(3 * DAY, 20, ALL, {"users": 60, "conversations": 30}, id="twice a week", marks=SOAK),
    ],
)
def test_the_bound_that_status_states_holds_and_is_at_most_twice_the_truth(
    every: float,
    allowed: int,
    resources: tuple[str, ...],
    account: dict[str, float],
    duckdb_warehouse: Warehouse,
    tmp_path: Path,
) -> None:
    """With an allowance too small to read everything again at once: so many requests a run, so much time apart."""
    share = allowed / min(every, DAY)  # of one request a second
    app = VirtualApp(duckdb_warehouse, tmp_path / "state", share, resources, events_per_user=8.0, **account)
    app.sync()
    app.clock.advance(every)
    app.sync()
    began, due, stated = app.clock.now(), app.clock.monotonic(), recheck(app)
    while oldest_check(app, duckdb_warehouse) <= began:
        assert app.clock.now() - began < 365 * DAY, "never"
        due += every
        app.clock.advance(due - app.clock.monotonic())
        app.sync()
    took = app.clock.now() - began

    assert stated.bound_seconds is not None
    assert took <= stated.bound_seconds <= 2 * took, (took / DAY, stated)


def test_where_there_is_no_bound_status_says_why(duckdb_warehouse: Warehouse, tmp_path: Path) -> None:
    """A load that is not complete, runs that end before their allowance is spent, a share of nothing."""
    app = VirtualApp(duckdb_warehouse, tmp_path / "state", 0.1, QUICK, users=4, conversations=0)
    assert read_status(app.settings, app.clock).recheck is None

    app.sync(max_requests=2)
    loading = recheck(app)
    app.sync()
    loaded = recheck(app)
    app.clock.advance(DAY)
    app.sync(max_requests=1)  # the look at the head
    starved = recheck(app)
    app.clock.advance(DAY)
    app.sync(max_requests=2)
    slow = recheck(app)
    app.settings = replace(app.settings, reconcile_share=0.0)
    never = recheck(app)

    none = [one.bound_seconds for one in (loading, starved, never)]
    assert [None, None, None] == none
    assert loading.because.startswith("none yet, what is missing comes first: the children of ")
    assert loaded.bound_seconds is not None
    assert loaded.bound_seconds <= 2 * DAY + 60
    assert starved.because.startswith("none by the last runs; 8,640 allowed ones are unspent: runs end before (--max-")
    assert 3 * DAY < (slow.bound_seconds or 0) < 30 * DAY
    assert "as the last runs spent" in slow.because
    assert "never: --reconcile-share is 0" == never.because
    assert slow.oldest_checked_at == never.oldest_checked_at
