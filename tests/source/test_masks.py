"""The promise: what is masked is in nothing that leaves the client, and what is not masked comes through as it came."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dashly.endpoints import RESOURCES
from dashly.envelope import ExactFloat, parse_body, parse_envelope
from dashly.errors import ApiChanged, SettingsError
from dashly.mask_rules import COLUMNS, PROFILES, Method, parse_rules
from dashly.masks import OF_RESOURCE, Masks, make_masks
from dashly.tables import TABLES

KEY = "k3y-of-the-tests-9d1f"


def masks(*rules: str, key: str = KEY) -> Masks:
    made = make_masks(rules, key)
    assert made is not None
    return made


def masked(data: Any, *rules: str, resource: str = "users") -> Any:
    """The `data` of an answer after it was masked."""
    body = json.dumps({"meta": {"status": 200}, "data": data}).encode()
    return json.loads(masks(*rules).apply(body, resource))["data"]


def digest(text: str) -> str:
    """What docs/masking.md promises: anybody with the key can make the same hash."""
    return hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest()[:32]


def refusal(*rules: str, key: str = KEY) -> str:
    with pytest.raises(SettingsError) as raised:
        make_masks(rules, key)
    return str(raised.value)


# ---- one value, wherever it appears


USER = {
    "id": "1448121617782670208",
    "user_id": "27384",
    "removed": None,
    "presence": "online",
    "map_url": "https://maps.example.com/?q=1",
    "props": {
        "$name": "Ann",
        "$email": " Ann@Example.com",
        "$phone": "+7 900 123",
        "$last_seen": "2026-05-17T13:01:32",
    },
    "presence_details": {"$name": "Ann", "$email": "ann@example.com", "$sessions": 3},
    "email_status": {"status": "ok", "email": "ann@example.com"},
    "notes": [{"id": 1, "author": {"id": 7, "name": "Max", "type": "admin"}, "body": "call ann@example.com"}],
    "segments": [{"id": 732, "name": "active", "filters": '[{"value":"ann@example.com"}]'}],
}
ANN = digest("ann@example.com")
PLACES: dict[str, tuple[str, Any]] = {
    "a row of the user list": ("users", {"users": [USER], "total": 1}),
    "one user": ("user_details", USER),
    "a user who is on the site": ("active_users", [USER]),
    "the user of a conversation": ("conversations", [{"id": 1, "user": USER}]),
    "the user of a part inside a conversation": ("conversations", [{"id": 1, "part_last": {"from": USER}}]),
    "the user who wrote a part": ("parts", [{"id": 1, "from": USER}]),
    "the user of a conversation inside a part": ("parts", [{"id": 1, "conversation": {"user": USER}}]),
    "the user of an event": ("events", [{"id": 1, "user": USER}]),
    "the properties of an event": ("events", [{"id": 1, "props": {"$email": "ANN@example.com "}}]),
    "a field that no document knows": ("users", [{"id": 1, "merged_into": {"deep": [USER]}}]),
}


@pytest.mark.parametrize("place", PLACES)
def test_an_email_is_masked_wherever_it_appears(place: str) -> None:
    resource, data = PLACES[place]
    written = json.dumps(masked(data, "users.email=hmac", "user_details.notes=redact", "user_details.segments=redact",
                                resource=resource)).lower()  # fmt: skip

    assert "ann@example.com" not in written
    assert ANN in written
    assert "***" in written or "notes" not in json.dumps(data)


@pytest.mark.parametrize("place", PLACES)
def test_the_profile_leaves_nothing_that_tells_who_it_is(place: str) -> None:
    resource, data = PLACES[place]
    written = json.dumps(masked(data, "pii", resource=resource)).lower()

    assert [] == [word for word in ("ann@", '"ann"', "900 123", "maps.example", "call") if word in written]
    assert ("1448121617782670208" in written) == ("1448121617782670208" in json.dumps(data))
    assert '"max"' in written or '"max"' not in json.dumps(data).lower()


def test_what_no_rule_names_stays_as_it_is() -> None:
    got = masked([USER], "pii")[0]

    for name in ("id", "user_id", "removed", "presence"):
        assert USER[name] == got[name]
    assert "2026-05-17T13:01:32" == got["props"]["$last_seen"]
    assert 3 == got["presence_details"]["$sessions"]
    assert {"status": "ok", "email": ANN} == got["email_status"]
    assert ("active", "***") == (got["segments"][0]["name"], got["segments"][0]["filters"])


def test_bodies_of_messages_are_masked_whole() -> None:
    part = {"id": 5, "type": "reply_user", "body": "<p>I am Ann</p>", "body_json": {"blocks": ["I am Ann"]}}
    part |= {"article": {"id": 3, "title": "For Ann"}, "from": {"id": 7, "name": "Max", "type": "admin"}}
    part |= {"attachments": [{"id": 9, "filename": "ann.png", "url": "https://x/ann.png", "size": 3}]}

    for resource, data in (("parts", [part]), ("conversations", [{"id": 1, "part_last": part, "reply_last": part}])):
        got = masked(data, "pii", resource=resource)[0]
        got = got.get("part_last", got)
        assert "ann" not in json.dumps(got).lower()
        assert (5, "reply_user", "***", "Max") == (got["id"], got["type"], got["body"], got["from"]["name"])
        assert {"id": 9, "filename": "***", "url": "***", "size": 3} == got["attachments"][0]


def test_an_empty_body_stays_empty() -> None:
    """Service entries have none, and that tells nothing of anybody."""
    assert [{"body": "", "tag": "sales"}] == masked(
        [{"body": "", "tag": "sales"}], "parts.body=redact", resource="parts"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("work e-mail", "x"),
            ("Телефон", 79001234567),
            ("ФИО", "Ann"),
            ("client_ip", "x"),
            ("note", "ask a@b.example"),
        ),
        *(("anything", "10.0.3.1"), ("url", "https://x/?m=ann%40b.example"), ("phones", ["1", "2"]), ("name", "Ann")),
    ],
)
def test_the_profile_finds_what_is_personal_by_its_name_or_look(name: str, value: Any) -> None:
    for resource, data in (("users", [{"props_custom": {name: value}}]), ("events", [{"props": {name: value}}])):
        got = masked(data, "pii", resource=resource)[0]
        ((kept_name, hashed),) = next(iter(got.values())).items()

        assert name == kept_name
        assert all(len(one) == 32 for one in (hashed if isinstance(hashed, list) else [hashed]))


def test_the_profile_leaves_what_tells_nothing_of_anybody() -> None:
    props = {"Plan Name": "pro", "calls by phone": 3, "email_opt_in": True, "at": "2026-05-01T10:00:00", "n": 10**30}

    assert [{"props": props}] == masked([{"props": props}], "pii", resource="events")


def test_what_a_visitor_typed_is_masked() -> None:
    """In events of Dashly's own, under names that no document shows; a rule still counts more."""
    props = {"$old": "Ann", "$new": {"x": ["Ann B."]}, "$browser": "Chrome", "at": "2026-05-01", "n": 3}
    event = {"type": {"id": 5, "name": "$name_changed"}, "props": props}
    (got,) = masked([event], "pii", "events.props.$browser=keep", resource="events")

    hashed = {"$old": digest("Ann"), "$new": {"x": [digest("Ann B.")]}}
    assert {**event, "props": {**props, **hashed}} == got
    assert [event] == masked([event], "users.email=hmac", resource="events")


