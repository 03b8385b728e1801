"""What is written down of each call, whatever becomes of it, and what the next push then sends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from dashly_activation.plan import Plan, PlanCounts
from dashly_activation.rows import Kind, Request
from dashly_activation.sender import Answered, Api, NotSent, Outcome, Sender, Tally
from dashly_state.clock import VirtualClock
from dashly_state.push_ledger import PushLedger, Status

PUSH = "p"
TAKEN = Answered(Outcome.TAKEN)
REFUSED = Answered(Outcome.REFUSED, "LookupError")
UNCERTAIN = Answered(Outcome.UNCERTAIN, "reset", error=OSError("reset"))
UNREACHED = Answered(Outcome.UNREACHED, "no connection", error=OSError("no connection"))


class Scripted(Api):
    """Answers in turn as it is told, and well when nothing is told any more."""

    def __init__(self, *answers: Answered | Exception | type[BaseException], most_operations: int = 2) -> None:
        self.answers, self.most_operations = list(answers), most_operations
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def send(self, kind: Kind, request: Request, content: Mapping[str, Any]) -> Answered:
        assert kind
        self.calls.append((request.user, dict(content)))
        answer = self.answers.pop(0) if self.answers else TAKEN
        if isinstance(answer, Answered):
            return answer
        raise answer


class Desk:
    """A ledger, and pushes of rows against it."""

    def __init__(self, ledger: PushLedger) -> None:
        self.ledger, self.counts = ledger, PlanCounts()
        self.clock = VirtualClock()

    def push(self, api: Api, *requests: Request, kind: Kind = "props", stop: str = "") -> Tally:
        self.ledger.abandon(PUSH, "killed", self.clock.now())
        with Plan(kind, PUSH, self.ledger, api.most_operations) as plan:
            plan.add(
                [{"number": number} for number in range(len(requests))], lambda row: requests[row["number"]], "", 1
            )
            self.counts = plan.counts()
            return Sender(kind, PUSH, self.ledger, api, lambda: stop, self.clock).send_all(plan.items())

    def retry(self, api: Api, status: Status, kind: Kind = "props") -> Tally:
        with Plan(kind, PUSH, self.ledger, api.most_operations) as plan:
            plan.add_open(status)
            return Sender(kind, PUSH, self.ledger, api, clock=self.clock).send_all(plan.items())

    def statuses(self) -> dict[str, int]:
        return {str(status): count for status, count in self.ledger.counts(PUSH).items()}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with PushLedger(tmp_path / "push.sqlite") as ledger:
        yield Desk(ledger)


def props(user: int, **content: Any) -> Request:
    listed = {key: value if isinstance(value, list) else ["update_or_create", value] for key, value in content.items()}
    return Request(f"id {user}", str(user), False, listed)


def event(key: str, name: str = "Paid") -> Request:
    return Request(key, "1", False, {"event": name, "created": "2026-01-01T00:00:00+00:00", "params": {}})


def test_only_what_changed_is_sent_again(desk: Desk) -> None:
    desk.push(Scripted(), props(1, plan="pro", health=7), props(2, plan="free"))

    api = Scripted()
    tally = desk.push(api, props(1, plan="pro", health=8), props(2, plan="free"))

    assert [("1", {"health": ["update_or_create", 8]})] == api.calls
    assert (1, 1) == (tally.sent, desk.counts.unchanged)


def test_many_properties_are_several_calls_and_each_is_remembered(desk: Desk) -> None:
    """Ended between its calls, a row goes on with the next one."""
    first = Scripted(TAKEN, UNREACHED)
    assert 1 == desk.push(first, props(1, a=1, b=2, c=3)).postponed

    second = Scripted()
    desk.push(second, props(1, a=1, b=2, c=3))

    assert [("1", {"c": ["update_or_create", 3]})] == second.calls
    assert {"acknowledged": 1} == desk.statuses()


def test_a_refused_row_stops_nothing_and_waits_for_a_retry_or_a_change(desk: Desk) -> None:
    tally = desk.push(Scripted(REFUSED), props(1, plan="pro"), props(2, plan="pro"))
    assert (1, 1, 2) == (tally.sent, tally.refused, tally.calls)

    unchanged = Scripted()
    desk.push(unchanged, props(1, plan="pro"), props(2, plan="pro"))
    assert ([], 1) == (unchanged.calls, desk.counts.refused)

    again = Scripted(REFUSED)
    desk.retry(again, Status.REFUSED)
    changed = Scripted()
    desk.push(changed, props(1, plan="team"), props(2, plan="pro"))

    assert [[("1", {"plan": ["update_or_create", "pro"]})], [("1", {"plan": ["update_or_create", "team"]})]] == [
        again.calls,
        changed.calls,
    ]
    assert {"acknowledged": 2} == desk.statuses()


def test_a_refused_row_that_wants_what_was_sent_before_is_well_again(desk: Desk) -> None:
    for api, plan in ((Scripted(), "pro"), (Scripted(REFUSED), "team"), (Scripted(), "pro")):
        desk.push(api, props(1, plan=plan))

    assert ({"acknowledged": 1}, []) == (desk.statuses(), api.calls)


def test_properties_in_doubt_are_set_again_but_nothing_is_added_twice(desk: Desk) -> None:
    row = props(1, plan="pro", credits=["add", 5])
    assert 1 == desk.push(Scripted(UNCERTAIN), row).uncertain

    api = Scripted()
    desk.push(api, row)
    assert [("1", {"plan": ["update_or_create", "pro"]})] == api.calls
    assert {"uncertain": 1} == desk.statuses()

    silent = Scripted()
    desk.push(silent, row)
    assert ([], 1) == (silent.calls, desk.counts.uncertain)

    resolved = Scripted()
    desk.retry(resolved, Status.UNCERTAIN)
    assert [("1", {"credits": ["add", 5]})] == resolved.calls
    assert {"acknowledged": 1} == desk.statuses()


def test_what_may_be_there_is_sent_again_although_the_value_is_the_old_one(desk: Desk) -> None:
    """Dashly may hold `team` by now."""
    desk.push(Scripted(), props(1, plan="pro"))
    desk.push(Scripted(UNCERTAIN), props(1, plan="team"))

    api = Scripted()
    desk.push(api, props(1, plan="pro"))

    assert [("1", {"plan": ["update_or_create", "pro"]})] == api.calls
    assert {"acknowledged": 1} == desk.statuses()


def test_an_operation_that_the_api_ignored_is_a_refused_one(desk: Desk) -> None:
    ignored = Answered(Outcome.TAKEN, "does not fit", frozenset({"credits"}))

    tally = desk.push(Scripted(ignored), props(1, plan="pro", credits=["add", 5]))

    assert (0, 1) == (tally.sent, tally.refused)
    again = Scripted()
    desk.retry(again, Status.REFUSED)
    assert [("1", {"credits": ["add", 5]})] == again.calls


def test_an_event_is_never_sent_twice_by_itself(desk: Desk) -> None:
    api = Scripted(TAKEN, UNCERTAIN, REFUSED)
    desk.push(api, event("a"), event("b"), event("c"), kind="events")
    assert {"acknowledged": 1, "uncertain": 1, "refused": 1} == desk.statuses()

    again = Scripted()
    desk.push(again, event("a", "Renamed"), event("b"), event("c"), kind="events")
    assert [] == again.calls

    desk.push(again, event("c", "Mended"), kind="events")
    assert ["Mended"] == [content["event"] for _, content in again.calls]


def test_killed_while_a_request_was_under_way_it_is_uncertain(desk: Desk) -> None:
    with pytest.raises(KeyboardInterrupt):
        desk.push(Scripted(TAKEN, KeyboardInterrupt), event("a"), event("b"), event("c"), kind="events")

    api = Scripted()
    desk.push(api, event("a"), event("b"), event("c"), kind="events")

    assert (1, 1) == (len(api.calls), desk.counts.uncertain)
    assert {"acknowledged": 2, "uncertain": 1} == desk.statuses()


@pytest.mark.parametrize("answer", [UNCERTAIN, UNREACHED], ids=["uncertain", "unreached"])
def test_three_calls_in_a_row_without_an_answer_end_it(desk: Desk, answer: Answered) -> None:
    api = Scripted(answer, TAKEN, answer, answer, answer)

    tally = desk.push(api, *(event(str(number)) for number in range(9)), kind="events")

    assert (5, "failed", answer.error) == (len(api.calls), tally.ending, tally.error)
    assert (answer is UNREACHED) == ("uncertain" not in desk.statuses())


def test_a_refused_token_ends_it_and_leaves_no_trace(desk: Desk) -> None:
    with pytest.raises(PermissionError):
        desk.push(Scripted(TAKEN, NotSent(PermissionError("401"))), event("a"), event("b"), kind="events")

    assert {"acknowledged": 1} == desk.statuses()


def test_it_stops_before_a_call_when_it_is_told_to(desk: Desk) -> None:
    api = Scripted()

    assert "signal" == desk.push(api, event("a"), kind="events", stop="signal").ending
    assert ([], {}) == (api.calls, desk.statuses())


def test_rows_that_contradict_each_other_are_set_aside_and_equal_ones_are_one(desk: Desk) -> None:
    api = Scripted()
    desk.push(api, props(1, plan="pro"), props(2, plan="a"), props(1, plan="pro"), props(2, plan="b"))

    assert [("1", {"plan": ["update_or_create", "pro"]})] == api.calls
    assert (2, 1) == (desk.counts.unsendable, len(desk.ledger.with_status(PUSH, Status.UNSENDABLE)))
