"""Life goes on: each deed is visible as the documents let it be, and the same seed lives the same life."""

import pytest

from dashly_simulator import Simulator, SimulatorSettings


@pytest.fixture
def reader(served):
    return served()


@pytest.fixture
def talk(reader):
    return next(t for t in reader.conversations()[5:] if t["parts_count"] > 2 and not t["closed"])


def parts(reader, talk):
    return reader.walk(f"/conversations/{talk['id']}/parts")


def listed(reader, talk):
    return next((t for t in reader.conversations() if t["id"] == talk["id"]), None)


def test_a_visit_brings_the_user_to_the_top_with_new_events(reader):
    user = reader.users()[30]
    made = reader.sim.life.user_visits(user["id"], events=3)
    rows = reader.users()

    assert (user["id"], "online") == (rows[0]["id"], rows[0]["presence"])
    assert made[::-1] == [str(e["id"]) for e in reader.data(f"/users/{user['id']}/events", count=3)]


def test_a_silent_event_moves_nothing_but_the_events(reader):
    before = reader.users()
    made = reader.sim.life.silent_event(before[30]["id"])

    assert before == reader.users()
    assert made == str(reader.data(f"/users/{before[30]['id']}/events")[0]["id"])


def test_a_backdated_event_has_the_newest_id_and_an_old_time(reader):
    user = reader.users()[30]
    made = reader.sim.life.backdated_event(user["id"], days=365)
    newest = reader.data(f"/users/{user['id']}/events")[0]

    assert made == str(newest["id"])
    assert 364 < (reader.sim.clock.now() - newest["created"]) / 86_400 < 366


def test_new_users_and_conversations_are_at_the_top(reader):
    user_id = reader.sim.life.add_user()
    talk_id = reader.sim.life.start_conversation(user_id)
    row = reader.conversations()[0]

    assert user_id == reader.users()[0]["id"]
    assert (talk_id, user_id, 1) == (row["id"], row["user"]["id"], row["parts_count"])


@pytest.mark.parametrize(
    ("author", "kind"), [("user", "reply_user"), ("admin", "reply_admin"), ("bot", "chat_bot_admin")]
)
def test_replies_come_to_the_top(reader, talk, author, kind):
    made = reader.sim.life.reply(talk["id"], author=author, parts=2)

    assert talk["id"] == reader.conversations()[0]["id"]
    assert [(made[1], kind), (made[0], kind)] == [(str(p["id"]), p["type"]) for p in parts(reader, talk)[:2]]


def test_a_tag_makes_a_part_and_a_silent_one_does_not(reader, talk):
    part_ids = reader.sim.life.tag(talk["id"], "новый")
    loud = listed(reader, talk)
    reader.sim.life.silent_tag(talk["id"], "тихий")
    silent = listed(reader, talk)

    assert part_ids == [str(loud["part_last"]["id"])]
    assert loud | {"tags": [*loud["tags"], "тихий"]} == silent
    assert reader.sim.life.tag(talk["id"], "новый") == []


def test_a_tag_that_comes_back_is_no_longer_deleted(reader, talk):
    life, key = reader.sim.life, (str(talk["id"]), "a")
    life.tag(talk["id"], "a")
    life.silent_tag(talk["id"], "a", add=False)
    gone = reader.sim.truth.deleted("conversation_tags")
    life.tag(talk["id"], "a")

    assert {key} == gone
    assert set() == reader.sim.truth.deleted("conversation_tags")


def test_closing_reopening_and_assigning_make_parts(reader, talk):
    life = reader.sim.life
    made = [life.close(talk["id"]), life.reopen(talk["id"]), life.assign(talk["id"], 14705), life.assign(talk["id"])]
    kinds = [part["type"] for part in parts(reader, talk)[:4]]

    assert [len(ids) for ids in made] == [1, 1, 1, 1]
    assert kinds == ["assigned", "assigned", "opened", "closed"]


def test_edits_and_removals_leave_the_list_as_it_was(reader, talk):
    old, first = parts(reader, talk)[1], parts(reader, talk)[-1]
    before = listed(reader, talk)
    reader.sim.life.edit_part(old["id"], body="другое")
    reader.sim.life.remove_part(first["id"])
    after = {part["id"]: part for part in parts(reader, talk)}

    assert before == listed(reader, talk)
    assert after[old["id"]]["body"] == "другое"
    assert after[old["id"]]["edited"]
    assert (after[first["id"]]["body"], after[first["id"]]["removed"] is not None) == ("", True)


def test_a_new_part_can_be_edited_too(reader, talk):
    (part_id,) = reader.sim.life.reply(talk["id"])
    reader.sim.life.edit_part(part_id, body="anders")

    assert listed(reader, talk)["part_last"]["body"] == "anders"


