"""The server starts, is controlled from outside, and ends without a trace."""

import json
import signal
import socket
import subprocess
import sys
import threading

import pytest
import requests

from dashly_simulator import Simulator, SimulatorAdapter, SimulatorSettings, serve

FOREVER = """
from dashly_simulator import Simulator, SimulatorSettings, run_forever
sim = Simulator(SimulatorSettings(users=2, conversations=1))
run_forever(sim, port=0, on_ready=lambda server: print(server.base_url, flush=True))
print("stopped", flush=True)
"""


def control(reader, path):
    return reader.base_url.removesuffix("/v1") + "/_simulator/" + path


def test_threads_end_and_the_port_is_free_again():
    before = threading.active_count()
    with serve(Simulator(SimulatorSettings(users=2, conversations=1))) as server:
        running = threading.active_count()
        port = server.port
    with socket.socket() as probe:
        answer = probe.connect_ex(("127.0.0.1", port))

    assert (before + 1, before) == (running, threading.active_count())
    assert answer != 0


def test_an_error_in_the_block_ends_the_server_too():
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError), serve(Simulator(SimulatorSettings(users=1))):
        _ = 1 / 0

    assert before == threading.active_count()


def test_a_port_in_use_is_an_error_at_once():
    before = threading.active_count()
    with (
        serve(Simulator(SimulatorSettings(users=1))) as server,
        pytest.raises(OSError, match="address already in use"),
        serve(Simulator(SimulatorSettings(users=1)), port=server.port),
    ):
        pytest.fail("two servers on one port")

    assert before == threading.active_count()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serving_forever_ends_cleanly_at_a_signal(number):
    command = [sys.executable, "-W", "error", "-c", FOREVER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        url = process.stdout.readline().strip()
        status = requests.get(f"{url}/apps/1/users", timeout=20).status_code
        process.send_signal(number)
        output, errors = process.communicate(timeout=20)

    assert (status, output, errors, process.returncode) == (401, "stopped\n", "", 0)


def test_latency_is_how_long_an_answer_takes(served):
    reader = served(latency_seconds=0.2)

    assert reader.get("/apps/1/channels").elapsed.total_seconds() >= 0.2


def test_slow_answers_come_side_by_side(served):
    reader = served(latency_seconds=0.3)
    threads = [threading.Thread(target=reader.get, args=("/apps/1/channels",)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(1.2)

    assert reader.sim.requests.by_status == {200: 5}


def test_stats_are_told_and_reset_and_not_counted(served):
    reader = served()
    reader.get("/apps/1/channels")
    stats = reader.session.get(control(reader, "stats"), timeout=20).json()
    reader.session.post(control(reader, "reset-stats"), timeout=20)

    assert {name: stats[name] for name in ("total", "by_endpoint", "by_status")} == {
        "total": 1,
        "by_endpoint": {"GET /apps/{id}/channels": 1},
        "by_status": {"200": 1},
    }
    assert reader.sim.requests.total == 0


def test_deeds_are_done_from_outside(served):
    reader = served()
    user_id = reader.users()[20]["id"]
    answer = reader.session.post(
        control(reader, "deed"), json={"name": "user_visits", "args": {"user_id": user_id, "events": 2}}, timeout=20
    )

    assert user_id == reader.users()[0]["id"]
    assert len(answer.json()["touched"]) == 2


@pytest.mark.parametrize(
    ("path", "asked", "told"),
    [
        ("deed", {"name": "explode"}, "known are"),
        ("deed", {"name": "do", "args": {}}, "known are"),
        ("deed", {"name": "reply", "args": {"conversation_id": 5}}, "no conversation 5"),
        ("deed", {"name": "reply", "args": {"conversation_id": 5, "nobody": 5}}, "nobody"),
        ("deed", [], "not a JSON object"),
        ("faults", {"queue": "explode"}, "known are"),
        ("faults", {"plan": {"each": 3}}, "each"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason(served, path, asked, told):
    reader = served()
    answer = reader.session.post(control(reader, path), json=asked, timeout=20)

    assert answer.status_code == 400
    assert told in answer.json()["error"]


def test_faults_are_planned_and_queued_from_outside(served):
    reader = served()
    url = control(reader, "faults")
    reader.session.post(url, json={"queue": "html502", "times": 2}, timeout=20)
    reader.session.post(url, json={"plan": {"every": 3, "kinds": ["500"]}}, timeout=20)
    seen = [reader.get("/apps/1/channels").status_code for _ in range(4)]
    reader.session.post(url, json={"plan": None}, timeout=20)

    assert seen == [502, 502, 500, 200]
    assert {200} == {reader.get("/apps/1/channels").status_code for _ in range(3)}


def test_the_truth_is_told_as_json_lines(served):
    reader = served()
    lines = reader.session.get(control(reader, "truth/parts"), timeout=20).text.splitlines()
    tables = reader.session.get(control(reader, "truth"), timeout=20).json()

    assert [row["id"] for row in reader.sim.truth.rows("parts")] == [json.loads(line)["id"] for line in lines]
    assert reader.sim.truth.tables() == tables
    assert reader.session.get(control(reader, "truth/nothing"), timeout=20).status_code == 400


def test_what_is_gone_is_told_too(served):
    reader = served()
    talk_id = str(reader.conversations()[0]["id"])
    reader.sim.life.delete_conversation(talk_id)

    assert [talk_id] == reader.session.get(control(reader, "deleted/conversations"), timeout=20).json()


def test_the_clock_is_moved_from_outside(served):
    reader = served()
    before = reader.sim.clock.now()
    reader.session.post(control(reader, "advance"), json={"seconds": 90}, timeout=20)

    assert before + 90 == reader.sim.clock.now()


def test_the_settings_are_told_without_the_token(served):
    reader = served()
    text = reader.session.get(control(reader, "settings"), timeout=20).text

    assert json.loads(text)["users"] == 60
    assert reader.sim.settings.auth_token not in text


def test_life_and_reading_at_once_break_nothing(served, differences):
    reader = served()
    life = reader.sim.life
    thread = threading.Thread(target=lambda: [life.random_deed() for _ in range(150)])
    thread.start()
    while thread.is_alive():
        reader.users()
        reader.conversations()
    thread.join()

    assert {200} == set(reader.sim.requests.by_status)
    assert differences(reader) == {}


def test_the_transport_answers_like_the_server(served):
    reader = served()
    session = requests.Session()
    session.mount("http://", SimulatorAdapter(reader.sim))
    params = {"auth_token": reader.sim.settings.auth_token, "id_as_string": "true", "count": "50"}
    direct = session.get("http://sim/v1/apps/$self_app/users", params=params, timeout=9)
    served_answer = reader.get("/apps/$self_app/users", count=50)
    user_id = direct.json()["data"]["users"][0]["id"]
    written = session.post(
        f"http://sim/v1/users/{user_id}/events", params=params, data={"event": "имя & знак"}, timeout=9
    )

    assert (served_answer.status_code, served_answer.content) == (direct.status_code, direct.content)
    assert served_answer.headers["Content-Type"] == direct.headers["Content-Type"]
    assert written.json()["data"]["id"] == reader.data(f"/users/{user_id}/events")[0]["id"]


def test_the_transport_lets_latency_pass_on_the_virtual_clock():
    sim = Simulator(SimulatorSettings(users=1, conversations=0, latency_seconds=3))
    session = requests.Session()
    session.mount("http://", SimulatorAdapter(sim))
    session.get("http://sim/v1/apps/1/users", timeout=9)

    assert sim.clock.now() == sim.settings.start_time.timestamp() + 3
