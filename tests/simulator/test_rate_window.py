"""The limit of 60 requests a minute, in each way that a server might count it; time is virtual."""

import pytest

from dashly_simulator import Simulator, SimulatorSettings

START = 1_793_491_200.0  # 2026-11-01T00:00:00Z, a whole minute


def statuses(sim, times):
    params = {"auth_token": sim.settings.auth_token}
    return [sim.answer("GET", "/v1/apps/1/channels", params, now=START + time).status for time in times]


def limited(window, **settings):
    return Simulator(SimulatorSettings(users=1, conversations=0, rate_limit="3/60", rate_window=window, **settings))


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        # asked at 0, 50, 55, 58, 61, 62, 115
        ("fixed", [200, 200, 200, 429, 200, 200, 200]),
        ("sliding", [200, 200, 200, 429, 200, 429, 200]),
        ("bucket", [200, 200, 200, 200, 429, 429, 200]),
    ],
)
def test_each_window_counts_in_its_own_way(window, expected):
    assert expected == statuses(limited(window), [0, 50, 55, 58, 61, 62, 115])


@pytest.mark.parametrize(("window", "expected"), [("fixed", 200), ("sliding", 429), ("bucket", 429)])
def test_rejected_calls_use_up_the_limit_when_set_so(window, expected):
    sim = limited(window, rejected_calls_count=True)

    assert (
        statuses(sim, [1, 1, 1, 55, 55, 55] if window != "bucket" else [1, 1, 1, 19, 19, 19]) == [200] * 3 + [429] * 3
    )
    assert [expected] == statuses(sim, [62 if window != "bucket" else 38])


@pytest.mark.parametrize(("window", "wait"), [("fixed", "50"), ("sliding", "60"), ("bucket", "20")])
def test_retry_after_says_when_the_next_call_is_admitted(window, wait):
    sim = limited(window, retry_after=True)
    params = {"auth_token": sim.settings.auth_token}
    statuses(sim, [10, 10, 10])
    refused = sim.answer("GET", "/v1/apps/1/channels", params, now=START + 10)

    assert (429, wait) == (refused.status, refused.headers["Retry-After"])
    assert statuses(sim, [10 + int(wait)]) == [200]


def test_a_refusal_has_the_documented_name_and_no_header_unless_set(served):
    reader = served(rate_limit="1/60")
    reader.get("/apps/1/channels")
    refused = reader.get("/apps/1/channels")

    assert (refused.status_code, refused.json()["meta"]["error"]) == (429, "TooManyRequests")
    assert "Retry-After" not in refused.headers


def test_the_virtual_clock_opens_the_window_again(served):
    reader = served(rate_limit="1/60")
    before = [reader.get("/apps/1/channels").status_code for _ in range(2)]
    reader.sim.clock.advance(60)

    assert [*before, reader.get("/apps/1/channels").status_code] == [200, 429, 200]


def test_a_wrong_token_has_no_part_in_the_limit():
    sim = limited("sliding")
    for _ in range(10):
        sim.answer("GET", "/v1/apps/1/channels", {"auth_token": "other"}, now=START)

    assert statuses(sim, [0, 0, 0, 0]) == [200] * 3 + [429]
