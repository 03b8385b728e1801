"""The promise of `push`: killed at any request, each row has its effect once, or is reported as uncertain.

What is sent twice without harm is sent twice; what is not, is not, and a third push finds nothing to do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.conftest import Warehouse
from tests.end_to_end.conftest import Account, account
from tests.promises.conftest import Runs

__all__ = ["account"]

USERS = 3
Point = tuple[int, str]
SOME: list[Point] = [(2, "after")]
"""Around which request, and on which side of it."""


EVERY = [(at, when) for at in range(1, USERS + 1) for when in ("before", "after")]


@pytest.fixture
def runs(account: Callable[..., Account], duckdb_warehouse: Warehouse) -> Iterator[Runs]:
    app = account(users=USERS, conversations=0, events_per_user=1.0)
    duckdb_warehouse.sql("create table people (id text, number integer)")
    for number, user in enumerate(app.simulator.truth.rows("users")):
        duckdb_warehouse.sql(f"insert into people values ('{user['id']}', {number})")
    found = Runs(app, duckdb_warehouse)
    yield found
    found.close()


class Killed:
    """A push that is killed around a request, and goes on."""

    def __init__(self, runs: Runs, at: int, when: str) -> None:
        self._runs, self._at, self._when = runs, at, when
        self.mark = f"{at}{when}"
        """What tells its effects from those of the others on the same app."""

    def goes_on(self, kind: str, sql: str, operations: dict[str, str], row_key: tuple[str, ...] = ()) -> list[str]:
        """Returns the keys of the rows that are uncertain in the end."""
        warehouse, app = self._runs.warehouse, self._runs.app
        order = {"push": {"kind": kind, "sql": sql, "operations": operations, "row_key": row_key}}
        state = f"{kind} {self.mark}"
        assert "signal 9" == self._sync(state, order, kill_at=self._at, when=self._when)
        assert "exit 0" == self._sync(state, order)
        app.cost()
        assert ("exit 0", 0) == (self._sync(state, order), app.cost()), "the third push finds nothing to do"
        found = warehouse.rows("push_dead_letters")
        warehouse.sql("drop table push_dead_letters")
        assert all("killed" in letter["reason"] for letter in found)
        return [str(letter["row"]["id"]) for letter in found if letter["status"] == "uncertain"]

    def _sync(self, state: str, order: dict[str, Any], **how: object) -> str:
        return self._runs.sync(state, self._runs.warehouse.destination, **order, **how)


def test_killed_at_a_request_nothing_is_lost_and_nothing_twice(runs: Runs) -> None:
    """The cheap one: properties that may be set again, and one that may not, as an event may not."""
    check_props(runs, SOME)


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["events", "messages"])
def test_killed_at_every_request_each_event_and_message_is_there_once_or_uncertain(runs: Runs, kind: str) -> None:
    check_said(runs, kind, EVERY)


@pytest.mark.soak
def test_killed_at_every_request_each_property_is_set_and_nothing_is_added_twice(runs: Runs) -> None:
    """One user's do not fit into one call, so there is a request more than users."""
    check_props(runs, [*EVERY, (USERS + 1, "before"), (USERS + 1, "after")])


def check_said(runs: Runs, kind: str, points: list[Point]) -> None:
    for at, when in points:
        killed = Killed(runs, at, when)
        said = f"hello {killed.mark}"
        what = f"'{said}' as event, '2026-01-02' as created" if kind == "events" else f"'{said}' as body"

        uncertain = killed.goes_on(kind, f"select id, {what} from people order by number", {}, ("id",))

        there = Counter(_said(runs, kind, said))
        assert {1} == set(there.values()), "nothing twice"
        assert 1 == len(uncertain), "the one that was under way"
        assert (when == "after") == (uncertain[0] in there), "which nobody could know"
        assert USERS == len({*there, *uncertain}), "and all others once"


def check_props(runs: Runs, points: list[Point]) -> None:
    for at, when in points:
        killed = Killed(runs, at, when)
        mark = killed.mark
        many = ", ".join(f"case number when 1 then {i} end as p{mark}_{i}" for i in range(260))
        few = f"5 as credits{mark}, 'pro' as plan{mark}, ['a'] as tags{mark}"
        operations = {f"credits{mark}": "add", f"tags{mark}": "union"}

        uncertain = killed.goes_on("props", f"select id, {few}, {many} from people order by number", operations)

        cards = {str(row["user_id"]): row["props_custom"] for row in runs.app.simulator.truth.rows("user_details")}
        added = {user: card.get(f"credits{mark}") for user, card in cards.items()}
        assert {("pro", "a")} == {(card[f"plan{mark}"], *card[f"tags{mark}"]) for card in cards.values()}
        assert 260 == sum(key.startswith(f"p{mark}_") for card in cards.values() for key in card)
        assert all(5 == added[user] for user in added.keys() - set(uncertain)), "each once"
        assert all(added[user] in (None, 5) for user in uncertain), "not twice"
        assert len(uncertain) <= 1


def _said(runs: Runs, kind: str, said: str) -> list[str]:
    """Whose cards say so, one for each time."""
    truth = runs.app.simulator.truth
    if kind == "events":
        return [str(row["user_id"]) for row in truth.rows("events") if row["name"] == said]
    talks = {row["id"]: str(row["user_id"]) for row in truth.rows("conversations")}
    return [talks[row["conversation_id"]] for row in truth.rows("parts") if row["body"] == said]
