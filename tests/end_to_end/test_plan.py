"""`dashly-sync plan`: what a run costs, known before it starts, for eight requests at most."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.conftest import Warehouse
from tests.end_to_end.conftest import UNLIMITED, Account

from dashly.endpoints import DEFAULT_RESOURCES
from dashly.reconcile import DEFAULT_SHARE
from dashly_simulator import Simulator, SimulatorSettings, serve
from dashly_state.budget import RateLimit
from dashly_state.clock import VirtualClock
from dashly_sync.cli import cli
from dashly_sync.density import Certainty
from dashly_sync.pace import Pace
from dashly_sync.plan import MOST_REQUESTS, WITHIN_FACTOR, Plan, make_plan

TINY = {"users": 20, "conversations": 15, "events_per_user": 20.0, "parts_per_conversation": 8.0}
LARGE = {"users": 5000, "conversations": 2000, "events_per_user": 60.0, "parts_per_conversation": 12.5}


def plan_of(app: Account, warehouse: Warehouse, pace: Pace | None = None, **settings: Any) -> Plan:
    """A plan at the time of the simulated account."""
    app.clock = VirtualClock(max(app.simulator.clock.now(), app.clock.now() if is_virtual(app) else 0.0))
    return make_plan(app.settings(warehouse, **settings), DEFAULT_RESOURCES, pace, app.clock)


def is_virtual(app: Account) -> bool:
    return isinstance(app.clock, VirtualClock)


def requests(plan: Plan) -> dict[str, int]:
    return {line.resource: line.requests for line in plan.lines}


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.soak)])
@pytest.mark.parametrize("size", [{}, LARGE, {**LARGE, "users_dialect": "offset"}], ids=["60", "5000", "by offset"])
def test_a_first_load_is_estimated_within_the_stated_factor(
    size: dict[str, Any], seed: int, account: Callable[..., Account], duckdb_warehouse: Warehouse
) -> None:
    """Nothing is synced: eight requests tell what 120 or 10,000 will be spent on."""
    app = account(**size, seed=seed)
    floor = app.simulator.floor_requests()

    plan = plan_of(app, duckdb_warehouse)

    assert plan.spent == app.cost() <= MOST_REQUESTS
    assert floor / WITHIN_FACTOR <= plan.requests <= floor * WITHIN_FACTOR
    assert -(-app.simulator.settings.users // 50) == requests(plan)["users"]
    assert Certainty.ESTIMATED is plan.certainty
    assert plan.sentence().startswith(f"About {plan.requests:,} requests: ")


def test_how_many_conversations_there_are_is_measured(
    account: Callable[..., Account], duckdb_warehouse: Warehouse
) -> None:
    """The API gives no total: the density of a few older pages tells, within a third."""
    app = account(**LARGE)

    found = requests(plan_of(app, duckdb_warehouse))["conversations"]

    assert 40 * 2 / 3 <= found <= 40 * 3 / 2


class NoTimeTokens(Simulator):
    """An API that takes only tokens of its own making: at any other it begins at the head of the list."""

    def answer(self, method: str, path: str, params: Mapping[str, Any] | None = None, *rest: Any) -> Any:
        made_up = "." not in (params or {}).get("after", ".")
        return super().answer(method, path, {**(params or {}), "after": None} if made_up else params, *rest)


def test_without_time_tokens_there_is_a_lower_bound(duckdb_warehouse: Warehouse, tmp_path: Path) -> None:
    """The documents do not promise that a time works as a page token: a plan then says `at least`."""
    simulator = NoTimeTokens(SimulatorSettings(**LARGE))
    with serve(simulator) as server:
        plan = plan_of(Account(simulator, server, tmp_path / "state"), duckdb_warehouse)

    line = next(line for line in plan.lines if line.resource == "conversations")
    assert (Certainty.AT_LEAST, Certainty.AT_LEAST) == (line.certainty, plan.certainty)
    assert "at least 50 conversations" in line.because
    assert plan.sentence().startswith("At least ")
    assert plan.spent <= MOST_REQUESTS


def test_nothing_new_costs_four(loaded: Callable[..., Account], duckdb_warehouse: Warehouse) -> None:
    """With a warehouse that is complete, two requests know it exactly."""
    app = loaded(**TINY)

    plan = plan_of(app, duckdb_warehouse)

    assert (4, 2, Certainty.EXACT) == (plan.requests, app.cost(), plan.certainty)


def test_what_changed_is_counted(loaded: Callable[..., Account], duckdb_warehouse: Warehouse) -> None:
    """Visits cost a request each, three new parts one, a single one a look at all pages: as the run then pays."""
    app = loaded(**TINY)
    app.reconcile_share = DEFAULT_SHARE * 60 / UNLIMITED.requests
    users = [row["id"] for row in app.simulator.truth.rows("users")]
    talks = [row["id"] for row in app.simulator.truth.rows("conversations") if row["parts_count"] > 2]
    for user in users[:3]:
        app.simulator.life.user_visits(user, events=2)
    app.simulator.life.reply(talks[0])
    app.simulator.life.reply(talks[1], parts=3)

    plan = plan_of(app, duckdb_warehouse)
    app.cost()
    app.sync(duckdb_warehouse)

    assert (10, 10) == (plan.requests, app.cost())
    assert {"events": 3, "parts": 1, "reconcile": 2}.items() <= requests(plan).items()


@pytest.mark.soak
def test_what_an_unfinished_load_has_left(account: Callable[..., Account], duckdb_warehouse: Warehouse) -> None:
    """Backlog from `sync_progress`, the rest of the open walks measured: about what the runs then pay."""
    app = account(users=160, conversations=110, events_per_user=60.0, parts_per_conversation=8.0)
    app.sync(duckdb_warehouse, max_requests=90)
    app.cost()

    plan = plan_of(app, duckdb_warehouse)
    spent = app.cost()
    app.sync(duckdb_warehouse)
    paid = app.cost()

    assert spent <= MOST_REQUESTS
    assert paid / 1.4 <= plan.requests <= paid * 1.4


def test_reading_again_counts_as_far_as_it_is_allowed(
    account: Callable[..., Account], duckdb_warehouse: Warehouse
) -> None:
    app = account(**TINY)
    app.clock = VirtualClock(app.simulator.clock.now())
    app.sync(duckdb_warehouse)
    app.clock.advance(7200.0)
    limit = {"rate_limit": RateLimit(60, 60.0)}

    allowed = plan_of(app, duckdb_warehouse, reconcile_share=0.002, **limit)
    never = plan_of(app, duckdb_warehouse, reconcile_share=0.0, **limit)
    app.cost()
    app.sync_at(duckdb_warehouse, "60/60", 0.002)

    assert (0, 14) == (requests(never)["reconcile"], requests(allowed)["reconcile"])
    assert allowed.requests == app.cost()


def test_a_schedule_that_never_finishes_says_so(account: Callable[..., Account], duckdb_warehouse: Warehouse) -> None:
    """Ten requests a quarter of an hour do not keep up with an account of which more changes in that time."""
    app = account(**LARGE, seed=4)
    limit = RateLimit.parse("60/60")

    slow = plan_of(app, duckdb_warehouse, Pace(900.0, 5.0), rate_limit=limit).fit
    fast = plan_of(app, duckdb_warehouse, Pace(900.0, 840.0), rate_limit=limit).fit

    assert slow is not None
    assert fast is not None
    assert (None, 5) == (slow.runs, slow.requests)
    assert "it never finishes. Give it more time (--max-time up to 15 min)" in slow.sentence()
    assert fast.runs is not None
    assert 8 <= fast.runs <= 24
    assert fast.arriving > slow.requests


def test_the_command(
    account: Callable[..., Account], duckdb_warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = account(**TINY)
    monkeypatch.setenv("DASHLY_DESTINATION", duckdb_warehouse.destination)
    monkeypatch.setenv("DASHLY_AUTH_TOKEN", app.simulator.settings.auth_token)
    monkeypatch.setenv("DASHLY_BASE_URL", app.server.base_url)
    monkeypatch.setenv("DASHLY_STATE_DIR", os.fspath(app.state_dir))

    said = CliRunner().invoke(cli, ["plan", "--json", "--only", "conversations,parts", "--every", "15m"])
    shown = CliRunner().invoke(cli, ["plan", "--only", "conversations"])
    wrong = CliRunner().invoke(cli, ["plan", "--max-time", "14m"])

    plan = json.loads(said.stdout)
    assert (0, {"conversations", "parts", "reconcile"}) == (said.exit_code, set(plan["resources"]))
    assert (True, 1) == (plan["schedule"]["finishes"], plan["spent"])
    assert (0, True) == (shown.exit_code, "This plan cost 1." in shown.stdout)
    assert (2, True) == (wrong.exit_code, "add --every" in wrong.output)
