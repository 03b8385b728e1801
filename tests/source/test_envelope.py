"""The promise: a page token goes back exactly as it came, and whatever answers, the error says what to do."""

from __future__ import annotations

import json
import traceback
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashly.envelope import BrokenBody, ExactFloat, parse_body, parse_envelope, raise_for_error
from dashly.errors import (
    AccessError,
    ApiChanged,
    ApiUnavailable,
    DashlyError,
    RateLimited,
    RecordForbidden,
    RecordGone,
    RequestRefused,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=12,
)
WHERE = "conversations (/apps/$self_app/conversations)"


def with_token(written: str) -> bytes:
    return f'{{"meta": {{"status": 200, "next_after": {written}}}, "data": []}}'.encode()


def failed(status: int, name: str, **fields: Any) -> bytes:
    return json.dumps({"meta": {"status": status, "error": name, **fields}, "data": {}}).encode()


def error_of(body: bytes, status: int | None = None) -> DashlyError:
    with pytest.raises(DashlyError) as raised:
        parse_envelope(body, WHERE, status)
    return raised.value


# ---- page tokens


@pytest.mark.parametrize(
    "written",
    [
        *("1490617632.34799990", "1447339319.900966", "0.10", "1E5", "1.0e3", "-0.0", "335695472"),
        *("1448121617782670208", "18446744073709551615", "1" * 300, "1e999", "1447339319.9009660000000000000000001"),
    ],
)
def test_a_page_token_is_kept_exactly_as_sent(written: str) -> None:
    """A float would lose the last digits, and with them the place in the list."""
    assert written == parse_envelope(with_token(written), WHERE).next_token


def test_a_page_token_may_be_text() -> None:
    assert "1490617632.34799990" == parse_envelope(with_token('"1490617632.34799990"'), WHERE).next_token


def test_the_last_page_says_null_or_nothing() -> None:
    """Both mean the end of the list; only the first names a token, which tells the dialects apart."""
    null = parse_envelope(with_token("null"), WHERE)
    absent = parse_envelope(b'{"meta": {"status": 200}, "data": []}', WHERE)

    assert (None, True) == (null.next_token, null.names_next_token)
    assert (None, False) == (absent.next_token, absent.names_next_token)


@settings(deadline=None)
@given(st.decimals(allow_nan=False, allow_infinity=False), st.integers(0, 2**64))
def test_any_number_goes_back_as_it_came(fraction: Any, whole: int) -> None:
    for written in (str(fraction), str(whole), f"{whole}.{whole}"):
        assert written == parse_envelope(with_token(written), WHERE).next_token


def test_an_exact_float_is_a_float() -> None:
    assert 1447339319.900966 == ExactFloat("1447339319.900966")
    assert "1447339319.900966" == json.dumps(ExactFloat("1447339319.900966"))


def test_data_and_meta_are_what_was_sent() -> None:
    envelope = parse_envelope(b'\xef\xbb\xbf{"meta": {"status": 200, "new": 1}, "data": {"users": []}}', WHERE, 200)

    assert {"users": []} == envelope.data
    assert 1 == envelope.meta["new"]


# ---- errors of the API

NINE = [
    (405, "MethodNotAllowed", RequestRefused),
    (404, "Error404", RequestRefused),
    (401, "NotAuthenticated", AccessError),
    (403, "PermissionDeniedError", RecordForbidden),
    (429, "TooManyRequests", RateLimited),
    (400, "ValidationError", RequestRefused),
    (400, "BadRequest", RequestRefused),
    (400, "LookupError", RecordGone),
    (500, "Error500", ApiUnavailable),
]
ELSEWHERE = [
    (401, "AuthenticationFailed", AccessError),  # the name on other pages of the documents
    (403, "PermissionDenied", RecordForbidden),
    (400, "ReplyTooBig", RequestRefused),
    (418, "NobodyKnowsIt", RequestRefused),
    (503, "LookupError", ApiUnavailable),  # the status decides first
    (401, "LookupError", AccessError),
    (302, "Moved", ApiChanged),
    (0, "LookupError", ApiChanged),
]


@pytest.mark.parametrize(("status", "name", "kind"), NINE + ELSEWHERE)
def test_each_error_of_the_api_is_ours_of_its_kind(status: int, name: str, kind: type[DashlyError]) -> None:
    """Whether the HTTP status says so, or only the envelope."""
    body = failed(status, name, error_message="it rains")
    by_http, by_envelope = error_of(body, status), error_of(body)

    assert kind is type(by_http) is type(by_envelope)
    assert str(by_http).startswith(f"{WHERE}: {status} {name}: it rains")


