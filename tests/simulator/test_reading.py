"""Each GET endpoint answers what the vendor's page says."""

import json

import pytest


def test_the_envelope_repeats_the_status(served):
    reader = served()
    response = reader.get("/apps/1/channels")

    assert response.json()["meta"] == {"status": 200}
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"


@pytest.mark.parametrize("app", ["1", "$self_app", "%24self_app"])
def test_the_app_goes_by_its_id_or_by_self_app(served, app):
    reader = served()

    assert len(reader.data(f"/apps/{app}/channels")) == 4


@pytest.mark.parametrize("asked", [None, "true"])
def test_ids_beyond_a_float_are_strings_only_when_asked(served, asked):
    reader = served()
    reader.session.params = {"auth_token": reader.sim.settings.auth_token, "id_as_string": asked}
    users, talk = reader.users(), reader.conversations()[0]
    event = reader.data(f"/users/{users[1]['id']}/events")[0]
    kinds = {type(user["id"]) for user in users if int(user["id"]) > 2**53}

    assert {int if asked is None else str} == kinds
    assert {int} == {type(user["id"]) for user in users if int(user["id"]) < 2**53}
    assert kinds == {type(talk["part_last"]["conversation"]), type(event["id"])}


def test_all_ids_are_strings_when_set_so(served):
    reader = served(string_ids="all")

    assert {str} == {type(user["id"]) for user in reader.users()}
    assert {str} == {type(channel["id"]) for channel in reader.data("/apps/1/channels")}


def test_ids_inside_properties_stay_numbers(served):
    reader = served()
    events = [e for user in reader.users()[:20] for e in reader.walk(f"/users/{user['id']}/events")]
    named = [e["props"]["$conversation_id"] for e in events if "$conversation_id" in e["props"]]

    assert {int} == {type(identifier) for identifier in named}
    assert min(named) > 2**53


def test_unassigned_conversations_are_left_out_unless_asked_for(served):
    reader = served()
    everything, assigned = reader.conversations(), reader.walk("/apps/1/conversations")

    assert 0 < len(assigned) < len(everything)
    assert [talk for talk in everything if talk["assignee"]] == assigned
    assert [talk for talk in everything if not talk["assignee"]] == reader.walk(
        "/apps/1/conversations", assigned=0, include_not_assigned="true"
    )


def test_conversations_are_filtered_by_closed_assigned_tags_and_channel(served):
    reader = served()
    path, everything = "/apps/1/conversations", reader.walk("/apps/1/conversations")
    tagged = next(talk for talk in everything if len(talk["tags"]) > 1)
    assignee = tagged["assignee"]["id"]

    assert [t for t in everything if t["closed"]] == reader.walk(path, closed="no")
    assert [t for t in everything if not t["closed"]] == reader.walk(path, closed="False")
    assert [t for t in everything if t["assignee"]["id"] == assignee] == reader.walk(path, assigned=assignee)
    assert [t for t in everything if (t["channel"] or {}).get("id") == 7] == reader.walk(path, channel=7)
    assert [t for t in everything if t["channel"] is None] == reader.walk(path, channel=0)
    for sent in (",".join(tagged["tags"]), json.dumps(tagged["tags"])):
        assert [t for t in everything if set(tagged["tags"]) <= set(t["tags"])] == reader.walk(path, tags=sent)


def test_a_conversation_alone_is_the_row_of_the_list_with_its_channel(served):
    reader = served(conversation_channel=False)
    row = next(t for t in reader.conversations() if "channel" not in t)
    alone = reader.data(f"/conversations/{row['id']}")

    assert row == {name: value for name, value in alone.items() if name != "channel"}
    assert "channel" in alone


def test_a_users_conversations_are_those_of_the_list_without_the_user(served):
    reader = served()
    everything = reader.conversations()
    user_id = everything[0]["user"]["id"]
    expected = [{k: v for k, v in t.items() if k != "user"} for t in everything if t["user"]["id"] == user_id]

    assert expected == reader.walk(f"/users/{user_id}/conversations", count=1)