def test_the_strict_profile_takes_all_free_text_too() -> None:
    props = {
        "comment": "I am Ann",
        "at": "2026-05-01T10:00:00",
        "n": 3,
        "ok": True,
        "list": ["Ann"],
        "$browser": "Chrome",
    }
    got = masked([{"props": props, "user_id": "7"}], "pii-strict")[0]

    assert {"at": props["at"], "n": 3, "ok": True, "$browser": "Chrome"}.items() <= got["props"].items()
    assert (digest("I am Ann"), [digest("Ann")]) == (got["props"]["comment"], got["props"]["list"])
    assert digest("7") == got["user_id"]
    assert [{"operators": [{"id": 7, "name": digest("Max")}]}] == masked(
        [{"operators": [{"id": 7, "name": "Max"}]}], "pii-strict", resource="channels"
    )


# ---- methods


def test_the_same_value_gives_the_same_hash() -> None:
    """In whatever column, and as other systems may write it; with another key another one."""
    hashed = masks("users.email=hmac")

    assert digest("ann@example.com") == hashed.digest(" ANN@Example.com\n")
    assert digest("79001234567") == hashed.digest("+7 (900) 123-45-67", phone=True)
    assert digest("Ann") == hashed.digest("Ann ") != hashed.digest("ann")
    assert hashed.digest("Ann") != masks("users.email=hmac", key="another key, as long").digest("Ann")
    assert "" == hashed.digest(" \x00")


