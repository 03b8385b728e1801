"""The promise: every answer becomes an envelope or an error that says what to do, and the token is in none of them."""

from __future__ import annotations

import json
import pickle
import random
import ssl
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests
from urllib3.exceptions import (
    ConnectTimeoutError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from dashly.allowance import Allowance
from dashly.client import SELF_APP, DashlyClient, RetryPolicy
from dashly.connection import check_base_url, never_left
from dashly.errors import (
    AccessError,
    ApiChanged,
    ApiUnavailable,
    DashlyError,
    RateLimited,
    RecordForbidden,
    RecordGone,
    RequestRefused,
    SettingsError,
    Stopped,
    Uncertain,
)
from dashly_simulator import Simulator, SimulatorSettings, serve
from dashly_state.budget import RateLimit, RequestBudget
from dashly_state.clock import Clock, SystemClock, VirtualClock
from dashly_state.directory import StateDirectory

TOKEN = "s3cr3t/+&token=of-some-shape"
BASE_URL = "https://api.example.org/v1"
CALM = RetryPolicy(jitter_seconds=0.0)
"""Exactly exponential, so that waits can be compared."""
PAGE: dict[str, Any] = {"meta": {"status": 200, "next_after": None}, "data": [{"id": 1}]}
USERS = "/apps/$self_app/users"
EVENTS = "/users/7/events"


# ---- what the API answers


Answering = Callable[[], requests.Response]


def response(status: int, body: bytes | dict[str, Any], **headers: str) -> requests.Response:
    made = requests.Response()
    made.status_code = status
    made._content = body if isinstance(body, bytes) else json.dumps(body).encode()
    made.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return made


def good() -> requests.Response:
    return response(200, PAGE)


def failed(status: int, name: str, message: str = "") -> Answering:
    return lambda: response(status, {"meta": {"status": status, "error": name, "error_message": message}, "data": {}})


def html(status: int) -> Answering:
    return lambda: response(status, b"<html><title>502 Bad Gateway</title></html>")


def too_many(**headers: str) -> Answering:
    return lambda: response(429, {"meta": {"status": 429, "error": "TooManyRequests"}, "data": {}}, **headers)


def cut() -> requests.Response:
    return response(200, json.dumps(PAGE).encode()[:-9])


def raising(kind: type[requests.RequestException]) -> Answering:
    """Fails as `requests` does: the URL is in the text, and the whole request hangs on the error."""

    def fail() -> requests.Response:
        url = requests.Request("GET", BASE_URL, params={"auth_token": TOKEN}).prepare().url
        raise kind(f"no answer from {url}", request=requests.Request("GET", url))

    return fail


class ScriptedSession:
    """The seam for HTTP: answers what it is told, in turn, the last one for ever, and remembers what was asked."""

    def __init__(self, clock: Clock, *script: Answering) -> None:
        self._clock, self._script = clock, list(script)
        self._lock = threading.Lock()
        self.asked: list[dict[str, Any]] = []
        self.times: list[float] = []

    def request(self, method: str, url: str, **options: Any) -> requests.Response:
        with self._lock:
            self.asked.append({"method": method, "url": url, **options})
            self.times.append(self._clock.monotonic())
            answer = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        return answer()

    @property
    def waits(self) -> list[float]:
        """Seconds between one request and the next."""
        return [later - earlier for earlier, later in zip(self.times, self.times[1:], strict=False)]


class Bench:
    """A client on a scripted API, with a clock on which a wait takes no time."""

    def __init__(self, folder: Path, *script: Answering, limit: str = "1000/60", **options: Any) -> None:
        self.clock = VirtualClock()
        self.session = ScriptedSession(self.clock, *script)
        self.budget = RequestBudget(
            folder / "budget.sqlite", TOKEN, RateLimit.parse(limit), self.clock, safety_share=0.0
        )
        options = {"base_url": BASE_URL, "session": self.session, "clock": self.clock, "retry": CALM, **options}
        self.client = DashlyClient(TOKEN, self.budget, **options)

    def get(self, where: str = "users") -> Any:
        return self.client.get(USERS, {"count": "50"}, where)

    def error(self) -> DashlyError:
        with pytest.raises(DashlyError) as raised:
            self.get()
        return raised.value

    def post(self) -> Any:
        return self.client.post(EVENTS, {"event": "слон & co"}, "event")

    def post_error(self) -> DashlyError:
        with pytest.raises(DashlyError) as raised:
            self.post()
        return raised.value


Opener = Callable[..., Bench]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Opener]:
    """A function that makes a client whose API answers by a script."""
    opened: list[Bench] = []

    def open_one(*script: Answering, **options: Any) -> Bench:
        opened.append(Bench(tmp_path, *script, **options))
        return opened[-1]

    yield open_one
    for one in opened:
        one.budget.close()


