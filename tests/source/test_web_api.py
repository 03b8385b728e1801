"""The promise: each of the API's twenty methods works from Python, and a value that makes no sense costs no request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import requests

from dashly import DashlyClient, Operation
from dashly.errors import DashlyError, InvalidArgument, RecordGone, Uncertain
from dashly.web_api import MOST_OPERATIONS, OPERATIONS, PropsChange
from dashly_simulator import Simulator, SimulatorSettings, serve
from dashly_simulator.endpoints import ENDPOINTS
from dashly_state.budget import RateLimit, RequestBudget
from dashly_state.clock import VirtualClock

ADMIN, OTHER_ADMIN = "14701", "14700"
IN_2020 = datetime(2020, 9, 13, 12, 26, 40, 250_000, tzinfo=UTC)


@dataclass
class Account:
    """A simulated account behind a real HTTP server, and a client of it."""

    sim: Simulator
    client: DashlyClient

    def rows(self, table: str) -> list[dict[str, Any]]:
        """What is true."""
        return list(self.sim.truth.rows(table, with_details=True))

    def row(self, table: str, **key: str) -> dict[str, Any]:
        (found,) = (row for row in self.rows(table) if key.items() <= row.items())
        return found

    @property
    def user(self) -> str:
        """The user who was seen last."""
        return str(self.client.list_users(count=1).records[0]["id"])

    @property
    def talk(self) -> str:
        """An open conversation with tags to come, and an assignee."""
        talks = self.client.list_conversations(closed=False).records
        return next(str(talk["id"]) for talk in talks if talk["assignee"] and talk["parts_count"] > 1)

    def newest_part(self, talk: str) -> dict[str, Any]:
        return dict(self.client.list_parts(talk, count=1).records[0])

    def cost(self) -> int:
        """Requests since this was asked last."""
        total = self.sim.requests.total
        self.sim.requests.reset()
        return total


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    sim = Simulator(
        SimulatorSettings(users=60, conversations=70, events_per_user=5.0, created_format="float", stall_seconds=0.6)
    )
    path = tmp_path_factory.mktemp("budget") / "budget.sqlite"
    with (
        serve(sim) as server,
        RequestBudget(path, sim.settings.auth_token, RateLimit(100_000, 60.0)) as budget,
        DashlyClient(sim.settings.auth_token, budget, base_url=server.base_url) as client,
    ):
        yield Account(sim, client)


@pytest.fixture
def account(served: Account) -> Iterator[Account]:
    served.cost()
    yield served
    served.sim.faults.clear()


# ---- the nine GETs


def test_users_come_page_by_page_last_seen_first(account: Account) -> None:
    page = account.client.list_users()
    rest = account.client.list_users(after=page.next_token)
    listed = [str(user["id"]) for user in (*page.records, *rest.records)]

    assert (50, None) == (len(page.records), rest.next_token)
    assert {row["id"] for row in account.rows("users")} == set(listed)
    assert 2 == account.cost()


def test_active_users_are_those_on_the_site(account: Account) -> None:
    account.client.set_presence(account.user, "online")

    assert account.user in {str(active["id"]) for active in account.client.list_active_users().records}


def test_conversations_are_listed_with_those_of_nobody(account: Account) -> None:
    listed = {str(talk["id"]): talk for talk in account.client.every(account.client.list_conversations)}
    without = list(account.client.every(account.client.list_conversations, include_not_assigned=False))

    assert {row["id"] for row in account.rows("conversations")} == set(listed)
    assert {talk for talk, row in listed.items() if row["assignee"]} == {str(row["id"]) for row in without}


def test_conversations_are_listed_by_what_is_asked_for(account: Account) -> None:
    account.client.tag(account.talk, "vip")
    by_tag = account.client.list_conversations(tags=["vip"]).records
    of_admin = account.client.list_conversations(assigned=ADMIN, include_not_assigned=False, closed=True).records

    assert [["vip"]] == [[tag for tag in talk["tags"] if tag == "vip"] for talk in by_tag]
    assert {(int(ADMIN), True)} == {(talk["assignee"]["id"], talk["closed"]) for talk in of_admin}


def test_channels_are_listed(account: Account) -> None:
    listed = account.client.list_channels()

    assert {row["id"] for row in account.rows("channels")} == {str(channel["id"]) for channel in listed.records}
    assert listed.next_token is None


def test_a_conversation_is_read_by_its_id(account: Account) -> None:
    talk = account.talk

    assert talk == str(account.client.get_conversation(int(talk))["id"])


def test_parts_come_newest_first(account: Account) -> None:
    talk = account.talk
    found = [int(part["id"]) for part in account.client.every(account.client.list_parts, talk, count=2)]
    expected = {int(row["id"]) for row in account.rows("parts") if row["conversation_id"] == talk}

    assert sorted(expected, reverse=True) == found


def test_a_user_is_read_with_what_is_asked_for(account: Account) -> None:
    whole = account.client.get_user(account.user)
    brief = account.client.get_user(account.user, fields=["tags"], props=False)

    assert {"props", "props_custom", "events", "tags"} <= whole.keys()
    assert not {"props", "props_custom", "events"} & brief.keys()


def test_a_user_is_found_by_the_customers_own_id(account: Account) -> None:
    account.client.track_event("shop/7 ü", "a", by_user_id=True)
    user = account.client.get_user("shop/7 ü", by_user_id=True)

    assert "shop/7 ü" == user["user_id"]
    assert 1 == len(account.client.list_events("shop/7 ü", by_user_id=True).records)
    assert [] == account.client.list_user_conversations("shop/7 ü", by_user_id=True).records


def test_events_come_newest_first_and_by_name(account: Account) -> None:
    user = account.user
    account.client.track_event(user, "sought")
    account.client.track_event(user, "other")
    newest = account.client.list_events(user, count=1).records
    sought = account.client.list_events(user, filter_name="sought").records

    assert ["other"] == [event["type"]["name"] for event in newest]
    assert ["sought"] == [event["type"]["name"] for event in sought]


def test_a_users_conversations_are_listed(account: Account) -> None:
    talk = account.row("conversations", id=account.talk)
    listed = account.client.list_user_conversations(talk["user_id"]).records

    assert {row["id"] for row in account.rows("conversations") if row["user_id"] == talk["user_id"]} == {
        str(one["id"]) for one in listed
    }


# ---- the eleven POSTs


def test_a_reply_is_the_newest_part(account: Account) -> None:
    talk = account.talk
    replied = account.client.reply(talk, "Готово 👍 & more=1", from_admin=ADMIN, random_id=7)
    part = account.newest_part(talk)

    assert replied == str(part["id"])
    assert ("Готово 👍 & more=1", "reply_admin", int(ADMIN)) == (part["body"], part["type"], part["from"]["id"])


def test_a_reply_may_be_a_note_or_the_users_and_assign_the_conversation(account: Account) -> None:
    talk = account.talk
    user = account.row("conversations", id=talk)["user_id"]
    account.client.reply(talk, "b", type="note", from_admin=ADMIN, auto_assign=OTHER_ADMIN, auto_assign_random_id=1)
    note = account.newest_part(talk)
    account.client.reply(talk, "c", from_user=user)

    assert "note" == note["type"]
    assert OTHER_ADMIN == str(account.client.get_conversation(talk)["assignee"]["id"])
    assert ("reply_user", user) == (account.newest_part(talk)["type"], str(account.newest_part(talk)["from"]))


def test_a_conversation_is_marked_as_read(account: Account) -> None:
    talk = next(row["id"] for row in account.rows("conversations") if row["unread_parts_count"])
    account.client.mark_read(talk)

    assert 0 == account.row("conversations", id=talk)["unread_parts_count"]


def test_typing_changes_nothing(account: Account) -> None:
    talk = account.talk
    before = account.client.get_conversation(talk)
    account.client.set_typing(talk, body="gu", from_admin=ADMIN)

    assert before == account.client.get_conversation(talk)
    assert 1 == account.sim.requests.by_endpoint["POST /conversations/{id}/settyping"]


def test_a_conversation_is_assigned_and_taken_off_everybody(account: Account) -> None:
    talk = account.talk
    account.client.assign(talk, OTHER_ADMIN, from_admin=ADMIN, random_id=3)
    account.client.assign(talk, ADMIN)
    assigned = account.row("conversations", id=talk)["assignee_id"]
    account.client.assign(talk, None)

    assert ADMIN == assigned
    assert account.row("conversations", id=talk)["assignee_id"] is None


def test_a_tag_is_put_on_and_taken_off(account: Account) -> None:
    talk = account.talk
    account.client.tag(talk, "срочно", from_admin=ADMIN)
    tagged = account.client.get_conversation(talk)["tags"]
    account.client.tag(talk, "срочно", action="delete")

    assert "срочно" in tagged
    assert "срочно" not in account.client.get_conversation(talk)["tags"]


def test_a_conversation_is_closed(account: Account) -> None:
    talk = account.talk
    account.client.close_conversation(talk, from_admin=ADMIN)
    account.client.close_conversation(talk)

    assert account.client.get_conversation(talk)["closed"]


def test_an_event_is_tracked_with_its_own_time(account: Account) -> None:
    user = account.user
    tracked = account.client.track_event(user, "Купил слона", {"цена": 7}, created=IN_2020)
    event = account.row("events", id=tracked)

    assert (user, "Купил слона", IN_2020) == (event["user_id"], event["name"], event["created_at"])
    assert {"цена": 7} == account.client.list_events(user, count=1).records[0]["props"]


def test_a_time_of_another_zone_is_the_same_moment(account: Account) -> None:
    there = IN_2020.astimezone(timezone(timedelta(hours=-5)))
    tracked = account.client.track_event(account.user, "a", created=there)

    assert IN_2020 == account.row("events", id=tracked)["created_at"]


def test_properties_are_set_added_to_and_deleted(account: Account) -> None:
    user = account.user
    operations = [Operation(op, f"of {op}", 2) for op in OPERATIONS if op != "delete"]
    done = account.client.set_user_props(user, [*operations, Operation("delete", "of set_once")])
    again = [Operation("add", "of add", 40.5), Operation("add", "of union", 1)]
    done_again = account.client.set_user_props(user, again)
    props = account.client.get_user(user)["props_custom"]

    assert {f"of {op}" for op in OPERATIONS} - {"of exclude", "of set_once", "of delete"} <= set(done.affected)
    assert PropsChange(("of add",), ({"op": "add", "key": "of union", "value": 1},)) == done_again
    assert (42.5, [2], False) == (props["of add"], props["of union"], "of set_once" in props)


def test_as_many_operations_as_the_api_takes_go_in_one_call(account: Account) -> None:
    user = account.user
    account.cost()
    account.client.set_user_props(user, [Operation("add", "n", 1)] * MOST_OPERATIONS)

    assert 1 == account.cost()
    assert 250 == account.client.get_user(user)["props_custom"]["n"]


def test_a_heartbeat_moves_last_seen(account: Account) -> None:
    user = account.rows("users")[0]["id"]
    account.sim.clock.advance(10)
    account.client.set_presence(user, "idle", session="0123456789abcdef0123456789abcdef")

    assert user == account.user
    assert "idle" == account.row("users", id=user)["presence"]


def test_a_message_starts_a_conversation(account: Account) -> None:
    sent = account.client.send_message(account.user, "Привет", type="popup_big")
    talk = account.client.get_conversation(sent["conversation"])

    assert ("popup_big", sent["message"]) == (talk["type"], str(talk["message"]))


def test_a_user_starts_a_conversation(account: Account) -> None:
    begun = account.client.start_conversation(account.user, "Здравствуйте", random_id=17, referrer="https://a.example/")

    assert ("Здравствуйте", "reply_user") == tuple(account.newest_part(begun)[name] for name in ("body", "type"))


def test_every_method_of_the_page_was_called(served: Account) -> None:
    """And nothing is left out: the client's methods, by what they ask for."""
    for name in CALLS:
        with suppress(DashlyError):
            CALLS[name](served.client)

    assert {f"{method} {path}" for path, methods in ENDPOINTS.items() for method in methods} <= set(
        served.sim.requests.by_endpoint
    )
    assert 20 == len(CALLS)


