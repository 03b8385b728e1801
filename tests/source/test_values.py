"""The promise: whatever the API writes, ids and times arrive exactly, text without poison, and nothing raises."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashly.envelope import parse_body
from dashly.values import (
    boolean,
    from_microseconds,
    id_number,
    identifier,
    integer,
    json_column,
    json_text,
    json_type,
    microseconds,
    text,
    timestamp,
)

ANY_TEXT = st.text(st.characters(exclude_categories=()))  # lone surrogates too
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=12,
)
MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - as hypothesis wants


def sent(value: str) -> Any:
    """A value as it comes out of a body, floats exact as text too."""
    return parse_body(f'{{"value": {value}}}'.encode())["value"]


def deep(levels: int = 3000, key: str = "id") -> dict[str, Any]:
    """An object so deep that neither Python's nor C's stack can follow it."""
    nested: dict[str, Any] = {}
    for _ in range(levels):
        nested = {key: nested}
    return nested


# ---- ids


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1448121617782670208, "1448121617782670208"),
        (2**53 + 1, "9007199254740993"),
        (2**64 - 1, "18446744073709551615"),
        ("1448121617782670208", "1448121617782670208"),
        ({"id": 2**64 - 1}, "18446744073709551615"),
        ({"id": {"id": 7}}, "7"),
        (7, "7"),
        (0, "0"),
    ],
)
def test_an_id_keeps_every_digit_however_it_is_sent(value: Any, expected: str) -> None:
    assert expected == identifier(value)


@pytest.mark.parametrize(
    "value", [None, "", True, False, {}, {"id": None}, {"id": ""}, {"name": "Max"}, "\x00", "\ud800"]
)
def test_what_is_no_id_is_none(value: Any) -> None:
    assert identifier(value) is None


def test_ids_are_compared_as_numbers() -> None:
    """Old ids have 7 to 9 digits, new ones 19: as text the old ones would be the newest."""
    assert id_number({"id": "7936880"}) < id_number({"id": "1448121617782670208"})  # type: ignore[operator]


@pytest.mark.parametrize("value", ["abc", "1.5", "-3", "²", None, True, "9" * 5000, {}])
def test_an_id_that_is_no_number_has_no_place_in_an_order(value: Any) -> None:
    """5,000 digits are more than `int` reads."""
    assert id_number({"id": value}) is None


@settings(deadline=None)
@given(st.integers(0, 2**64 - 1), st.booleans())
def test_ids_survive_the_round_trip(number: int, as_string: bool) -> None:
    """As a number or with `id_as_string=true`, from the body to the text in the warehouse and back to a number."""
    body = json.dumps({"id": str(number) if as_string else number}).encode()

    assert str(number) == identifier(parse_body(body)["id"])
    assert number == id_number(parse_body(body))


# ---- times


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1450420434, 1_450_420_434_000_000),
        (sent("1436614153.123456"), 1_436_614_153_123_456),
        (sent("1447339319.900966"), 1_447_339_319_900_966),
        (sent("1490617632.34799990"), 1_490_617_632_348_000),
        (1447339319.900966, 1_447_339_319_900_966),
        ("1447339319.900966", 1_447_339_319_900_966),
        (sent("1.450420434e9"), 1_450_420_434_000_000),
        ("2026-05-17T13:01:32", 1_779_022_892_000_000),
        ("2026-05-17T13:01:32Z", 1_779_022_892_000_000),
        ("2026-05-17T16:01:32+03:00", 1_779_022_892_000_000),
        ("2026-05-17T13:01:32.000001", 1_779_022_892_000_001),
        (" 2026-05-17 ", 1_778_976_000_000_000),
        (0, 0),
        (-1, -1_000_000),
    ],
)
def test_a_time_is_exact_to_the_microsecond(value: Any, expected: int) -> None:
    """Unix seconds, whole or with a fraction; ISO 8601 with a zone, and without one in UTC."""
    assert expected == microseconds(value)


NO_TIMES = [
    *(None, True, False, "", "yesterday", "2026-13-01", "2026-05-17T25:00:00", [], [1450420434], {}, {"t": 1}),
    *(float("nan"), float("inf"), float("-inf"), sent("1e999"), sent("-1e999"), 1e300, 10**400, "9" * 5000),
    *(253_402_300_800, -62_135_596_801, "9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+23:59", "10000-01-01"),
]


@pytest.mark.parametrize("value", NO_TIMES)
def test_what_is_no_time_is_none(value: Any) -> None:
    """Also what is one, but before the year 1 or after 9999, which no timestamp holds."""
    assert microseconds(value) is None
    assert timestamp(value) is None


@pytest.mark.parametrize("value", [253_402_300_799, -62_135_596_800])
def test_the_first_and_the_last_second_of_the_calendar_are_times(value: int) -> None:
    assert value == int(timestamp(value).timestamp())  # type: ignore[union-attr]


@settings(deadline=None)
@given(MOMENTS)
def test_microsecond_times_survive_the_round_trip(moment: datetime) -> None:
    """In each way the API writes a time."""
    whole = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    written = f"{whole // 1_000_000}.{whole % 1_000_000:06}"

    assert moment == from_microseconds(whole)
    assert moment == timestamp(sent(written))
    assert moment == timestamp(float(written))
    assert moment == timestamp(written)
    assert moment == timestamp(moment.isoformat())
    assert moment == timestamp(moment.replace(tzinfo=None).isoformat())
    assert moment == timestamp(moment.astimezone(timezone(timedelta(hours=-7))).isoformat())


# ---- text and JSON


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("", ""),
        ("a\x00b", "ab"),
        ("a\ud800b\udfff", "ab"),
        ("Ёж 🦔", "Ёж 🦔"),
        ("\\u0000", "\\u0000"),
        (12, "12"),
        (10**30, str(10**30)),
        (True, "true"),
        (["a", 1], '["a",1]'),
        ({"План": None}, '{"План":null}'),
    ],
)
def test_text_is_the_text_without_what_no_database_takes(value: Any, expected: str | None) -> None:
    assert expected == text(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": "x\x00y"}, {"a": "xy"}),
        ({"a\x00": 1}, {"a": 1}),
        ({"a": "\x00\x00"}, {"a": ""}),
        ({"a": "\ud83d"}, {"a": ""}),
        ({"a": "\ud83e\udd94"}, {"a": ""}),  # two lone halves in Python; `json.loads` makes one character of a pair
        ({"a": "\\u0000"}, {"a": "\\u0000"}),
        ({"a": "\\\x00"}, {"a": "\\"}),
        ({"a": "\\\\u0000\x00"}, {"a": "\\\\u0000"}),
        ({"a": 2**70}, {"a": 2**70}),
        ([[[{"b": [None, True, 1.5]}]]], [[[{"b": [None, True, 1.5]}]]]),
    ],
)
def test_json_text_is_the_value_without_poison(value: Any, expected: Any) -> None:
    """And a text that only looks like an escaped NUL is kept."""
    assert expected == json.loads(json_text(value))


def test_json_text_keeps_the_order_and_the_letters_of_keys() -> None:
    assert '{"План":1,"Plan Name":2,"$plan":3}' == json_text({"План": 1, "Plan Name": 2, "$plan": 3})


def test_a_number_beyond_a_float_does_not_cost_the_rest_of_the_record() -> None:
    """1e999 is valid JSON, infinite in Python, and no JSON again; what stands beside it stays what it is."""
    assert {"a": ["Infinity", "-Infinity"], "b": {"c": 1}} == json.loads(
        json_text(sent('{"a": [1e999, -1e999], "b": {"c": 1}}'))
    )


def test_a_null_column_is_null_and_not_the_word() -> None:
    assert json_column(None) is None
    assert "{}" == json_column({})


@settings(deadline=None)
@given(JSON)
def test_json_text_is_json_that_every_destination_takes(value: Any) -> None:
    """No NUL, no surrogate, no NaN, and valid to the strictest reader."""
    written = json_text(value)
    json.loads(written, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    written.encode("utf-8")

    assert "\x00" not in written
    assert "\x00" not in str(json.loads(written))


@settings(deadline=None)
@given(ANY_TEXT)
def test_a_text_in_json_is_the_same_as_alone(value: str) -> None:
    assert text(value) == json.loads(json_text(value))


# ---- truth values, numbers, kinds


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        *((value, False) for value in (False, 0, "", "0", "false", "FALSE", " False ")),
        *((value, True) for value in (True, 1, "1", "true", "no", "off", [], {}, 2)),
    ],
)
def test_any_word_but_false_is_true(value: Any, expected: bool | None) -> None:
    """The API's own rule (api-reference.md, section 1.2): `closed=no` means true."""
    assert boolean(value) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(5, 5), ("5", 5), (2**63 - 1, 2**63 - 1), (2**63, None), (-(2**63) - 1, None), ("many", None), (None, None)],
)
def test_a_whole_number_fits_64_bits_or_is_none(value: Any, expected: int | None) -> None:
    assert expected == integer(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("a", "string"), (1, "number"), (1.5, "number"), (True, "boolean"), ([], "list"), ({}, "object"), (None, "null")],
)
def test_a_value_has_the_kind_that_json_says(value: Any, expected: str) -> None:
    assert expected == json_type(value)


FUNCTIONS = [text, identifier, boolean, integer, microseconds, timestamp, json_text, json_column, json_type]


@settings(deadline=None)
@given(JSON)
def test_nothing_that_json_can_say_raises(value: Any) -> None:
    for function in FUNCTIONS:
        function(value)
    id_number({"id": value})


@pytest.mark.parametrize("function", [*FUNCTIONS, id_number])
def test_no_depth_raises(function: Any) -> None:
    """Newer Pythons read JSON deeper than they follow it elsewhere."""
    function(deep())
    function({"id": [deep()], "x": float("inf")})
