"""Lists are newest first, in pages, and each setting of paging does what it says."""

import pytest

from dashly_simulator import Simulator, SimulatorSettings


def ids(rows):
    return [int(row["id"]) for row in rows]


def event_path(reader, index):
    users = sorted(reader.users(), key=lambda user: int(user["id"]))
    return f"/users/{users[index]['id']}/events"


def conversation_path(reader, index):
    talks = sorted(reader.conversations(), key=lambda talk: int(talk["id"]))
    return f"/conversations/{talks[index]['id']}/parts"


def test_a_page_holds_twenty_rows_unless_told(served):
    reader = served()

    assert len(reader.data("/apps/1/conversations", include_not_assigned="true")) == 20
    assert len(reader.data("/apps/1/users")["users"]) == 20
    assert len(reader.data("/apps/1/users", count=7)["users"]) == 7
    assert reader.data("/apps/1/users")["total"] == 60


@pytest.mark.parametrize("count", [1, 7, 50])
def test_every_page_size_walks_to_the_same_rows_in_the_same_order(served, count):
    reader = served()
    path = conversation_path(reader, 1)

    assert ids(reader.users()) == ids(reader.walk("/apps/1/users", count=count))
    assert ids(reader.walk(path)) == ids(reader.walk(path, count=count))


def test_conversations_come_by_last_update_newest_first(served):
    reader = served(last_update_format="float")
    times = [talk["last_update"] for talk in reader.conversations()]

    assert sorted(times, reverse=True) == times


def test_users_come_by_last_seen_newest_first_and_those_never_seen_last(served):
    reader = served(users=150)
    seen = [user["props"]["$last_seen"] for user in reader.users()]
    known = [moment for moment in seen if moment is not None]

    assert 0 < len(known) < len(seen)
    assert [*sorted(known, reverse=True), *[None] * (len(seen) - len(known))] == seen


def test_parts_and_events_come_by_id_newest_first_short_ids_last(served):
    reader = served()
    events, parts = ids(reader.walk(event_path(reader, 1))), ids(reader.walk(conversation_path(reader, 1)))

    assert sorted(events, reverse=True) == events
    assert sorted(parts, reverse=True) == parts
    assert min(events) < 10**9 < 2**53 < max(events)


def test_ids_embed_the_time_of_creation(served):
    reader = served()
    row = reader.conversations()[0]

    assert row["created"] == ((int(row["id"]) >> 23) + 1_512_108_000_000) // 1000


@pytest.mark.parametrize(("index", "rows"), [(0, 0), (2, 50), (3, 51), (4, 100)])
@pytest.mark.parametrize("exact_page_ends", [False, True])
def test_a_full_last_page_has_a_token_only_when_set_so(served, index, rows, exact_page_ends):
    reader = served(exact_page_ends=exact_page_ends)
    pages = [len(page) for page in reader.pages(event_path(reader, index), count=50)]
    expected = {0: [0], 50: [50], 51: [50, 1], 100: [50, 50]}[rows]
    extra = [0] if exact_page_ends and expected[-1] == 50 else []

    assert expected + extra == pages


@pytest.mark.parametrize(
    ("setting", "meta"), [("null", {"status": 200, "next_after": None}), ("absent", {"status": 200})]
)
def test_the_last_page_says_null_or_nothing(served, setting, meta):
    reader = served(last_page_token=setting)
    path = conversation_path(reader, 0)

    assert meta == reader.get(path).json()["meta"]


def test_tokens_are_integers_for_ids_and_floats_for_times(served):
    reader = served()
    by_time = reader.page("/apps/1/conversations")[1]
    by_id = reader.page(conversation_path(reader, 1))[1]

    assert len(by_time.split(".")[1]) >= 6
    assert by_id.isdigit()


def test_a_fabricated_time_is_an_exclusive_upper_bound(served):
    reader = served(last_update_format="float")
    rows = reader.conversations()
    bound = repr(rows[10]["last_update"])

    assert ids(r for r in rows if r["last_update"] < rows[10]["last_update"]) == ids(
        reader.walk("/apps/1/conversations", include_not_assigned="true", after=bound)
    )