# ---- a request and its answer


def test_an_answer_is_its_body_its_envelope_and_when_it_came(bench: Opener) -> None:
    api = bench(good)
    answer = api.get()

    assert json.dumps(PAGE).encode() == answer.body
    assert [{"id": 1}] == answer.envelope.data
    assert api.clock.now() == answer.fetched_at
    assert 1 == api.client.requests_sent == len(api.session.asked)


def test_a_request_carries_the_token_a_name_and_time_outs_and_follows_no_redirect(bench: Opener) -> None:
    api = bench(good)
    api.get()
    (asked,) = api.session.asked

    assert ("GET", f"{BASE_URL}{USERS}") == (asked["method"], asked["url"])
    assert {"count": "50", "auth_token": TOKEN} == asked["params"]
    assert asked["allow_redirects"] is False
    assert "dashly-sync" == asked["headers"]["User-Agent"]
    assert sum(asked["timeout"]) < 120, "the budget gives a lease up after 120 s"


def test_without_a_token_nothing_is_asked(tmp_path: Path) -> None:
    message = r"no API token\. Looked for DASHLY_AUTH_TOKEN, .* Create one in"
    with (
        RequestBudget(tmp_path / "b.sqlite", "", RateLimit(1, 1.0)) as budget,
        pytest.raises(SettingsError, match=message),
    ):
        DashlyClient("", budget)


def test_without_an_app_the_token_says_which(bench: Opener) -> None:
    assert SELF_APP == bench(good, app_id="").client.app_id


# ---- no usable answer

BAD_MOMENTS = {
    "the API's own error": failed(500, "Error500"),
    "a proxy's page": html(502),
    "a proxy's page that says 200": html(200),
    "a body cut off": cut,
    "a body that is empty": lambda: response(200, b""),
    "a body of another kind": lambda: response(200, b"[]"),
    "a connection reset": raising(requests.ConnectionError),
    "a time-out": raising(requests.ReadTimeout),
    "a body that ends early": raising(requests.exceptions.ChunkedEncodingError),
    "an error behind a 200": lambda: response(200, {"meta": {"status": 503, "error": "Maintenance"}}),
}


@pytest.mark.parametrize("moment", BAD_MOMENTS)
def test_a_bad_moment_is_waited_out_longer_each_time(bench: Opener, moment: str) -> None:
    """1, 2, 4, 8 and 16 seconds: half a minute, the length of a restart."""
    bad = BAD_MOMENTS[moment]
    api = bench(bad, bad, bad, bad, bad, good)

    assert [{"id": 1}] == api.get().envelope.data
    assert [1.0, 2.0, 4.0, 8.0, 16.0] == api.session.waits
    assert 6 == api.client.requests_sent


@pytest.mark.parametrize("moment", BAD_MOMENTS)
def test_after_all_attempts_the_api_is_unavailable(bench: Opener, moment: str) -> None:
    api = bench(BAD_MOMENTS[moment])
    error = api.error()

    assert ApiUnavailable is type(error)
    assert str(error).startswith(f"users ({USERS}): no usable answer in 6 attempts; the last: ")
    assert "run again when the API answers" in error.mend
    assert 6 == len(api.session.asked)