def test_the_last_part_of_a_row_is_the_newest_part(served):
    reader = served()
    for row in reader.conversations()[:20]:
        parts = reader.walk(f"/conversations/{row['id']}/parts")

        assert parts[0] == row["part_last"]
        assert parts[0]["created"] == row["last_update"]
        assert len(parts) == row["parts_count"]
        assert [part["first"] for part in parts if "first" in part] == [True]
        assert parts[-1]["first"]


def test_service_parts_agree_with_the_conversation(served):
    reader = served()
    for row in reader.conversations():
        parts = reader.walk(f"/conversations/{row['id']}/parts")[::-1]
        tags = [p["tag"] for p in parts if p["type"] == "tag_added"]
        for gone in (p["tag"] for p in parts if p["type"] == "tag_deleted"):
            tags.remove(gone)
        assigned = [p["assignee"]["id"] for p in parts if p["type"] == "assigned"]

        assert row["tags"] == tags
        assert row["closed"] == any(p["type"] == "closed" for p in parts)
        assert not assigned or [row["assignee"]["id"]] == assigned


def test_authors_are_users_admins_bots_and_nobody_in_particular(served):
    reader = served()
    parts = [p for t in reader.conversations() for p in reader.walk(f"/conversations/{t['id']}/parts")]
    admins = [part["from"] for part in parts if isinstance(part["from"], dict)]

    assert {"admin", "bot", "default_admin"} == {admin["type"] for admin in admins}
    assert {False} == {"id" in admin for admin in admins if admin["type"] == "default_admin"}
    assert any(not isinstance(part["from"], dict) for part in parts)
    assert any(part.get("attachments") for part in parts)
    assert any(len(part["body"]) > 5_000 for part in parts)


def test_a_users_optional_fields_come_only_when_asked_for(served):
    reader = served()
    user_id = reader.users()[0]["id"]
    plain = reader.data(f"/users/{user_id}")
    custom = reader.data(f"/users/{user_id}", props="false", props_custom="true")

    assert {"id", "app", "user_id", "removed", "presence", "props"} <= set(plain)
    assert not {"props_custom", "events", "tags", "presence_details"} & set(plain)
    assert "props" not in custom
    assert isinstance(custom["props_custom"], dict)


def test_event_counters_count_the_events(served):
    reader = served()
    user_id = reader.users()[0]["id"]
    events = reader.walk(f"/users/{user_id}/events")
    counters = reader.data(f"/users/{user_id}", events="true")["events"]

    assert len(events) == sum(counter["count"] for counter in counters)
    for counter in counters:
        name = counter["event_type"]["name"]
        found = reader.walk(f"/users/{user_id}/events", filter_name=name)

        assert [event for event in events if event["type"]["name"] == name] == found
        assert {"count": len(found), "first": min(e["created"] for e in found)} == {
            "count": counter["count"],
            "first": counter["first"],
        }


def test_a_user_is_found_by_the_customers_id(served):
    reader = served()
    user = next(user for user in reader.users() if user["user_id"])

    assert user["id"] == reader.data(f"/users/{user['user_id']}", by_user_id="true")["id"]


def test_active_users_are_those_online_or_idle(served):
    reader = served(users=200)
    active = {user["id"]: user["presence"] for user in reader.data("/apps/1/activeusers")}

    assert active
    assert {u["id"]: u["presence"] for u in reader.users() if u["presence"] != "offline"} == active


def test_names_of_properties_that_look_alike_stay_apart(served):
    reader = served(users=100, list_props_custom=True)
    names = {name for user in reader.users() for name in user["props"] | user["props_custom"]}

    assert {"План", "Plan Name", "plan-name", "plan_name", "$plan"} <= names


def test_poison_is_in_the_text_only_when_set(served):
    clean, poisoned = served(), served(poison_text=True)
    texts = [
        json.dumps([r.users(), [r.walk(f"/conversations/{t['id']}/parts") for t in r.conversations()]])
        for r in (clean, poisoned)
    ]

    assert ["\\u0000" in text for text in texts] == [False, True]
    assert ["\\udc00\\ud800" in text for text in texts] == [False, True]


def test_arguments_of_a_get_may_come_in_the_body(served):
    reader = served()
    response = reader.session.get(reader.base_url + "/apps/1/users", data={"count": 3}, timeout=20)

    assert len(response.json()["data"]["users"]) == 3
