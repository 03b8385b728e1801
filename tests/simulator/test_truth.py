"""What the API answers, read completely, is what the simulator says is true."""

import pytest

from dashly_simulator import Simulator, SimulatorSettings

DIALECTS = [
    {},
    {"users_dialect": "offset", "last_page_token": "absent"},
    {"exact_page_ends": True, "part_last": "brief"},
    {"string_ids": "all", "last_update_format": "float", "created_format": "float"},
    {"part_last": "absent", "parts_count": "with_hidden"},
    {"parts_count": "without_notes", "list_props_custom": True},
    {"conversation_channel": False, "poison_text": True},
    {"unknown_fields": True, "legacy_ids": 0.0, "ties": 0},
    {"users": 5, "conversations": 3, "legacy_ids": 0.5},
    {"users": 0, "conversations": 0},
    {"app_id": "my-app", "clock": "real"},
]


def name_of(settings):
    return ",".join(f"{name}={value}" for name, value in settings.items()) or "defaults"


@pytest.mark.parametrize("settings", DIALECTS, ids=name_of)
def test_a_complete_walk_equals_the_truth_in_every_table(served, differences, settings):
    reader = served(**({"users": 51, "conversations": 30, "events_per_user": 5} | settings))
    if "app_id" in settings:
        reader.get = app_named(reader.get, settings["app_id"])

    assert differences(reader) == {}


def app_named(get, app_id):
    return lambda path, **params: get(path.replace("/apps/1/", f"/apps/{app_id}/"), **params)


@pytest.mark.parametrize(
    "settings",
    [{"user_removed_format": "iso"}, {"merged_users": "gone", "users_dialect": "offset", "ties": 20}],
    ids=name_of,
)
def test_a_complete_walk_equals_the_truth_after_every_deed(served, differences, settings):
    reader = served(**settings)
    sim = reader.sim
    for _ in range(3):
        sim.life.churn(0.1)
        sim.life.tick(3 * 3600)
    users = [row["id"] for row in sim.truth.rows("users") if row["removed_at"] is None]
    sim.life.merge_users(users[1], into=users[2])
    sim.life.delete_user(users[3])

    assert differences(reader) == {}


def test_details_add_custom_properties_to_user_props():
    sim = Simulator(SimulatorSettings(users=20))
    listed = {(row["user_id"], row["name"]) for row in sim.truth.rows("user_props")}
    all_of_them = {(row["user_id"], row["name"]) for row in sim.truth.rows("user_props", with_details=True)}
    added = {(row["user_id"], name) for row in sim.truth.rows("user_details") for name in row["props_custom"]}

    assert added
    assert added == all_of_them - listed


def test_values_of_properties_are_text_with_their_json_type():
    sim = Simulator(SimulatorSettings(users=1, conversations=0))
    user_id = next(iter(sim.truth.rows("users")))["id"]
    values = {"$s": "да", "$n": 3, "$b": True, "$l": ["a", "б"], "$o": {"k": 1.5}, "$z": None}
    for name, value in values.items():
        sim.life.change_prop(user_id, name, value)

    rows = {row["name"]: (row["value"], row["value_type"]) for row in sim.truth.rows("user_props")}
    expected = {
        "$s": ("да", "string"),
        "$n": ("3", "number"),
        "$b": ("true", "boolean"),
        "$l": ('["a","б"]', "list"),
        "$o": ('{"k":1.5}', "object"),
        "$z": (None, "null"),
    }

    assert expected == {name: rows[name] for name in values}


def test_an_unknown_table_is_told_with_the_known_ones():
    with pytest.raises(LookupError, match="known are users, user_props"):
        Simulator(SimulatorSettings(users=1)).truth.rows("user")


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"users_dialect": "offset", "users": 52},
        {"parts_count": "with_hidden"},
        {"part_last": "absent"},
        {"part_last": "brief"},
        {"users": 2, "conversations": 0},
    ],
    ids=name_of,
)
def test_the_floor_is_what_a_minimal_walk_costs(served, settings):
    reader = served(**settings)
    users, talks = reader.users(), reader.conversations()
    reader.get("/apps/1/channels")
    reader.get("/apps/1/activeusers")
    for user in users:
        reader.walk(f"/users/{user['id']}/events")
    for talk in talks:
        if not talk.get("part_last", {}).get("first"):
            reader.walk(f"/conversations/{talk['id']}/parts")

    assert reader.sim.requests.total == reader.sim.floor_requests()
    assert {200: reader.sim.requests.total} == reader.sim.requests.by_status