@pytest.mark.parametrize("value", ["Ann", 7, True, ["Ann", 7], {"first": "Ann"}, 1.5, 2**70])
def test_every_kind_of_value_is_masked(value: Any) -> None:
    names = ["users.props.Имя=hmac", "users.props.b=redact", "users.props.c=null", "users.props.d=keep"]
    got = masked([{"props_custom": {"Имя": value, "b": value, "c": value, "d": value}}], *names)[0]["props_custom"]

    assert ("***", None, value) == (got["b"], got["c"], got["d"])
    assert json.dumps(value) not in json.dumps(got["Имя"])


def test_a_rule_counts_more_than_a_profile() -> None:
    got = masked([{"props": {"$name": "Ann", "$email": "a@b.example"}}], "users.name=keep", "pii", "users.email=null")

    assert {"$name": "Ann", "$email": None} == got[0]["props"]


# ---- what must come through


KEYS = st.sampled_from(["props", "user", "x", "notes", "part_last", "body", "props_custom", "$name", "id", "data"])
LEAVES = st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(exclude_categories=()), max_size=8)
JSON = st.recursive(
    LEAVES | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | TEXTS, inner, max_size=4),
    max_leaves=14,
)
ABOUT_USERS = [name for name in RESOURCES if name != "channels"]
SECRET = "s3cr3t"
MARKED = st.builds(lambda text: SECRET + text, TEXTS)
PERSONAL = st.one_of(
    st.dictionaries(st.sampled_from(["$email", "$phone", "$name", "$ip"]), MARKED | st.lists(MARKED, max_size=2)),
    st.builds(lambda text: {"props": {"Work e-mail": text, "phone": [text]}}, MARKED),
    st.builds(lambda text: {"x": f"{text} ann@{SECRET}.example"}, TEXTS),
    st.just({"notes": [{"body": SECRET}], "part_last": {"body": SECRET, "attachments": [{"url": SECRET}]}}),
)
WITH_PERSONAL = st.recursive(
    PERSONAL,
    lambda inner: st.lists(inner | JSON, max_size=3) | st.dictionaries(KEYS, inner | JSON, max_size=3),
    max_leaves=8,
)


def exactly(value: Any) -> Any:
    """The value with numbers as they were written, which equal floats need not be."""
    if isinstance(value, dict):
        return {key: exactly(one) for key, one in value.items()}
    if isinstance(value, list):
        return list(map(exactly, value))
    if isinstance(value, float):  # only one of the two bodies may have what orjson is not asked to read
        return ("number", value.text if isinstance(value, ExactFloat) else repr(value))
    return value


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(TEXTS, JSON, max_size=3), WITH_PERSONAL, st.sampled_from(ABOUT_USERS))
@example({"": 0.0}, {"body": [[-1000000000000000000]]}, "conversations")
@example({"next_after": 1.5}, {"user": {"props": {"$email": SECRET + "\ud83d"}}}, "conversations")
def test_whatever_is_in_an_answer_nothing_masked_is_left(meta: dict[str, Any], data: Any, resource: str) -> None:
    """And its `meta`, where the page token is, is as it was."""
    body = json.dumps({"meta": meta, "data": data}).encode()
    out = masks("pii").apply(body, resource)

    assert SECRET not in json.dumps(json.loads(out)["data"])
    assert exactly(parse_body(body)["meta"]) == exactly(parse_body(out)["meta"])


@settings(deadline=None, max_examples=60)
@given(JSON, st.sampled_from(RESOURCES))
def test_what_is_not_masked_is_unchanged(data: Any, resource: str) -> None:
    """To the last digit, lone surrogates included."""
    body = json.dumps({"data": data}).encode()

    assert exactly(parse_body(body)) == exactly(parse_body(masks("users.external_id=hmac").apply(body, resource)))


@pytest.mark.parametrize(
    "token", ["1490617632.34799990", "1E5", "1e999", "1" * 300, "18446744073709551616", '"a\\ud83d"']
)
def test_a_page_token_is_exactly_as_sent(token: str) -> None:
    body = f'{{"meta": {{"status": 200, "next_after": {token}}}, "data": [{{"props": {{"$name": "A"}}}}]}}'.encode()

    assert parse_envelope(body, "x").next_token == parse_envelope(masks("pii").apply(body, "users"), "x").next_token


def test_what_is_nested_too_deeply_is_not_kept() -> None:
    """Below a hundred levels nobody looks, so nothing is handed on; no answer of the API has more than a few."""
    deep: Any = {"$email": SECRET}
    for _ in range(300):
        deep = [deep]
    body = json.dumps({"data": [{"id": 1, "x": deep}, {"$name": deep}]}).encode()

    assert SECRET.encode() not in masks("pii").apply(body, "users")