@pytest.mark.parametrize("path", ["/apps/1/conversations", "/apps/1/users"])
def test_ties_across_a_page_edge_are_lost_with_a_bare_timestamp_and_kept_with_an_id(served, path):
    kept, lost = served(ties=6), served(ties=6, tie_break="timestamp")
    params = {"include_not_assigned": "true"}

    assert len(kept.walk(path, **params)) - len(lost.walk(path, **params)) == 3
    assert len(kept.walk(path, **params)) == len(kept.walk(path, count=1, **params))


def test_offset_paging_ignores_after_and_has_no_token(served):
    reader = served(users_dialect="offset")
    answer = reader.get("/apps/1/users", limit=50, offset=0, after="1.5", count=3).json()
    rest = reader.data("/apps/1/users", limit=50, offset=50)["users"]

    assert answer["meta"] == {"status": 200}
    assert (len(answer["data"]["users"]), len(rest)) == (50, 10)
    assert len({row["id"] for row in answer["data"]["users"] + rest}) == 60


def test_after_paging_ignores_offset_and_limit(served):
    reader = served()

    assert reader.data("/apps/1/users", count=50) == reader.data("/apps/1/users", count=50, limit=3, offset=20)


def test_without_a_version_another_dialect_answers(served):
    reader = served()
    reader.base_url = reader.base_url.removesuffix("/v1")
    path, params = "/apps/1/conversations", {"include_not_assigned": "true", "paginate_count": 50}
    first = reader.get(path, after="1.5", count=3, **params).json()
    position = first["meta"]["next_before_position"]
    second = reader.get(path, paginate_position=str(position), **params).json()

    assert "next_after" not in first["meta"]
    assert second["meta"] == {"status": 200, "next_before_position": None}
    assert len({row["id"] for row in first["data"] + second["data"]}) == 70


def test_v2_pages_parts_by_a_list_with_one_id(served):
    reader = served()
    path = conversation_path(reader, 1)
    v1 = ids(reader.walk(path))
    reader.base_url = reader.base_url.removesuffix("/v1")
    first = reader.get(path, paginate_count=30).json()
    second = reader.get(path, paginate_count=30, paginate_position=str(first["meta"]["next_before_position"])).json()

    assert v1 == ids(first["data"] + second["data"])


def test_without_a_version_nothing_answers_when_set_so(served):
    reader = served(unversioned="404")
    reader.base_url = reader.base_url.removesuffix("/v1")

    assert reader.get("/apps/1/users").status_code == 404


def test_the_user_list_lags_when_set_so(served):
    reader = served(users_lag_seconds=300)
    user_id = reader.users()[-1]["id"]
    reader.sim.life.user_visits(user_id)
    newcomer = reader.sim.life.add_user()
    at_once = [str(user["id"]) for user in reader.users()]
    reader.sim.clock.advance(301)
    later = [str(user["id"]) for user in reader.users()]

    assert (str(user_id), False) == (at_once[-1], newcomer in at_once)
    assert [newcomer, str(user_id)] == later[:2]
    assert reader.data(f"/users/{newcomer}")["presence"] == "online"


def test_a_deleted_user_stays_listed_until_the_lag_is_over(served):
    reader = served(users_lag_seconds=300)
    user_id = reader.users()[0]["id"]
    reader.sim.life.delete_user(user_id)
    at_once = [user["id"] for user in reader.users()]
    reader.sim.clock.advance(301)

    assert user_id in at_once
    assert user_id not in [user["id"] for user in reader.users()]


def test_the_generated_account_has_the_awkward_sizes():
    sim = Simulator(SimulatorSettings())
    parts = [row["parts_count"] for row in sim.truth.rows("conversations")]
    events = list(sim.truth.rows("events"))
    per_user = {row["id"]: 0 for row in sim.truth.rows("users")}
    for event in events:
        per_user[event["user_id"]] += 1

    assert {1, 50, 51, 100, 130} <= set(parts)
    assert {0, 50, 51, 100, 337} <= set(per_user.values())
    assert 9_000 < len(events) < 14_000
    assert 1_200 < sum(parts) < 2_000