def test_the_last_error_says_what_was_seen(bench: Opener) -> None:
    """An HTML page too, of which the first words are enough."""
    assert "502 no error name: 43 characters that are no JSON object, beginning '<html><title>502" in str(
        bench(html(502)).error()
    )


def test_waits_end_at_the_longest_and_differ_from_client_to_client(bench: Opener) -> None:
    policy = RetryPolicy(attempts=8, first_wait_seconds=1.0, longest_wait_seconds=5.0, jitter_seconds=0.5)
    random.seed(7)
    api = bench(html(502), retry=policy)
    api.error()

    assert 7 == len(api.session.waits)
    for wait, least in zip(api.session.waits, (1, 2, 4, 5, 5, 5, 5), strict=True):
        assert least <= round(wait, 6) <= least + 0.5
    assert not all(wait.is_integer() for wait in api.session.waits)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (failed(400, "ValidationError"), RequestRefused),
        (failed(400, "LookupError"), RecordGone),
        (failed(401, "NotAuthenticated"), AccessError),
        (failed(403, "PermissionDeniedError"), RecordForbidden),
        (failed(404, "Error404"), RequestRefused),
        (failed(405, "MethodNotAllowed"), RequestRefused),
        (html(401), AccessError),
        (html(404), RequestRefused),
        (lambda: response(404, b"[]"), RequestRefused),
        (lambda: response(400, {"meta": 7}), RequestRefused),
        (lambda: response(204, b""), ApiChanged),
        (lambda: response(200, {"data": []}), ApiChanged),
        (lambda: response(302, b"", Location="https://login.example.org/?auth_token=x"), RequestRefused),
        (lambda: response(301, b""), RequestRefused),
    ],
)
def test_what_no_retry_mends_is_asked_once(bench: Opener, answer: Answering, kind: type[DashlyError]) -> None:
    api = bench(answer)
    error = api.error()

    assert kind is type(error)
    assert str(error).startswith(f"users ({USERS}): ")
    assert 1 == len(api.session.asked)


def test_a_redirect_is_refused_with_where_it_led(bench: Opener) -> None:
    """Followed, it would carry the token to another host."""
    api = bench(lambda: response(301, b"", Location="https://www.example.org/login?next=1"))

    assert (
        f"users ({USERS}): redirected to https://www.example.org/login. Check the base URL (https, host, /v1)"
        == str(api.error())
    )


# ---- a write


def test_a_write_is_a_form_that_carries_the_token(bench: Opener) -> None:
    """Not in the address, which proxies write down."""
    api = bench(good)
    api.post()
    (asked,) = api.session.asked

    assert ("POST", f"{BASE_URL}{EVENTS}", None) == (asked["method"], asked["url"], asked["params"])
    assert {"event": "слон & co", "auth_token": TOKEN} == asked["data"]
    assert asked["allow_redirects"] is False


@pytest.mark.parametrize("moment", [*BAD_MOMENTS, "a status without a body", "an answer of an unknown shape"])
def test_a_write_that_may_have_taken_effect_is_uncertain_and_not_sent_again(bench: Opener, moment: str) -> None:
    api = bench(MORE_BAD_MOMENTS.get(moment) or BAD_MOMENTS[moment], good)
    error = api.post_error()

    assert Uncertain is type(error)
    assert str(error).startswith(f"event ({EVENTS}): ")
    assert "look in Dashly before you send it again" in error.mend
    assert 1 == len(api.session.asked) == api.client.requests_sent
    assert 1 == api.budget.usage().started, "it has its place in the budget, whatever became of it"


