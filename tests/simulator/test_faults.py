"""Each fault is one that a real client meets, and then everything is as before."""

import time

import pytest
import requests

from dashly_simulator import Faults, Simulator, SimulatorAdapter, SimulatorSettings

LOST = {
    "cut": (requests.exceptions.ChunkedEncodingError,),
    "reset": (requests.exceptions.ConnectionError,),
    "stall": (requests.exceptions.ReadTimeout,),
}


@pytest.mark.parametrize(("kind", "status"), [("500", 500), ("429", 429), ("429_retry_after", 429)])
def test_faults_of_the_api_come_in_the_envelope(served, kind, status):
    reader = served()
    reader.sim.faults.queue(kind)
    response = reader.get("/apps/1/channels")

    assert (status, status) == (response.status_code, response.json()["meta"]["status"])
    assert (kind == "429_retry_after") == ("Retry-After" in response.headers)
    assert reader.get("/apps/1/channels").status_code == 200


def test_a_proxy_answers_with_html(served):
    reader = served()
    reader.sim.faults.queue("html502")
    response = reader.get("/apps/1/channels")

    assert (response.status_code, response.headers["Content-Type"]) == (502, "text/html")
    assert "<h1>502 Bad Gateway</h1>" in response.text


@pytest.mark.parametrize("kind", LOST)
def test_a_lost_answer_is_an_exception_of_the_client(served, kind):
    reader = served(stall_seconds=1.0)
    reader.sim.faults.queue(kind)
    with pytest.raises(LOST[kind]):
        reader.session.get(reader.base_url + "/apps/1/channels", timeout=0.3)

    assert {kind: 1} == reader.sim.requests.by_status
    assert reader.get("/apps/1/channels").status_code == 200


@pytest.mark.parametrize("kind", LOST)
def test_the_transport_raises_what_a_network_does(kind):
    sim = Simulator(SimulatorSettings(users=2, conversations=1, stall_seconds=30))
    session = requests.Session()
    session.mount("http://", SimulatorAdapter(sim))
    sim.faults.queue(kind)
    with pytest.raises(LOST[kind]):
        session.get("http://sim/v1/apps/1/channels", params={"auth_token": sim.settings.auth_token}, timeout=9)

    assert (9 if kind == "stall" else 0) == sim.clock.now() - sim.settings.start_time.timestamp()


def test_a_cut_body_promises_more_than_it_holds(served):
    reader = served()
    reader.sim.faults.queue("cut")
    response = reader.session.get(reader.base_url + "/apps/1/channels", timeout=20, stream=True)
    received = response.raw.read1(int(response.headers["Content-Length"]) - 1)
    response.close()

    assert 0 < len(received) < int(response.headers["Content-Length"])


def test_a_stall_ends_for_a_patient_client(served):
    reader = served(stall_seconds=0.2)
    reader.sim.faults.queue("stall")
    began = time.monotonic()

    assert reader.get("/apps/1/channels").status_code == 200
    assert time.monotonic() - began >= 0.2


def test_the_plan_takes_its_kinds_in_turn(served):
    reader = served(faults=Faults(every=2, kinds=("500", "html502")))

    assert [reader.get("/apps/1/channels").status_code for _ in range(6)] == [200, 500, 200, 502, 200, 500]
    assert reader.sim.requests.by_status == {200: 3, "500": 2, "html502": 1}


@pytest.mark.parametrize(("kind", "events"), [("500", 0), ("reset", 0), ("cut", 1)])
def test_a_write_took_effect_only_when_the_fault_was_on_the_way_back(kind, events):
    sim = Simulator(SimulatorSettings(users=1, conversations=0))
    user_id = next(iter(sim.truth.rows("users")))["id"]
    sim.faults.queue(kind)
    sim.answer("POST", f"/v1/users/{user_id}/events", {"auth_token": sim.settings.auth_token, "event": "Купил"})

    assert events == sum(row["name"] == "Купил" for row in sim.truth.rows("events"))


def test_a_faulted_walk_that_tries_again_misses_nothing(served):
    reader = served(faults=Faults(every=3, kinds=("500", "html502", "cut", "reset", "429")))
    seen, token = [], None
    while token is not None or not seen:
        try:
            rows, token = reader.page("/apps/1/conversations", include_not_assigned="true", after=token)
        except (requests.exceptions.RequestException, ValueError, KeyError):
            continue
        seen += rows if isinstance(rows, list) else []
        token = token if rows else None

    assert len({row["id"] for row in seen}) == 70


def test_unknown_faults_are_told_with_the_known_ones():
    with pytest.raises(ValueError, match="known are 500, html502, cut"):
        Faults(kinds=("explode",))
