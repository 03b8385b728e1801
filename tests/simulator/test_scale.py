"""Large accounts cost little, because records are made when they are asked for."""

import subprocess
import sys
import time
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashly_simulator import Simulator, SimulatorSettings
from dashly_simulator.paging import Page, parse_time_token, time_token
from dashly_simulator.ranking import NOT_RANKED, Ranking
from dashly_simulator.timeline import spread_ms

LARGE = """
import resource
from dashly_simulator import Simulator, SimulatorSettings
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
sim = Simulator(SimulatorSettings(users=200_000, conversations=80_000))
params = {"auth_token": sim.settings.auth_token, "count": 50}
assert sim.answer("GET", "/v1/apps/1/users", params).status == 200
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.slow
def test_200000_users_take_seconds_and_less_than_150_megabytes():
    began = time.monotonic()
    output = subprocess.run([sys.executable, "-c", LARGE], capture_output=True, text=True, check=True, timeout=60)

    assert float(output.stdout) < 150
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("users", [5, 50, 500])
def test_the_mean_number_of_events_is_the_one_asked_for(users):
    sim = Simulator(SimulatorSettings(users=users, conversations=0, events_per_user=15))
    events = sum(1 for _ in sim.truth.rows("events"))

    assert 0.3 * 15 < events / users < 2.5 * 15


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(-1, 20)), max_size=40), st.integers(0, 21))
def test_a_ranking_is_a_sorted_list_whatever_happens(moves, bound):
    ranking, held = Ranking(array("q", [3, 0, NOT_RANKED, 3])), {0: 3, 1: 0, 3: 3}
    for index, time_us in moves:
        if time_us == NOT_RANKED:
            ranking.remove(index)
            held.pop(index, None)
        else:
            ranking.place(index, time_us)
            held[index] = time_us
    expected = sorted(((time_us, index) for index, time_us in held.items()), reverse=True)

    assert expected == list(ranking.below(None))
    assert [place for place in expected if place[0] < bound] == list(ranking.below(bound))
    assert [index for _, index in expected][2:5] == ranking.at(2, 3)


@given(st.integers(0, 10**17), st.integers(0, 2**23 - 1))
def test_a_token_of_a_tie_finds_its_place_again(time_us, index):
    page = Page([], (time_us, index), (time_us, 0))

    assert (time_us, index) == parse_time_token(time_token(page, "id"))
    assert (time_us, 0) == parse_time_token(time_token(page, "timestamp"))


@given(st.integers(1, 200), st.integers(0, 10**6), st.floats(0, 1, exclude_max=True))
def test_things_spread_over_a_span_never_share_a_millisecond(count, span, jitter):
    times = [spread_ms(0, span + 20 * count, count, ordinal, jitter) for ordinal in range(count)]

    assert sorted(set(times)) == times
    assert span + 20 * count == times[-1]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"users_dialect": "cursor"}, "choose one of 'after', 'offset'"),
        ({"rate_limit": "60"}, "requests/seconds"),
        ({"rate_limit": "0/60"}, "above 0"),
        ({"users": -1}, "must not be negative"),
        ({"legacy_ids": 1.0}, "a share"),
    ],
)
def test_settings_that_make_no_sense_are_told(settings, told):
    with pytest.raises(ValueError, match=told):
        SimulatorSettings(**settings)