MORE_BAD_MOMENTS: dict[str, Answering] = {
    "a status without a body": lambda: response(204, b""),
    "an answer of an unknown shape": lambda: response(200, {"data": []}),
}


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (failed(400, "ValidationError"), RequestRefused),
        (failed(400, "LookupError"), RecordGone),
        (failed(401, "NotAuthenticated"), AccessError),
        (failed(403, "PermissionDeniedError"), RecordForbidden),
        (html(404), RequestRefused),
        (lambda: response(301, b""), RequestRefused),
    ],
)
def test_a_write_that_is_refused_says_why_and_is_not_sent_again(
    bench: Opener, answer: Answering, kind: type[DashlyError]
) -> None:
    api = bench(answer, good)

    assert kind is type(api.post_error())
    assert 1 == len(api.session.asked)


def test_a_write_that_met_a_429_is_sent_again(bench: Opener) -> None:
    api = bench(too_many(Retry_After="7"), too_many(), good)
    api.post()

    assert [7.0, 61.0] == [pytest.approx(wait, abs=0.01) for wait in api.session.waits]


def test_a_write_to_a_server_that_is_not_there_is_tried_again_and_certainly_not_sent(
    bench: Opener, closed_port: int
) -> None:
    with requests.Session() as session:
        api = bench(good, base_url=f"http://127.0.0.1:{closed_port}/v1", session=session)
        error = api.post_error()

    assert ApiUnavailable is type(error)
    assert "in 6 attempts; the last: event" in str(error)
    assert "Nothing was sent" in error.mend
    assert 6 == api.client.requests_sent


BEFORE_SENDING: dict[str, requests.RequestException] = {
    "refused": requests.ConnectionError(MaxRetryError(None, "", NewConnectionError(None, "refused"))),  # type: ignore[arg-type]
    "no such name": requests.ConnectionError(MaxRetryError(None, "", NameResolutionError("h", None, OSError()))),  # type: ignore[arg-type]
    "no connection in time": requests.ConnectTimeout(MaxRetryError(None, "", ConnectTimeoutError())),  # type: ignore[arg-type]
    "a proxy that refuses": requests.exceptions.ProxyError(MaxRetryError(None, "", ProxyError("no", OSError()))),  # type: ignore[arg-type]
    "a certificate of nobody": requests.exceptions.SSLError(
        MaxRetryError(None, "", SSLError(ssl.SSLCertVerificationError("expired")))  # type: ignore[arg-type]
    ),
}
AFTER_SENDING: dict[str, requests.RequestException] = {
    "a reset": requests.ConnectionError(ProtocolError("Connection aborted.", ConnectionResetError())),
    "no answer in time": requests.ReadTimeout(ReadTimeoutError(None, "", "read timed out")),  # type: ignore[arg-type]
    "TLS that breaks off": requests.exceptions.SSLError(MaxRetryError(None, "", SSLError(ssl.SSLEOFError("eof")))),  # type: ignore[arg-type]
    "a body that ends early": requests.exceptions.ChunkedEncodingError(ProtocolError("ended early")),
    "nothing known": requests.RequestException(),
}


@pytest.mark.parametrize("failure", [*BEFORE_SENDING, *AFTER_SENDING])
def test_only_a_request_without_a_connection_never_left(failure: str) -> None:
    """The errors as `requests` raises them, seen from real sockets and read in `requests.adapters`."""
    error = BEFORE_SENDING.get(failure) or AFTER_SENDING[failure]

    assert (failure in BEFORE_SENDING) is never_left(error)


# ---- rate limited


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 61.0),
        ({"Retry_After": "7"}, 7.0),
        ({"Retry_After": "0"}, 1.0),
        ({"Retry_After": "-5"}, 1.0),
        ({"Retry_After": "2.5"}, 2.5),
        ({"Retry_After": "86400"}, 3600.0),
        ({"Retry_After": "inf"}, 3600.0),
        ({"Retry_After": "Thu, 01 Jan 2026 00:00:40 GMT"}, 40.0),  # the clock of the test begins with 2026
        ({"Retry_After": "Wed, 31 Dec 2025 23:00:00 GMT"}, 1.0),
        ({"Retry_After": "Thu, 01 Jan 99999999999999999999 00:00:00 GMT"}, 61.0),
        *(({"Retry_After": nonsense}, 61.0) for nonsense in ("soon", "", "nan", "7 s")),
    ],
)
def test_a_429_closes_the_budget_and_the_request_is_sent_again(bench: Opener, headers: Any, seconds: float) -> None:
    """For as long as Retry-After asks, at most an hour; without a usable one, for a window."""
    api = bench(too_many(**headers), good)

    assert [{"id": 1}] == api.get().envelope.data
    assert [pytest.approx(seconds, abs=0.01)] == api.session.waits
    assert 1 == api.client.rate_limited