def test_an_answer_of_thousands_of_levels_is_refused() -> None:
    with pytest.raises(ApiChanged, match="nested too deeply"):
        masks("pii").apply(b'{"meta": ' + b"[" * 100_000 + b"]" * 100_000 + b', "data": []}', "users")


# ---- settings


def test_no_rules_are_no_masks() -> None:
    assert make_masks([]) is None
    assert make_masks(["", " , "], KEY) is None


def test_rules_are_separated_by_commas_which_names_may_hold() -> None:
    written = "pii, users.props.Доход, ₽=hmac,users.props.a=b=null , users.name=keep"
    rules = parse_rules([written])
    assert rules is not None

    assert rules == parse_rules(["pii", "users.props.Доход, ₽=hmac", "users.props.a=b=null", "users.name=keep"])
    assert {"Доход, ₽", "a=b", "$name"} <= {key for _, key in rules.at}


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("users.id=hmac", "'users.id' cannot be masked: ids, keys, times"),
        ("parts.conversation_id=hmac", "'parts.conversation_id' cannot be masked"),
        ("conversations.parts_count=null", "cannot be masked"),
        ("users.last_seen_at=null", "cannot be masked"),
        ("users.props.$last_seen=null", "cannot be masked"),
        ("users.extra.props=null", "cannot be masked"),
        ("users._synced_at=null", "cannot be masked"),
        ("users.mail=hmac", "names no column of users. Did you mean users.email? What can be masked: active_users."),
        ("people.email=hmac", "names no table"),
        ("users.props=hmac", "does not say which value in that column"),
        ("users.email", "is no rule and no profile. Write TABLE.COLUMN=METHOD"),
        ("gdpr", "is no rule and no profile"),
        ("users.email=md5", "has no method 'md5'. There are: hmac, redact, null, keep"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(rule: str, said: str) -> None:
    assert said in refusal(rule)


@pytest.mark.parametrize("rules", [["pii"], ["users.email=hmac"], ["pii-strict"]])
def test_hashes_need_a_key(rules: list[str]) -> None:
    assert "no mask key" in refusal(*rules, key=" ")
    assert "DASHLY_MASK_KEY" in refusal(*rules, key="")
    assert "the mask key has 5 characters, fewer than 16. Make one with `openssl rand" in refusal(*rules, key="short")


def test_constants_need_no_key() -> None:
    assert make_masks(["users.email=redact", "parts.body=null"]) is not None


def test_the_key_shows_nowhere() -> None:
    made = masks("pii")

    assert f"Masks({made.fingerprint})" == repr(made)
    assert KEY not in refusal("pii", "nothing")


def test_the_fingerprint_tells_other_rules_and_other_keys() -> None:
    same = [masks("pii").fingerprint, masks("pii", key=f" {KEY}\n").fingerprint]
    other = [masks("pii-strict"), masks("pii", "users.name=keep"), masks("pii", key="another key, as long")]

    assert same[0] == same[1]
    assert 4 == len({same[0], *(one.fingerprint for one in other)})
    assert (
        masks("users.name=null", "users.email=null").fingerprint
        == masks("users.email=null,users.name=null").fingerprint
    )


def test_all_that_is_named_exists() -> None:
    """A column that is renamed takes its mask along, and a new resource says what its records are."""
    assert set(RESOURCES) == set(OF_RESOURCE)
    assert all(column in TABLES[table].columns() for table, column in (name.split(".") for name in COLUMNS))
    for profile in PROFILES:
        assert parse_rules([profile]) is not None
    assert {Method.HMAC, Method.REDACT} == set(PROFILES["pii-strict"].values())


def test_the_page_about_masks_names_all_that_can_be_masked() -> None:
    page = (Path(__file__).parents[2] / "docs" / "masking.md").read_text(encoding="utf-8")
    names = [*COLUMNS, *(name for profile in PROFILES.values() for name in profile), *Method, *PROFILES]

    assert [] == [name for name in names if f"`{name}`" not in page and f"{name.rpartition('.')[2]}`" not in page]


def test_a_hash_in_the_page_about_masks_is_what_the_code_makes() -> None:
    """The example's, and what `openssl dgst -hmac` says of it."""
    page = (Path(__file__).parents[2] / "docs" / "masking.md").read_text(encoding="utf-8")

    assert f"{ANN} │" in page
