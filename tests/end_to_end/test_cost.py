"""What each situation costs, in requests that the server counted. Exact: a change of a number here is a decision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests
from tests.conftest import Warehouse
from tests.end_to_end.conftest import UNLIMITED, Account, assert_equal_to_truth

from dashly.reconcile import DEFAULT_SHARE
from dashly_state.clock import VirtualClock
from dashly_sync.run import Run, RunLimits
from dashly_sync.signals import StopSignal

LOOK = 4
"""The heads of the two lists, the channels, and who is there: what every run costs."""
README_ACCOUNT = {"users": 200, "conversations": 120, "events_per_user": 60.0, "parts_per_conversation": 12.5}
ONE_PAGE = {"users": 20, "conversations": 12}
"""An account whose lists fit on a page each."""
TWO_PAGES = {"users": 53, "conversations": 53, "parts_per_conversation": 1.0}
"""An account whose lists have two pages each."""
LISTS = ("users", "conversations")
NOT_LISTS = ("events", "event_types", "parts", "part_attachments", "admins", "channels")


def cost_of(app: Account, warehouse: Warehouse, *resources: str, **limits: Any) -> int:
    """The requests of one run."""
    app.cost()
    app.sync(warehouse, *([resources] if resources else []), **limits)
    return app.cost()


def test_the_costs_that_the_readme_names(account: Callable[..., Account], duckdb_warehouse: Warehouse) -> None:
    """A first load costs the floor, a run that finds nothing new 4, 5 % churn fewer than the 19 of the best peers.

    And one more for each conversation whose row brought its only new part along: an older one may have been edited.
    """
    app = account(**README_ACCOUNT)
    app.reconcile_share = DEFAULT_SHARE * 60 / UNLIMITED.requests
    floor = app.simulator.floor_requests()
    first = cost_of(app, duckdb_warehouse)
    nothing_new = cost_of(app, duckdb_warehouse)
    app.simulator.life.churn(0.05)
    reread = app.sync(duckdb_warehouse).reread
    churn = app.cost()

    assert (429, 429, LOOK, 18, 3) == (floor, first, nothing_new, churn - reread, reread)
    assert_equal_to_truth(app.simulator, duckdb_warehouse)


@pytest.mark.soak
def test_offset_pages_cost_one_in_fifty_more(account: Callable[..., Account], duckdb_warehouse: Warehouse) -> None:
    """The overlap of one record a page stays within 1.02 times the floor."""
    app = account(**README_ACCOUNT, users_dialect="offset")
    floor = app.simulator.floor_requests()

    app.sync(duckdb_warehouse)

    assert (429, 430) == (floor, app.cost())


# ---- what a list shows


def test_a_single_change_costs(account: Callable[..., Account], duckdb_warehouse: Warehouse) -> None:
    """4 for looking, and one for each parent whose children have to be asked for."""
    app = account(**ONE_PAGE)
    app.sync(duckdb_warehouse)
    costs = {}
    for deed in COSTS:
        _do(app, deed)
        costs[deed] = cost_of(app, duckdb_warehouse)

    assert COSTS == costs
    assert_equal_to_truth(app.simulator, duckdb_warehouse)


COSTS = {
    "nothing new": LOOK,
    "one new part": LOOK,  # the conversation's row carries it
    "three new parts in one conversation": LOOK + 1,
    "a tag": LOOK,  # makes one part
    "a user who came back": LOOK + 1,
    "an event from long ago": LOOK + 1,
    "a conversation and a user that are gone": LOOK,  # each list was read whole without it by the look
    "nothing new, which proves it": LOOK,  # it did not jump to the head behind the reader's back
}


def _do(app: Account, deed: str) -> None:
    life = app.simulator.life
    user, other = (row["id"] for row, _ in zip(app.simulator.truth.rows("users"), range(2), strict=False))
    short, *_, talk = _talks_by_length(app)
    deeds: dict[str, Callable[[], object]] = {
        "one new part": lambda: life.reply(talk),
        "three new parts in one conversation": lambda: life.reply(talk, parts=3),
        "a tag": lambda: life.tag(talk, "vip"),
        "a user who came back": lambda: life.user_visits(user, events=3),
        "an event from long ago": lambda: (life.backdated_event(user, days=900), life.user_visits(user)),
        "a conversation and a user that are gone": lambda: (life.delete_conversation(short), life.delete_user(other)),
    }
    deeds.get(deed, lambda: None)()


def _talks_by_length(app: Account) -> list[str]:
    return [row["id"] for row in sorted(app.simulator.truth.rows("conversations"), key=lambda row: row["parts_count"])]


# ---- what no list shows


def test_a_silent_change_costs_a_reading_of_everything(
    account: Callable[..., Account], duckdb_warehouse: Warehouse
) -> None:
    """Where to look is not known, so what it is makes no difference; the lists were read whole by the look."""
    app = account(**ONE_PAGE)
    first = cost_of(app, duckdb_warehouse)
    told_by_rows = sum(row["parts_count"] == 1 for row in app.simulator.truth.rows("conversations"))
    costs = {}
    for name, deed in _silent_deeds(app).items():
        deed()
        costs[f"{name}, unnoticed"] = cost_of(app, duckdb_warehouse)
        costs[name] = cost_of(app, duckdb_warehouse, full=True)
        assert_equal_to_truth(app.simulator, duckdb_warehouse)

    assert (39, 1) == (first, told_by_rows)
    # a first load, and the parts of the conversation that a first load has from the list
    assert dict.fromkeys(_silent_deeds(app), 40) == {name: cost for name, cost in costs.items() if ", " not in name}
    assert {LOOK} == {cost for name, cost in costs.items() if ", " in name}


def _silent_deeds(app: Account) -> dict[str, Callable[[], object]]:
    life, truth = app.simulator.life, app.simulator.truth
    user = list(truth.rows("users"))[-1]["id"]
    parts = [row["id"] for row in truth.rows("parts") if row["body"] and row["is_first"]]
    return {
        "an event without a visit": lambda: life.silent_event(user),
        "an edit": lambda: life.edit_part(parts[0]),
        "a message taken back": lambda: life.remove_part(parts[1]),
    }


def test_a_share_of_the_budget_is_all_that_is_spent_on_silent_changes(
    account: Callable[..., Account], duckdb_warehouse: Warehouse
) -> None:
    """The reading of everything, in two halves: 36 pages of children, 18 of them allowed by five hours at 60/60."""
    app = account(**ONE_PAGE)
    app.clock = VirtualClock(app.simulator.clock.now())
    app.sync(duckdb_warehouse)
    for deed in _silent_deeds(app).values():
        deed()
    app.cost()
    costs = []
    for _ in range(2):
        app.clock.advance(5 * 3600 + 1)
        app.sync_at(duckdb_warehouse, "60/60", 0.001)
        costs.append(app.cost())

    assert [LOOK + 18, LOOK + 18] == costs
    assert_equal_to_truth(app.simulator, duckdb_warehouse)


# ---- lists of more than a page


def test_ties_and_deletions_in_lists_of_two_pages_cost_both_lists_twice(
    account: Callable[..., Account], duckdb_warehouse: Warehouse
) -> None:
    """The second time the pages end elsewhere: so what ties hid is found, and what is missing is known to be gone."""
    app = account(**TWO_PAGES, tie_break="timestamp")
    first = cost_of(app, duckdb_warehouse, *LISTS)
    hidden = [len(list(app.simulator.truth.rows(name))) - duckdb_warehouse.count(name) for name in LISTS]
    ties = cost_of(app, duckdb_warehouse, *LISTS, full=True)

    assert_equal_to_truth(app.simulator, duckdb_warehouse, *NOT_LISTS)

    app.simulator.life.delete_conversation(_talks_by_length(app)[0])
    owners = {row["user_id"] for row in app.simulator.truth.rows("conversations")}
    app.simulator.life.delete_user(
        next(row["id"] for row in app.simulator.truth.rows("users") if row["id"] not in owners)
    )
    deletions = cost_of(app, duckdb_warehouse, *LISTS, full=True)
    proof = cost_of(app, duckdb_warehouse, *LISTS)

    assert [2, 2] == hidden
    assert 2 * 2 == first
    assert 2 + 2 * 2 * 2 == ties == deletions  # the heads, and two pages of two lists twice
    assert 2 == proof  # the heads
    assert_equal_to_truth(app.simulator, duckdb_warehouse, *NOT_LISTS)


class Meddling(requests.Session):
    """Does something once, when the first answer has come."""

    def __init__(self, deed: Callable[[], object]) -> None:
        super().__init__()
        self._deeds = [deed]

    def request(self, *args: Any, **other: Any) -> requests.Response:  # type: ignore[override]
        answer = super().request(*args, **other)
        if self._deeds:
            self._deeds.pop()()
        return answer


def meddled(app: Account, warehouse: Warehouse, resources: tuple[str, ...], deed: Callable[[], object]) -> int:
    """The requests of a run in which something happens between the first page and the next."""
    app.cost()
    with Meddling(deed) as session:
        Run(app.settings(warehouse), RunLimits(resources), StopSignal(), session=session).carry_out()
    return app.cost()


def test_what_jumps_to_the_head_while_the_list_is_read_costs_nothing_more(
    account: Callable[..., Account], duckdb_warehouse: Warehouse
) -> None:
    """It is not on the second page any more, and the next look finds it with one new part more than nobody held."""
    app = account(**TWO_PAGES)
    oldest = min(app.simulator.truth.rows("conversations"), key=lambda row: row["updated_at"])
    only = ("conversations", "parts")
    asked = sum(row["parts_count"] > 1 for row in app.simulator.truth.rows("conversations"))

    first = meddled(app, duckdb_warehouse, only, lambda: app.simulator.life.reply(oldest["id"]))
    held = duckdb_warehouse.count("conversations")
    then = cost_of(app, duckdb_warehouse, *only)

    assert 52 == held
    assert 2 + asked - (oldest["parts_count"] > 1) == first  # two pages, and parts that no row tells
    assert 1 + 1 == then  # the head, and the parts of a conversation that nobody has met
    assert_equal_to_truth(app.simulator, duckdb_warehouse, "users", "user_props", "events", "event_types", "channels")


def test_a_list_by_offset_that_loses_a_record_while_it_is_read_costs_two_pages_more(
    account: Callable[..., Account], duckdb_warehouse: Warehouse
) -> None:
    """What is behind it moves up: the second page shows that one is missing, then the first again, then the second."""
    app = account(**{**TWO_PAGES, "conversations": 0}, users_dialect="offset", ties=0)
    newest = max(app.simulator.truth.rows("users"), key=lambda row: str(row["last_seen_at"] or ""))

    first = meddled(app, duckdb_warehouse, ("users",), lambda: app.simulator.life.delete_user(newest["id"]))
    rest = {row["id"] for row in duckdb_warehouse.rows("users", ["id"])} - {newest["id"]}

    assert 2 + 2 == first
    assert {row["id"] for row in app.simulator.truth.rows("users")} == rest