Call = Callable[[DashlyClient], Any]
CALLS: dict[str, Call] = {
    "list_users": lambda client: client.list_users(),
    "list_active_users": lambda client: client.list_active_users(),
    "list_conversations": lambda client: client.list_conversations(),
    "list_channels": lambda client: client.list_channels(),
    "get_conversation": lambda client: client.get_conversation(7),
    "list_parts": lambda client: client.list_parts(7),
    "get_user": lambda client: client.get_user(7),
    "list_events": lambda client: client.list_events(7),
    "list_user_conversations": lambda client: client.list_user_conversations(7),
    "reply": lambda client: client.reply(7, "a"),
    "mark_read": lambda client: client.mark_read(7),
    "set_typing": lambda client: client.set_typing(7),
    "assign": lambda client: client.assign(7, ADMIN),
    "tag": lambda client: client.tag(7, "a"),
    "close_conversation": lambda client: client.close_conversation(7),
    "track_event": lambda client: client.track_event(7, "a"),
    "set_user_props": lambda client: client.set_user_props(7, [Operation("delete", "a")]),
    "set_presence": lambda client: client.set_presence(7, "idle"),
    "send_message": lambda client: client.send_message(7, "a"),
    "start_conversation": lambda client: client.start_conversation(7, "a"),
}
"""Each method once, of a user and a conversation that nobody knows."""
OF_THE_APP = {"list_users", "list_active_users", "list_conversations", "list_channels"}


