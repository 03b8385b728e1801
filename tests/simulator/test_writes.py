"""Each POST takes effect in the world, and answers what the documents say."""

import json

import pytest


@pytest.fixture
def reader(served):
    return served()


@pytest.fixture
def talk(reader):
    return next(t for t in reader.conversations() if t["assignee"] and not t["closed"] and t["parts_count"] > 1)


def newest_part(reader, talk):
    return reader.data(f"/conversations/{talk['id']}/parts", count=1)[0]


def again(reader, talk):
    return reader.data(f"/conversations/{talk['id']}")


def test_an_operators_reply_is_the_newest_part_and_brings_the_conversation_to_the_top(reader, talk):
    answer = reader.post(f"/conversations/{talk['id']}/reply", body="Готово 👍", from_admin=14701).json()
    part = newest_part(reader, talk)

    assert answer == {"meta": {"status": 200}, "data": {"id": part["id"]}}
    assert (part["body"], part["type"], part["from"]["id"]) == ("Готово 👍", "reply_admin", 14701)
    assert talk["id"] == reader.conversations()[0]["id"]
    assert talk["parts_count"] + 1 == again(reader, talk)["parts_count"]
    assert again(reader, talk)["last_admin"]["id"] == 14701


def test_a_reply_may_be_the_users_a_note_or_nobodys(reader, talk):
    path = f"/conversations/{talk['id']}/reply"
    reader.post(path, body="a", from_user=talk["user"]["id"])
    by_user = newest_part(reader, talk)
    reader.post(path, body="b", type="note", from_admin=14701)
    note = newest_part(reader, talk)
    reader.post(path, body="c")
    by_nobody = newest_part(reader, talk)

    assert ("reply_user", talk["user"]["id"]) == (by_user["type"], by_user["from"])
    assert note["type"] == "note"
    assert (by_nobody["from"]["type"], "id" in by_nobody["from"]) == ("default_admin", False)


def test_a_reply_may_assign_the_conversation_first(reader, talk):
    other = 14700 if talk["assignee"]["id"] != 14700 else 14701
    reader.post(f"/conversations/{talk['id']}/reply", body="a", auto_assign=other)
    parts = reader.data(f"/conversations/{talk['id']}/parts", count=2)

    assert ["reply_admin", "assigned"] == [part["type"] for part in parts]
    assert other == again(reader, talk)["assignee"]["id"]


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({}, "ValidationError"),
        ({"body": "a", "auto_assign": 3}, "LookupError"),
        ({"body": "a", "type": "shout"}, "ValidationError"),
        ({"body": "a", "from_admin": 3}, "LookupError"),
        ({"body": "a", "from_user": 3}, "LookupError"),
    ],
)
def test_a_reply_that_cannot_be_is_refused_and_leaves_no_part(reader, talk, form, error):
    response = reader.post(f"/conversations/{talk['id']}/reply", **form)

    assert error == response.json()["meta"]["error"]
    assert talk == again(reader, talk)


def test_reading_changes_no_last_update(reader):
    unread = next(t for t in reader.conversations() if t["unread_parts_count"])
    reader.sim.clock.advance(10)
    answer = reader.post(f"/conversations/{unread['id']}/markread").json()

    assert answer == {"meta": {"status": 200}, "data": {}}
    assert unread | {"read": True, "unread_parts_count": 0} == again(reader, unread)


def test_typing_leaves_nothing_behind(reader, talk):
    assert reader.post(f"/conversations/{talk['id']}/settyping", body="gu", from_admin=14701).json()["data"] == {}
    assert talk == again(reader, talk)


def test_assigning_makes_a_part_once(reader, talk):
    path = f"/conversations/{talk['id']}/assign"
    other = 14700 if talk["assignee"]["id"] != 14700 else 14701
    first = reader.post(path, admin=other).json()["data"]
    second = reader.post(path, admin=other).json()["data"]
    part = newest_part(reader, talk)

    assert ({"id": part["id"]}, {}) == (first, second)
    assert ("assigned", other) == (part["type"], part["assignee"]["id"])
    assert other == again(reader, talk)["assignee"]["id"]