def test_a_deleted_conversation_is_gone_everywhere_and_remembered(reader, talk):
    held = parts(reader, talk)
    reader.sim.life.delete_conversation(talk["id"])
    truth = reader.sim.truth

    assert listed(reader, talk) is None
    assert reader.get(f"/conversations/{talk['id']}").json()["meta"]["error"] == "LookupError"
    assert {str(talk["id"])} == truth.deleted("conversations")
    assert {str(part["id"]) for part in held} == truth.deleted("parts")
    assert {(str(talk["id"]), tag) for tag in talk["tags"]} == truth.deleted("conversation_tags")


def test_a_deleted_user_takes_events_and_conversations_along(reader):
    talk = reader.conversations()[3]
    user_id = talk["user"]["id"]
    events = reader.walk(f"/users/{user_id}/events")
    reader.sim.life.delete_user(user_id)

    assert reader.get(f"/users/{user_id}/events").json()["meta"]["error"] == "LookupError"
    assert user_id not in {user["id"] for user in reader.users()}
    assert listed(reader, talk) is None
    assert {str(event["id"]) for event in events} == reader.sim.truth.deleted("events")


def test_a_merged_users_events_and_conversations_are_the_survivors(reader):
    talk = reader.conversations()[3]
    source, target = talk["user"]["id"], next(u["id"] for u in reader.users() if u["id"] != talk["user"]["id"])
    events = reader.walk(f"/users/{source}/events") + reader.walk(f"/users/{target}/events")
    reader.sim.life.merge_users(source, into=target)
    merged = reader.walk(f"/users/{target}/events")

    assert {e["id"] for e in events} < {e["id"] for e in merged}
    assert merged[0]["type"]["name"] == "$user_merged"
    assert {target} == {event["user"] for event in merged}
    assert reader.walk(f"/users/{source}/events") == []
    assert target == listed(reader, talk)["user"]["id"]
    assert reader.data(f"/users/{source}")["removed"] is not None


def test_a_renamed_operator_has_the_new_name_everywhere(reader):
    reader.sim.life.rename_admin(14700, "Максим")
    names = {o["name"] for c in reader.data("/apps/1/channels") for o in c["operators"] if o["id"] == 14700}

    assert {"Максим"} == names


def test_a_changed_property_moves_no_last_seen(reader):
    before = [user["id"] for user in reader.users()]
    reader.sim.life.change_prop(before[30], "$name", "Другая")
    reader.sim.life.delete_prop(before[30], "$name")

    assert before == [user["id"] for user in reader.users()]
    assert "$name" not in reader.users()[30]["props"]
    with pytest.raises(LookupError, match="has no property"):
        reader.sim.life.delete_prop(before[30], "$name")


def test_someone_who_leaves_is_no_longer_active(reader):
    active = reader.data("/apps/1/activeusers")
    reader.sim.life.leave(active[0]["id"])

    assert active[1:] == reader.data("/apps/1/activeusers")


@pytest.mark.parametrize(
    "deed",
    [
        lambda life: life.user_visits(5),
        lambda life: life.reply("77"),
        lambda life: life.edit_part(1 << 60),
        lambda life: life.rename_admin(3),
        lambda life: life.do("explode"),
    ],
)
def test_deeds_on_what_does_not_exist_are_refused(deed):
    with pytest.raises(LookupError, match="no "):
        deed(Simulator(SimulatorSettings(users=3, conversations=2)).life)


def test_lists_move_while_they_are_read_when_set_so(served):
    still, live = served(), served(live_rate=0.5)
    for reader in (still, live):
        reader.users()
        reader.conversations()

    assert (still.sim.clock.now() < live.sim.clock.now(), 4) == (True, still.sim.requests.total)


def test_a_tick_takes_exactly_its_time():
    sim = Simulator(SimulatorSettings(users=30, conversations=20))
    before = sim.clock.now_at()
    names = sim.life.tick(3600)

    assert (sim.clock.now_at() - before).total_seconds() == 3600
    assert len(names) == 60


def test_visible_life_has_only_deeds_that_a_list_reveals():
    sim = Simulator(SimulatorSettings(users=30, conversations=20, random_deeds="visible"))
    visible = {"user_visits", "reply", "start_conversation", "add_user", "tag", "toggle_closed", "assign", "nothing"}

    assert set(sim.life.tick(300 * 60)) <= visible


def everything(sim):
    return {table: list(sim.truth.rows(table)) for table in sim.truth.tables()}


def live(seed):
    sim = Simulator(SimulatorSettings(users=30, conversations=20, seed=seed))
    sim.life.churn(0.2)
    sim.life.tick(7200)
    return sim


def test_the_same_seed_lives_the_same_life_and_another_does_not():
    assert everything(live(3)) == everything(live(3))
    assert everything(live(3)) != everything(live(4))


def test_deeds_never_share_a_moment():
    sim = live(3)
    updated = [row["updated_at"] for row in sim.truth.rows("conversations")]
    touched = [moment for moment in updated if moment > sim.settings.start_time]

    assert len(touched) == len(set(touched)) > 0
