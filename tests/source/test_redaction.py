"""The promise: the API token is in nothing that people or programs may read, in whatever encoding."""

from __future__ import annotations

import html
import json
import logging
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import quote, quote_plus, urlencode

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from dashly.redaction import RedactingFilter, redact, redact_http_logs

TOKEN = "app.12345.s3cr3t/+ =&'\"<ü>"
TOKENS = st.text(st.characters(codec="utf-8", exclude_characters="*\x00"), min_size=6, max_size=40).filter(str.strip)
ENCODINGS = {
    "as it is": str,
    "in a query": lambda token: urlencode({"auth_token": token}),
    "in a query of another library": lambda token: f"auth_token={quote(token)}",
    "quoted": lambda token: quote(token, safe=""),
    "quoted, with plus": quote_plus,
    "quoted in small letters": lambda token: quote(token, safe="").replace("%2F", "%2f").replace("%2B", "%2b"),
    "in a URL inside a URL": lambda token: quote(quote(token, safe=""), safe=""),
    "as Python shows it": repr,
    "in JSON": json.dumps,
    "in JSON with its letters": lambda token: json.dumps(token, ensure_ascii=False),
    "in JSON of PHP": lambda token: json.dumps(token).replace("/", "\\/"),
    "in HTML": html.escape,
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_token_is_recognised_in_every_encoding(encoding: str) -> None:
    written = ENCODINGS[encoding](TOKEN)

    assert "s3cr3t" not in redact(f"refused: {written} sorry", TOKEN)
    assert redact(f"refused: {written} sorry", TOKEN).endswith(" sorry")


@settings(deadline=None)
@given(TOKENS, st.sampled_from(sorted(ENCODINGS)), st.text(max_size=20), st.text(max_size=20))
def test_no_token_survives(token: str, encoding: str, before: str, behind: str) -> None:
    """Of any shape, in any surroundings that do not spell it themselves."""
    written = ENCODINGS[encoding](token)
    scrubbed = redact(f"{before} {written} {behind}", token)

    assert token not in scrubbed.removeprefix(before).removesuffix(behind)
    assert "***" in scrubbed


@settings(deadline=None)
@given(TOKENS)
def test_redacting_twice_changes_nothing_more(token: str) -> None:
    once = redact(f"GET /v1/users?{urlencode({'auth_token': token})}&count=50", token)

    assert once == redact(once, token)
    assert "GET /v1/users?auth_token=***&count=50" == once


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("GET /v1/x?auth_token=unknown&count=50", "GET /v1/x?auth_token=***&count=50"),
        ("export DASHLY_MASK_KEY=unknown", "export DASHLY_MASK_KEY=***"),
        ("GET /v1/x?count=50&AUTH_TOKEN=unknown", "GET /v1/x?count=50&AUTH_TOKEN=***"),
        ("the token app.12345.abc-DEF_9 is old", "the token *** is old"),
        ("at http://user:pass@host/v1", "at http://***@host/v1"),
        ("nothing to hide", "nothing to hide"),
        ("", ""),
    ],
)
def test_what_looks_like_a_secret_is_scrubbed_without_knowing_it(text: str, expected: str) -> None:
    assert expected == redact(text)


# ---- the logs of the HTTP library


class Listener(logging.Handler):
    """Keeps what a log file would hold."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def debug_log() -> Iterator[Listener]:
    """Logging as somebody sets it up who looks for a fault: everything, at level DEBUG."""
    root, listener = logging.getLogger(), Listener()
    level = root.level
    root.addHandler(listener)
    root.setLevel(logging.DEBUG)
    yield listener
    root.setLevel(level)
    root.removeHandler(listener)


def test_a_real_request_logs_its_url_without_the_token(debug_log: Listener, answering_server: str) -> None:
    """urllib3 prints the whole URL at DEBUG: this test fails when it does so through a logger that nobody scrubs."""
    redact_http_logs(TOKEN)
    requests.get(f"{answering_server}/v1/users", params={"auth_token": TOKEN, "count": "50"}, timeout=5)

    assert any('"GET /v1/users?auth_token=***&count=50 HTTP/1.1" 200' in line for line in debug_log.lines)
    assert "s3cr3t" not in "\n".join(debug_log.lines)


def test_a_request_that_fails_and_is_repeated_logs_no_token(debug_log: Listener, closed_port: int) -> None:
    redact_http_logs(TOKEN)
    session = requests.Session()
    retries = requests.adapters.Retry(2, backoff_factor=0)
    session.mount("http://", requests.adapters.HTTPAdapter(max_retries=retries))
    with suppress(requests.ConnectionError):
        session.get(f"http://127.0.0.1:{closed_port}/v1/users", params={"auth_token": TOKEN}, timeout=5)
    session.close()

    assert any("auth_token=***" in line for line in debug_log.lines)
    assert "s3cr3t" not in "\n".join(debug_log.lines)


def test_scrubbing_is_set_up_once_for_each_token() -> None:
    logger = logging.getLogger("urllib3.connectionpool")
    for token in ("first-token", "first-token", "second-token"):
        redact_http_logs(token)
    known = [one for one in logger.filters if isinstance(one, RedactingFilter)]
    first = [one for one in known if one.filter(record := _record("first-token")) and "first" not in record.msg]

    assert 1 == len(first)


def test_the_filter_lets_every_record_through_and_shows_no_token() -> None:
    record = _record("GET %s", "/?auth_token=secret-token")

    assert RedactingFilter("secret-token").filter(record) is True
    assert "GET /?auth_token=***" == record.getMessage()
    assert "secret-token" not in repr(RedactingFilter("secret-token"))


def _record(message: str, *values: object) -> logging.LogRecord:
    return logging.LogRecord("urllib3.connectionpool", logging.DEBUG, "", 0, message, values or None, None)