def test_an_error_behind_a_200_is_an_error() -> None:
    assert AccessError is type(error_of(failed(401, "NotAuthenticated"), 200))


@pytest.mark.parametrize(
    ("status", "name", "mend"),
    [
        (401, "NotAuthenticated", "set DASHLY_AUTH_TOKEN"),
        (403, "PermissionDeniedError", "check the app id"),
        (404, "Error404", "it has to end in /v1"),
        (400, "ValidationError", "run `dashly-sync check`"),
    ],
)
def test_an_error_ends_with_what_to_do(status: int, name: str, mend: str) -> None:
    assert mend in error_of(failed(status, name)).mend


def test_a_validation_error_names_the_fields() -> None:
    error = error_of(failed(400, "ValidationError", error_fields={"count": ["too large"]}))

    assert f'{WHERE}: 400 ValidationError, fields {{"count":["too large"]}}. The API' in str(error)


def test_an_error_without_a_name_is_still_one() -> None:
    with pytest.raises(RequestRefused, match=r"x: 400 no error name$"):
        raise_for_error(400, {}, "x")


# ---- what is no envelope


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"<html><title>502 Bad Gateway</title></html>", b'{"meta": {"status": 200}, "data": [', b"[]", b'"x"'),
        *(b"7", b"null", b"NaN", b'{"a": NaN}', b'{"a": Infinity}', b"\xff\xfe\x00", b'{"a": "\xff"}', b"{'a': 1}"),
        *(b'{"a": ' + b"9" * 5000 + b"}", b"[" * 100_000),
    ],
)
def test_a_body_that_is_no_json_object_is_worth_a_retry(body: bytes) -> None:
    """And its error carries an excerpt, not the body: no cause, no context, which log everything."""
    with pytest.raises(BrokenBody, match="no JSON object, beginning ") as raised:
        parse_body(body)

    assert raised.value.__context__ is None
    assert 200 > len(str(raised.value))


@pytest.mark.parametrize(
    ("body", "seen"),
    [
        (b"{}", "got keys none"),
        (b'{"data": [], "error": 1}', "got keys data, error"),
        (b'{"meta": null, "data": []}', "got keys data, meta"),
        (b'{"meta": [], "data": []}', "got keys data, meta"),
    ],
)
def test_an_answer_without_meta_is_news_of_the_api(body: bytes, seen: str) -> None:
    with pytest.raises(ApiChanged, match=f"the answer has no `meta`; {seen}"):
        parse_envelope(body, WHERE, 200)


@pytest.mark.parametrize("status", ["[]", "{}", '"200"', "null", "201", "false", "1e999"])
def test_a_status_that_no_document_describes_is_news_of_the_api(status: str) -> None:
    with pytest.raises(ApiChanged):
        parse_envelope(f'{{"meta": {{"status": {status}}}, "data": []}}'.encode(), WHERE)


# ---- anything


@settings(deadline=None)
@given(JSON, JSON, st.sampled_from([None, 200, 400, 401, 403, 404, 429, 500, 302]))
def test_arbitrary_json_raises_only_our_errors(anything: Any, other: Any, status: int | None) -> None:
    bodies = [
        anything,
        {"meta": anything, "data": other},
        {"meta": {"status": 200, "next_after": anything}, "data": other},
        {"meta": {"status": anything, "error": other}},
        {"meta": {"status": 400, "error": anything, "error_message": other, "error_fields": anything}},
    ]
    for body in bodies:
        with suppress(BrokenBody, DashlyError):
            assert isinstance(parse_envelope(json.dumps(body).encode(), WHERE, status).next_token, str | None)


@settings(deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode()))
def test_arbitrary_bytes_raise_only_our_errors(body: bytes) -> None:
    with suppress(BrokenBody, DashlyError):
        parse_envelope(body, WHERE)


@settings(deadline=None)
@given(st.integers(0, 200))
def test_a_body_cut_anywhere_is_worth_a_retry(length: int) -> None:
    """Never an empty page: a proxy that gives up in the middle must not end a list."""
    whole = json.dumps({"meta": {"status": 200, "next_after": 1447339319.900966}, "data": [{"id": 1}] * 20}).encode()
    with pytest.raises(BrokenBody):
        parse_envelope(whole[:length], WHERE)


def test_errors_show_their_mend_wherever_they_are_printed() -> None:
    error = AccessError("no", "Do this")

    assert "no. Do this" == str(error)
    assert "no. Do this" in "".join(traceback.format_exception_only(error))
    assert "no" == str(AccessError("no"))