def test_an_empty_admin_takes_the_conversation_off_everyone(reader, talk):
    reader.post(f"/conversations/{talk['id']}/assign", admin="")

    assert again(reader, talk)["assignee"] is None
    assert newest_part(reader, talk)["assignee"] is None
    assert talk["id"] not in {t["id"] for t in reader.walk("/apps/1/conversations")}


def test_a_tag_is_put_on_and_taken_off_and_twice_is_fine(reader, talk):
    path = f"/conversations/{talk['id']}/tag"
    answers = [reader.post(path, action=action, tag="срочно") for action in ("add", "add", "delete", "delete")]
    parts = reader.data(f"/conversations/{talk['id']}/parts", count=2)

    assert [answer.json() for answer in answers] == [{"meta": {"status": 200}, "data": {}}] * 4
    assert [(p["type"], p["tag"]) for p in parts] == [("tag_deleted", "срочно"), ("tag_added", "срочно")]
    assert talk["parts_count"] + 2 == again(reader, talk)["parts_count"]
    assert ("conversation_tags", {(str(talk["id"]), "срочно")}) == (
        "conversation_tags",
        reader.sim.truth.deleted("conversation_tags"),
    )


@pytest.mark.parametrize("form", [{}, {"tag": "a,b"}, {"tag": "a", "action": "swap"}])
def test_a_tag_that_cannot_be_is_refused(reader, talk, form):
    assert reader.post(f"/conversations/{talk['id']}/tag", **form).json()["meta"]["error"] == "ValidationError"


def test_closing_makes_a_part_once(reader, talk):
    answers = [reader.post(f"/conversations/{talk['id']}/close").json()["data"] for _ in range(2)]

    assert [{"id": newest_part(reader, talk)["id"]}, {}] == answers
    assert again(reader, talk)["closed"]


def test_an_event_is_the_newest_and_moves_no_last_seen(reader):
    user = reader.users()[30]
    form = {"event": "Купил слона", "params": json.dumps({"цена": 7}), "created": 1_600_000_000}
    answer = reader.post(f"/users/{user['id']}/events", **form).json()["data"]
    event = reader.data(f"/users/{user['id']}/events", count=1)[0]

    assert {"id": event["id"]} == answer
    assert (event["type"]["name"], event["props"], event["created"]) == ("Купил слона", {"цена": 7}, 1_600_000_000)
    assert user == reader.users()[30]


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({}, "event"),
        ({"event": "a" * 256}, "event"),
        ({"event": "a", "params": "{"}, "params"),
        ({"event": "a", "params": "[]"}, "params"),
        ({"event": "a", "created": "now"}, "created"),
        ({"event": "a", "created": "99999999999"}, "created"),
    ],
)
def test_an_event_that_cannot_be_is_refused(reader, form, field):
    response = reader.post(f"/users/{reader.users()[0]['id']}/events", **form)

    assert [field] == list(response.json()["meta"]["error_fields"])


def test_writing_to_an_unknown_user_id_of_the_customers_makes_the_user(reader):
    reader.post("/users/neu-1/events?by_user_id=true", event="a")
    user = reader.data("/users/neu-1", by_user_id="true")

    assert user["user_id"] == "neu-1"
    assert user["id"] in {row["id"] for row in reader.users()}


def custom_props(reader, user):
    return reader.data(f"/users/{user['id']}", props_custom="true")["props_custom"]