@pytest.mark.parametrize(
    "answer", [html(429), lambda: response(429, b""), lambda: response(200, {"meta": {"status": 429}, "data": {}})]
)
def test_a_429_is_one_whoever_says_it(bench: Opener, answer: Answering) -> None:
    """A proxy in HTML, or only the envelope."""
    api = bench(answer, good)

    assert [{"id": 1}] == api.get().envelope.data
    assert [61.0] == api.session.waits


def test_a_429_closes_the_budget_for_every_process(bench: Opener) -> None:
    """What the file says, other processes obey."""
    api = bench(too_many(), retry=RetryPolicy(rate_limited_attempts=1))
    api.error()

    assert 61.0 == pytest.approx(api.budget.usage().closed_for_seconds, abs=0.01)


def test_a_429_is_no_failure_until_it_came_very_often(bench: Opener) -> None:
    api = bench(*[too_many()] * 29, good)
    api.get()

    assert 29 == api.client.rate_limited
    assert [61.0] * 29 == [pytest.approx(wait, abs=0.01) for wait in api.session.waits]


def test_a_token_that_somebody_else_uses_up_is_said_to_be_so(bench: Opener) -> None:
    api = bench(too_many(), retry=RetryPolicy(rate_limited_attempts=3))
    error = api.error()

    assert RateLimited is type(error)
    assert "rate limited 3 times in a row although this machine stayed under 1000/60" in str(error)
    assert "Use a token of its own" in error.mend
    assert 3 == len(api.session.asked)


def test_a_429_between_failures_does_not_count_as_one(bench: Opener) -> None:
    """Nor does it forget that the API had answered: each 429 gives six attempts anew."""
    api = bench(*[html(502)] * 5, too_many(), *[html(502)] * 5, good)
    api.get()

    assert 12 == api.client.requests_sent


# ---- the budget, the allowance, the stop


def test_every_retry_takes_its_place_in_the_budget(bench: Opener) -> None:
    api = bench(html(502), html(502), good, limit="2/60")
    api.get()

    assert [1.0, 59.0] == api.session.waits, "the third had to wait until the first had left the window"
    assert 2 == api.budget.usage().started


def test_retries_count_against_the_allowance(bench: Opener) -> None:
    api = bench(html(502))
    api.client.allowance = Allowance(3)
    error = api.error()

    assert Stopped is type(error)
    assert (3, 0) == (len(api.session.asked), api.client.allowance.left)


def test_a_spent_allowance_costs_nothing_of_the_budget(bench: Opener) -> None:
    """And nobody waits a minute to be told so."""
    api = bench(good, limit="1/60")
    api.client.allowance = Allowance(1)
    api.get()
    before = api.clock.monotonic()

    assert Stopped is type(api.error())
    assert before == api.clock.monotonic()
    assert 1 == api.budget.usage().started == api.client.requests_sent


def test_the_allowance_is_exact_under_threads(bench: Opener) -> None:
    api = bench(good)
    api.client.allowance = Allowance(40)

    def ask(_: int) -> bool:
        try:
            api.get()
        except Stopped:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(ask, range(60)))

    assert 40 == sum(outcomes) == len(api.session.asked) == api.client.requests_sent
    assert (0, True) == (api.client.allowance.left, api.client.allowance.spent)
    assert 0 == api.client.flights.away


def test_an_allowance_without_a_limit_is_never_spent() -> None:
    allowance = Allowance()
    for _ in range(100):
        allowance.take()

    assert (None, False) == (allowance.left, allowance.spent)


