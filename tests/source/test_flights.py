"""How many requests a reader has on their way: one while answers are quick, and what they need when they are not."""

from __future__ import annotations

import pytest

from dashly.flights import MOST_IN_FLIGHT, Flights
from dashly_state.budget import RateLimit
from dashly_state.clock import VirtualClock


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def flights(clock: VirtualClock) -> Flights:
    return Flights(RateLimit(60, 60.0), clock)


def answered(flights: Flights, clock: VirtualClock, seconds: float) -> None:
    number = flights.depart()
    clock.advance(seconds)
    flights.land(number)


def test_with_quick_answers_a_second_request_waits_for_the_first(flights: Flights, clock: VirtualClock) -> None:
    answered(flights, clock, 0.99)
    assert flights.may_begin(0)
    flights.depart()

    assert not flights.may_begin(1)
    clock.advance(0.99)
    assert not flights.may_begin(1)


def test_one_that_is_late_lets_another_begin(flights: Flights, clock: VirtualClock) -> None:
    answered(flights, clock, 0.1)
    flights.depart()
    clock.advance(1.0)

    assert flights.may_begin(1)
    flights.depart()
    assert not flights.may_begin(2), "the other one is not late"


def test_with_slow_answers_they_leave_a_little_faster_than_the_pace(flights: Flights, clock: VirtualClock) -> None:
    answered(flights, clock, 3.0)
    for under_way in range(4):
        assert flights.may_begin(under_way)
        flights.depart()
        assert not flights.may_begin(under_way + 1), "not two in one instant"
        clock.advance(0.81)

    assert 4 == flights.away
    assert not flights.may_begin(4), "four are enough"


def test_while_one_waits_for_the_budget_no_other_begins(flights: Flights, clock: VirtualClock) -> None:
    answered(flights, clock, 3.0)
    clock.advance(1.0)
    assert not flights.may_begin(1)
    flights.depart()
    clock.advance(1.0)

    assert flights.may_begin(1)
    assert not flights.may_begin(2)


def test_one_that_failed_and_waits_to_be_sent_again_stops_nobody(flights: Flights) -> None:
    with flights.asleep():
        assert flights.may_begin(1)
        flights.depart()
        assert not flights.may_begin(2)
    assert not flights.may_begin(2)


def test_one_slow_answer_among_quick_ones_changes_nothing(flights: Flights, clock: VirtualClock) -> None:
    for seconds in (0.1, 0.1, 30.0):
        answered(flights, clock, seconds)
    flights.depart()
    clock.advance(0.9)

    assert not flights.may_begin(1)


def test_there_is_an_end_to_how_many(flights: Flights, clock: VirtualClock) -> None:
    answered(flights, clock, 60.0)
    for _ in range(MOST_IN_FLIGHT):
        clock.advance(1.0)
        flights.depart()
    clock.advance(200.0)

    assert not flights.may_begin(MOST_IN_FLIGHT)