def operate(reader, user, *operations):
    sent = json.dumps([dict(zip(("op", "key", "value"), operation, strict=False)) for operation in operations])
    return reader.post(f"/users/{user['id']}/props", operations=sent).json()["meta"]


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        ([("update_or_create", "k", 1)], 1),
        ([("update_or_create", "k", 1), ("update_or_create", "k", "zwei")], "zwei"),
        ([("set_once", "k", 1), ("set_once", "k", 2)], 1),
        ([("add", "k", 1), ("add", "k", 41)], 42),
        ([("append", "k", "a"), ("append", "k", "a")], ["a", "a"]),
        ([("union", "k", "a"), ("union", "k", "a"), ("union", "k", "b")], ["a", "b"]),
        ([("append", "k", "a"), ("append", "k", "b"), ("exclude", "k", "a")], ["b"]),
        ([("update_or_create", "k", 1), ("delete", "k")], None),
    ],
)
def test_operations_on_properties_do_what_they_are_called(reader, operations, expected):
    user = reader.users()[0]
    meta = operate(reader, user, *operations)

    assert expected == custom_props(reader, user).get("k")
    assert meta == {"status": 200, "affected_props": ["k"], "ignored_operations": []}


@pytest.mark.parametrize("operation", [("add", "k", "x"), ("swap", "k", 1), ("update_or_create", "$last_seen", 1)])
def test_operations_that_make_no_sense_are_ignored_and_told(reader, operation):
    user = reader.users()[0]
    before = custom_props(reader, user)
    meta = operate(reader, user, operation)

    assert meta["affected_props"] == []
    assert [dict(zip(("op", "key", "value"), operation, strict=True))] == meta["ignored_operations"]
    assert before == custom_props(reader, user)


def test_more_than_250_operations_are_refused(reader):
    user = reader.users()[0]

    assert operate(reader, user, *[("add", "k", 1)] * 250)["status"] == 200
    assert operate(reader, user, *[("add", "k", 1)] * 251)["error"] == "ValidationError"
    assert custom_props(reader, user)["k"] == 250


def test_system_properties_are_those_with_a_dollar(reader):
    user = reader.users()[0]
    operate(reader, user, ("update_or_create", "$name", "Новая"), ("delete", "$sessions"))
    row = reader.users()[0]

    assert row["props"]["$name"] == "Новая"
    assert "$sessions" not in row["props"]
    assert (str(user["id"]), "$sessions") in reader.sim.truth.deleted("user_props")


def test_a_heartbeat_brings_a_user_to_the_top_and_among_the_active(reader):
    user = reader.users()[40]
    reader.post(f"/users/{user['id']}/setpresence", presence="idle")
    row = reader.users()[0]

    assert (user["id"], "idle", "2026-11-01T00:00:00") == (row["id"], row["presence"], row["props"]["$last_seen"])
    assert user["id"] in {active["id"] for active in reader.data("/apps/1/activeusers")}
    assert reader.post(f"/users/{user['id']}/setpresence", presence="gone").status_code == 400


def test_a_message_to_a_user_starts_a_conversation(reader):
    user = reader.users()[5]
    data = reader.post(f"/users/{user['id']}/sendmessage", body="Привет", type="popup_big").json()["data"]
    row = reader.conversations()[0]

    assert {"conversation": row["id"], "message": row["message"]} == data
    assert (row["type"], row["parts_count"], row["part_last"]["body"]) == ("popup_big", 1, "Привет")
    assert reader.post(f"/users/{user['id']}/sendmessage", body="a", type="sms").status_code == 400


def test_a_user_starts_a_conversation(reader):
    user = reader.users()[5]
    data = reader.post(f"/users/{user['id']}/startconversation", body="Здравствуйте", random_id=17).json()["data"]
    row = reader.data(f"/users/{user['id']}/conversations")[0]

    assert {"id": row["id"]} == data
    assert (True, user["id"], 17) == (
        row["part_last"]["first"],
        row["part_last"]["from"],
        row["part_last"]["random_id"],
    )


def test_everything_written_is_in_the_truth(reader, talk, differences):
    user = reader.users()[30]
    reader.post(f"/conversations/{talk['id']}/reply", body="a")
    reader.post(f"/conversations/{talk['id']}/tag", tag="b")
    reader.post(f"/users/{user['id']}/events", event="c")
    reader.post(f"/users/{user['id']}/sendmessage", body="d")
    reader.post(f"/users/{user['id']}/startconversation", body="e")
    operate(reader, user, ("update_or_create", "f", {"g": [1]}))

    assert differences(reader) == {}