def test_a_stop_before_the_request_sends_nothing(bench: Opener) -> None:
    stop = threading.Event()
    stop.set()
    api = bench(good, stop=stop)

    assert Stopped is type(api.error())
    assert [] == api.session.asked


@pytest.mark.parametrize(
    ("script", "limit"),
    [([html(502)], "1000/60"), ([too_many()], "1000/60"), ([html(502)], "1/3600")],
    ids=["between two attempts", "after a 429", "for the budget"],
)
def test_a_stop_while_waiting_ends_the_wait_at_once(tmp_path: Path, script: list[Answering], limit: str) -> None:
    """On the machine's own clock, where each of these waits would take from 30 s to an hour."""
    clock, stop = SystemClock(), threading.Event()
    session = ScriptedSession(clock, *script)
    slow = RetryPolicy(first_wait_seconds=30.0, jitter_seconds=0.0)
    with RequestBudget(tmp_path / "b.sqlite", TOKEN, RateLimit.parse(limit)) as budget:
        client = DashlyClient(TOKEN, budget, base_url=BASE_URL, session=session, stop=stop, retry=slow)
        timer = threading.Timer(0.3, stop.set)
        timer.start()
        began = time.monotonic()
        with pytest.raises(Stopped, match="stopped while waiting"):
            client.get(USERS, {})
        timer.join()

    assert time.monotonic() - began < 3.0
    assert 1 == len(session.asked)


# ---- no secret in an error


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and everything that hangs on it, shown in a traceback or not."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


ECHOES = {
    "a message of the API": failed(401, "NotAuthenticated", f"the token {TOKEN} is old"),
    "a name of the API": failed(400, TOKEN),
    "a message of a broken API": failed(500, "Error500", f"at auth_token={TOKEN}"),
    "a proxy's page": lambda: response(502, f"<a href='/?auth_token={TOKEN}'>again</a>".encode()),
    "a proxy's page that is cut in the middle of it": lambda: response(502, b"<html>" + b"." * 50 + TOKEN.encode()),
    "a page that says 200": lambda: response(200, TOKEN.encode()),
    "bytes that are no text": lambda: response(200, b'{"a": "\xff' + TOKEN.encode() + b'"}'),
    "an answer of an unknown shape": lambda: response(200, {TOKEN: 1}),
    "a redirect": lambda: response(302, b"", Location=f"https://{requests.utils.quote(TOKEN, safe='')}@x/{TOKEN}"),
    **{
        kind.__name__: raising(kind) for kind in (requests.ConnectionError, requests.Timeout, requests.TooManyRedirects)
    },
}


@pytest.mark.parametrize("echo", ECHOES)
def test_no_error_carries_the_token(bench: Opener, echo: str) -> None:
    """Neither its text nor its arguments, nor those of what hangs on it, nor its traceback, nor its pickle."""
    error = bench(ECHOES[echo]).error()
    told = [f"{one!r} {one} {one.args} {vars(one)}" for one in chain(error)]
    told += [str(pickle.dumps(error)), "".join(traceback.format_exception(error))]

    for written in told:
        assert not any(part in written for part in ("s3cr3t", "of-some-shape"))
        assert TOKEN[:10] not in written


@pytest.mark.parametrize("echo", ECHOES)
def test_an_error_stands_alone(bench: Opener, echo: str) -> None:
    """What hangs on an error goes wherever the error goes, such as to a tracker that prints everything."""
    assert 1 == len(list(chain(bench(ECHOES[echo]).error())))


@pytest.mark.parametrize("echo", ECHOES)
def test_no_error_of_a_write_carries_the_token(bench: Opener, echo: str) -> None:
    error = bench(ECHOES[echo]).post_error()
    (only,) = chain(error)
    written = f"{only!r} {only} {vars(only)} {pickle.dumps(only)!r} {''.join(traceback.format_exception(only))}"

    assert not any(part in written for part in ("s3cr3t", "of-some-shape"))