@pytest.mark.parametrize("name", [name for name in CALLS if name not in OF_THE_APP])
def test_an_id_that_nobody_knows_is_gone(account: Account, name: str) -> None:
    with pytest.raises(RecordGone, match="LookupError"):
        CALLS[name](account.client)

    assert 1 == account.cost()


# ---- values are checked before a request is spent

LONG = "a" * 256
WRONG: dict[str, Call] = {
    "an id of nothing": lambda client: client.mark_read(0),
    "an id beyond 64 bit": lambda client: client.mark_read(2**64),
    "an id that is negative": lambda client: client.mark_read(-1),
    "an id that is a word": lambda client: client.get_user("shop-7"),
    "an id that is a path": lambda client: client.get_conversation("7/parts"),
    "an id in other digits": lambda client: client.get_user("٧"),
    "an id that is true": lambda client: client.get_user(True),
    "an id that is a fraction": lambda client: client.get_user(7.0),
    "no customer's id": lambda client: client.track_event("", "a", by_user_id=True),
    "a customer's id of dots": lambda client: client.track_event("..", "a", by_user_id=True),
    "a long customer's id": lambda client: client.track_event(LONG, "a", by_user_id=True),
    "a page of none": lambda client: client.list_users(count=0),
    "a page of 51": lambda client: client.list_parts(7, count=51),
    "a page of a truth": lambda client: client.list_parts(7, count=True),
    "no page token": lambda client: client.list_users(after=""),
    "an order of another kind": lambda client: client.list_users(sort_order="up"),
    "filters that are a list": lambda client: client.list_users(filters=[]),
    "closed, and not a truth": lambda client: client.list_conversations(closed="no"),
    "a tag with a comma to list by": lambda client: client.list_conversations(tags=["a,b"]),
    "a field that no user has": lambda client: client.get_user(7, fields=["prop_custom"]),
    "no words": lambda client: client.reply(7, ""),
    "words that are none": lambda client: client.reply(7, None),
    "words that are no UTF-8": lambda client: client.reply(7, "a\ud800"),
    "a reply of another kind": lambda client: client.reply(7, "a", type="article"),
    "a reply of two": lambda client: client.reply(7, "a", from_admin=1, from_user=2),
    "a user's note": lambda client: client.reply(7, "a", type="note", from_user=2),
    "a random id below nothing": lambda client: client.reply(7, "a", random_id=-1),
    "two who type": lambda client: client.set_typing(7, from_admin=1, bot_name="b"),
    "an admin who is nobody": lambda client: client.assign(7, ""),
    "a tag with a comma": lambda client: client.tag(7, "a,b"),
    "a tag that is swapped": lambda client: client.tag(7, "a", action="swap"),
    "an event without a name": lambda client: client.track_event(7, ""),
    "an event with a long name": lambda client: client.track_event(7, LONG),
    "an event with a list": lambda client: client.track_event(7, "a", ["b"]),
    "an event with numbers as keys": lambda client: client.track_event(7, "a", {1: 2}),
    "an event with what JSON has not": lambda client: client.track_event(7, "a", {"at": IN_2020}),
    "an event with no number": lambda client: client.track_event(7, "a", {"b": float("nan")}),
    "an event without a time zone": lambda client: client.track_event(7, "a", created=datetime(2020, 1, 1)),  # noqa: DTZ001
    "an event of tomorrow": lambda client: client.track_event(7, "a", created=datetime.now(UTC) + timedelta(days=1)),
    "an event at a number": lambda client: client.track_event(7, "a", created=1_600_000_000),
    "no operations": lambda client: client.set_user_props(7, []),
    "251 operations": lambda client: client.set_user_props(7, [Operation("delete", "a")] * 251),
    "an operation of another kind": lambda client: client.set_user_props(7, [Operation("set", "a", 1)]),
    "an operation on nothing": lambda client: client.set_user_props(7, [Operation("add", "", 1)]),
    "an operation without a value": lambda client: client.set_user_props(7, [Operation("append", "a")]),
    "words that are added": lambda client: client.set_user_props(7, [Operation("add", "a", "1")]),
    "a value that JSON has not": lambda client: client.set_user_props(7, [Operation("set_once", "a", {1, 2})]),
    "a presence of another kind": lambda client: client.set_presence(7, "offline"),
    "a short session": lambda client: client.set_presence(7, "idle", session="abc"),
    "a message of another kind": lambda client: client.send_message(7, "a", type="sms"),
    "a message without words": lambda client: client.send_message(7, ""),
    "a conversation without words": lambda client: client.start_conversation(7, ""),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_value_that_makes_no_sense_costs_no_request(account: Account, wrong: str) -> None:
    with pytest.raises(InvalidArgument) as raised:
        WRONG[wrong](account.client)

    assert 0 == account.cost()
    assert isinstance(raised.value, ValueError)
    assert raised.value.mend
    assert len(str(raised.value)) < 300


# ---- a write whose answer does not come


class Impatient(requests.Session):
    def request(self, *args: Any, **options: Any) -> requests.Response:
        return super().request(*args, **{**options, "timeout": (5.0, 0.3)})


@contextmanager
def impatient(account: Account, folder: Path) -> Iterator[DashlyClient]:
    """A client of the account that waits for an answer 0.3 s, and for the budget in no time."""
    token, clock = account.sim.settings.auth_token, VirtualClock()
    with (
        Impatient() as session,
        RequestBudget(folder / "budget.sqlite", token, RateLimit(60, 60.0), clock) as budget,
        DashlyClient(token, budget, base_url=account.client.base_url, session=session, clock=clock) as client,
    ):
        yield client


@pytest.mark.parametrize(("fault", "took_effect"), [("reset", 0), ("500", 0), ("html502", 0), ("cut", 1), ("stall", 1)])
def test_a_write_without_an_answer_is_uncertain_and_sent_once(
    tmp_path: Path, served: Account, fault: str, took_effect: int
) -> None:
    user, before = served.user, len(served.rows("events"))
    served.cost()
    served.sim.faults.queue(fault)
    with impatient(served, tmp_path) as client, pytest.raises(Uncertain) as raised:
        client.track_event(user, "once")

    assert 1 == served.cost()
    assert took_effect == len(served.rows("events")) - before
    assert "look in Dashly before you send it again" in raised.value.mend
    assert served.sim.settings.auth_token not in str(raised.value)


def test_a_429_is_obeyed_and_the_write_sent_again_once(tmp_path: Path, served: Account) -> None:
    user, before = served.user, len(served.rows("events"))
    served.cost()
    served.sim.faults.queue("429_retry_after")
    with impatient(served, tmp_path) as client:
        client.track_event(user, "again")
        waited = client.budget.waited_seconds

    assert (2, 1) == (served.cost(), len(served.rows("events")) - before)
    assert 7.0 == pytest.approx(waited, abs=0.01)