def test_a_client_shows_no_token(bench: Opener) -> None:
    api = bench(good)

    assert "s3cr3t" not in f"{api.client!r} {api.client} {api.budget!r} {RetryPolicy()!r} {api.get()!r}"


# ---- a client on its own


def test_a_client_alone_draws_on_the_budget_of_all_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of the state directory; and closes it."""
    monkeypatch.setenv("DASHLY_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("DASHLY_RATE_LIMIT", "7/60")
    session = ScriptedSession(SystemClock(), good)
    with DashlyClient(TOKEN, base_url=BASE_URL, session=session) as client:
        client.get(USERS, {})
    with RequestBudget(StateDirectory(tmp_path).budget_path, TOKEN, RateLimit(7, 60.0)) as budget:
        usage = budget.usage()

    assert (7, 1) == (usage.limit, usage.started)


def test_a_limit_in_the_environment_that_is_none_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHLY_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("DASHLY_RATE_LIMIT", "fast")

    with pytest.raises(SettingsError, match="DASHLY_RATE_LIMIT"):
        DashlyClient(TOKEN)


# ---- reads have the budget first


@pytest.mark.parametrize(
    ("ask", "writes_first", "expected"),
    [(Bench.post, False, [6.0] * 8 + [12.0]), (Bench.post, True, [0.0] * 9), (Bench.get, False, [0.0] * 9)],
    ids=["a write", "a write that is to come first", "a read"],
)
def test_a_write_leaves_a_tenth_of_the_budget_to_reads_and_is_even_unless_told_otherwise(
    bench: Opener, ask: Callable[[Bench], Any], writes_first: bool, expected: list[float]
) -> None:
    api = bench(good, limit="10/60", writes_first=writes_first)
    for _ in range(10):
        ask(api)

    assert expected == api.session.waits


# ---- the base URL


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("https://api.dashly.app/v1", "https://api.dashly.app/v1"),
        ("https://api.dashly.app/v1/", "https://api.dashly.app/v1"),
        (" https://api.carrotquest.io/v1// ", "https://api.carrotquest.io/v1"),
        ("http://127.0.0.1:8099/v1", "http://127.0.0.1:8099/v1"),
        ("http://[::1]:8099/v1", "http://[::1]:8099/v1"),
        ("https://proxy.example.org/dashly/v1", "https://proxy.example.org/dashly/v1"),
        ("HTTPS://api.dashly.app/v1", "HTTPS://api.dashly.app/v1"),
    ],
)
def test_a_base_url_ends_in_v1(written: str, expected: str) -> None:
    assert expected == check_base_url(written)


@pytest.mark.parametrize(
    ("written", "mend"),
    [
        ("https://api.dashly.app", "Write https://api.dashly.app/v1"),
        ("https://api.dashly.app/v2", "Write https://api.dashly.app/v1"),
        ("https://api.dashly.app/v1/apps", "Write https://api.dashly.app/v1"),
        ("https://api.dashly.app/v1?auth_token=app.1.s3cr3t", "Write https://api.dashly.app/v1"),
        ("https://api.dashly.app/v1?", "Write https://api.dashly.app/v1"),
        ("https://api.dashly.app/v1#", "Write https://api.dashly.app/v1"),
        ("https://api.dashly.app/?x=/v1", "Write https://api.dashly.app/v1"),
        ("https://me:s3cr3t@api.dashly.app", "Write https://***@api.dashly.app/v1"),
        ("ftp://api.dashly.app/v1", "The default is https://api.dashly.app/v1"),
        ("api.dashly.app/v1", "The default is"),
        ("https:///v1", "The default is"),
        ("http://[::1/v1", "The default is"),
        ("http://host:port/v1", "The default is"),
        ("http://host:99999/v1", "The default is"),
        ("", "The default is"),
    ],
)
def test_any_other_base_url_is_refused_with_the_mend(written: str, mend: str) -> None:
    """Without `/v1` another paging dialect answers, and a client that looks for `next_after` stops after a page."""
    with pytest.raises(SettingsError) as raised:
        check_base_url(written)

    assert raised.value.mend.startswith(mend)
    assert "s3cr3t" not in str(raised.value)


# ---- over a real connection


class Watched:
    """A real session that remembers how often it was used."""

    def __init__(self) -> None:
        self.session = requests.Session()
        self.used = 0

    def request(self, method: str, url: str, **options: Any) -> requests.Response:
        self.used += 1
        return self.session.request(method, url, **{**options, "timeout": (5.0, 0.3)})


@pytest.fixture(scope="module")
def simulated() -> Iterator[tuple[Simulator, str]]:
    """A simulated API behind a real HTTP server."""
    simulator = Simulator(SimulatorSettings(users=3, conversations=2, auth_token=TOKEN, stall_seconds=0.6))
    with serve(simulator) as server:
        yield simulator, server.base_url


@pytest.fixture
def over_http(bench: Opener, simulated: tuple[Simulator, str]) -> Iterator[tuple[Simulator, Bench, Watched]]:
    watched = Watched()
    api = bench(good, base_url=simulated[1], session=watched)
    yield simulated[0], api, watched
    simulated[0].faults.clear()
    watched.session.close()


@pytest.mark.parametrize("fault", ["500", "html502", "cut", "reset", "stall"])
def test_a_real_fault_is_survived(over_http: tuple[Simulator, Bench, Watched], fault: str) -> None:
    simulator, api, watched = over_http
    before = api.clock.monotonic()
    simulator.faults.queue(fault)

    assert 3 == len(api.get().envelope.data["users"])
    assert (2, 1.0) == (watched.used, api.clock.monotonic() - before)


@pytest.mark.parametrize(("fault", "seconds"), [("429", 61.0), ("429_retry_after", 7.0)])
def test_a_real_429_is_obeyed(over_http: tuple[Simulator, Bench, Watched], fault: str, seconds: float) -> None:
    simulator, api, watched = over_http
    before = api.clock.monotonic()
    simulator.faults.queue(fault)
    api.get()

    assert (2, pytest.approx(seconds, abs=0.01)) == (watched.used, api.clock.monotonic() - before)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/conversations/12345/parts", RecordGone),
        ("/apps/999/users", RecordForbidden),
        ("/nothing/here", RequestRefused),
    ],
)
def test_a_real_refusal_is_of_its_kind(
    over_http: tuple[Simulator, Bench, Watched], path: str, kind: type[DashlyError]
) -> None:
    _, api, watched = over_http
    with pytest.raises(kind):
        api.client.get(path, {})

    assert 1 == watched.used


def test_a_server_that_is_not_there_is_unavailable_and_no_secret_is_told(bench: Opener, closed_port: int) -> None:
    session = requests.Session()
    api = bench(good, base_url=f"http://127.0.0.1:{closed_port}/v1", session=session)
    error = api.error()
    session.close()

    assert ApiUnavailable is type(error)
    assert "in 6 attempts; the last: users" in str(error)
    assert "ConnectionError: HTTPConnectionPool" in str(error)
    assert "auth_token=***" in str(error)
    assert "s3cr3t" not in "".join(traceback.format_exception(error))
    assert 1 == len(list(chain(error)))


def test_requests_in_flight_at_once_are_independent(over_http: tuple[Simulator, Bench, Watched]) -> None:
    """Each thread gets the answer to its own question."""
    _, api, _ = over_http
    paths: Mapping[str, type] = {USERS: dict, "/apps/$self_app/conversations": list, "/apps/$self_app/channels": list}

    def ask(path: str) -> bool:
        with suppress(Stopped):
            return isinstance(api.client.get(path, {"include_not_assigned": "true"}).envelope.data, paths[path])
        return False

    with ThreadPoolExecutor(6) as pool:
        outcomes = list(pool.map(ask, list(paths) * 6))

    assert [True] * 18 == outcomes
    assert 18 == api.client.requests_sent
