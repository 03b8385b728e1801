"""One place that talks HTTP to the API: the token, the request budget, retries, and what every answer means."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from math import isnan
from typing import NoReturn, Protocol
from urllib.parse import SplitResult, urlsplit

import requests
import tenacity

from dashly.envelope import BrokenBody, Envelope, excerpt, parse_body, parse_envelope, raise_for_error
from dashly.errors import ApiUnavailable, DashlyError, RateLimited, RequestRefused, SettingsError, Stopped
from dashly.flights import Flights
from dashly.redaction import redact, redact_http_logs
from dashly_state.budget import RequestBudget
from dashly_state.clock import Clock, SystemClock
from dashly_state.waits import Waiting

DEFAULT_BASE_URL = "https://api.dashly.app/v1"
SELF_APP = "$self_app"
"""Stands for the token's own app in `/apps/{id}/...` (api-reference.md, section 1)."""

BELIEVED_RETRY_AFTERS = 3
"""After so many for one request, a Retry-After was too short: from then on a whole window is waited for."""
CONNECT_SECONDS, READ_SECONDS = 10.0, 60.0
ANSWER = "for an answer of the API"
NO_ANSWER = "for the API, which gives no usable answer"
"""From the first failure of a request to its answer, the attempts in between among it."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a request is repeated when the API gives no usable answer.

    The defaults wait 1, 2, 4, 8 and 16 s, each plus up to 1 s of jitter: half a minute, the length of a restart.
    A 429 is no failure: it waits for the window, up to `rate_limited_attempts` times.
    """

    attempts: int = 6
    first_wait_seconds: float = 1.0
    longest_wait_seconds: float = 30.0
    jitter_seconds: float = 1.0
    rate_limited_attempts: int = 30


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer: its raw body, for the journal, and the envelope in it."""

    body: bytes
    envelope: Envelope
    fetched_at: float
    """Unix seconds when the answer had arrived."""


class Allowance:
    """How many more requests this run may send; retries count. Thread-safe."""

    def __init__(self, requests_left: int | None = None) -> None:
        self._left = requests_left
        self._lock = threading.Lock()

    @property
    def spent(self) -> bool:
        """Whether no request is left."""
        return self._left is not None and self._left <= 0

    @property
    def left(self) -> int | None:
        """Requests left; None without a limit."""
        return self._left

    def take(self) -> None:
        """Counts one request.

        Raises:
            Stopped: None is left.
        """
        with self._lock:
            if self.spent:
                raise Stopped("the request limit of this run is reached")
            if self._left is not None:
                self._left -= 1


class Session(Protocol):
    """The seam for HTTP: what of `requests.Session` the client uses."""

    def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        timeout: tuple[float, float] | None = None,
        allow_redirects: bool = True,
        headers: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Sends one request and reads the whole answer."""
        ...


class DashlyClient:
    """Reads the Dashly Web API under the shared request budget.

    Thread-safe as far as `requests.Session` is for plain GETs: one connection pool, no state per request.

    Args:
        token: API token; never part of an error, a log record or a file.
        base_url: Ends in `/v1`: without it another paging dialect answers.
        stop: Set it to end all waiting; the request in flight is finished.
    """

    def __init__(
        self,
        token: str,
        budget: RequestBudget,
        *,
        base_url: str = DEFAULT_BASE_URL,
        app_id: str = SELF_APP,
        session: Session | None = None,
        clock: Clock | None = None,
        retry: RetryPolicy | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        if not token:
            raise SettingsError(*_NO_TOKEN)
        self.base_url = check_base_url(base_url)
        self.app_id = app_id or SELF_APP
        self.budget = budget
        self.clock = clock or SystemClock()
        self.stop = stop or threading.Event()
        self.allowance = Allowance()
        self.requests_sent = 0
        self.flights = Flights(budget.limit, self.clock)
        self.rate_limited = 0
        self._token = token
        self._session: Session = session or _session(self.base_url)
        self._retry = retry or RetryPolicy()
        self._counting = threading.Lock()
        redact_http_logs(token)

    def get(self, path: str, params: Mapping[str, str], where: str = "") -> Answer:
        """Returns the answer to one GET. Costs one request, and one more for each retry.

        Args:
            path: Below the base URL, such as `/apps/$self_app/users`.
            params: Without the token.
            where: What is being read, for messages; the path when empty.

        Raises:
            DashlyError: Of the kind that says what to do, see `dashly.errors`.
        """
        where = f"{where} ({path})" if where else path
        for attempt in range(self._retry.rate_limited_attempts):
            answer = self._with_retries(path, params, where, believe_retry_after=attempt < BELIEVED_RETRY_AFTERS)
            if answer is not None:
                return answer
        raise RateLimited(
            f"{where}: rate limited {self._retry.rate_limited_attempts} times in a row although this machine stayed "
            f"under {self.budget.limit}: something else uses this token",
            "Use a token of its own for this job; the next run continues where this one stopped",
        )

    def _with_retries(
        self, path: str, params: Mapping[str, str], where: str, *, believe_retry_after: bool
    ) -> Answer | None:
        with self.budget.waits.during() as waiting:
            return self._until_answered(waiting, path, params, where, believe_retry_after)

    def _until_answered(
        self, waiting: Waiting, path: str, params: Mapping[str, str], where: str, believe_retry_after: bool
    ) -> Answer | None:
        """Sends the request until there is an answer, and says what it waits for once it had to be repeated."""
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type((ApiUnavailable, BrokenBody)),
            stop=tenacity.stop_after_attempt(self._retry.attempts),
            wait=tenacity.wait_exponential(self._retry.first_wait_seconds, self._retry.longest_wait_seconds)
            + tenacity.wait_random(0, self._retry.jitter_seconds),
            sleep=self._wait,
            before_sleep=lambda _: waiting.because(NO_ANSWER),
            reraise=True,
        )
        try:
            return retrying(self._once, path, params, where, believe_retry_after)
        except (ApiUnavailable, BrokenBody) as error:
            last = str(error)
        raise ApiUnavailable(
            f"{where}: no usable answer in {self._retry.attempts} attempts; the last: {last}",
            "What was read is kept; run again when the API answers",
        )

    def _once(self, path: str, params: Mapping[str, str], where: str, believe_retry_after: bool) -> Answer | None:
        """Sends one request; None means rate limited: the budget is closed and the caller asks again."""
        response = self._send(path, params, where)
        answer = self._read(response, where)
        if isinstance(answer, RateLimited):
            with self._counting:
                self.rate_limited += 1
            asked_for = _retry_after_seconds(response, self.clock.now()) if believe_retry_after else None
            self.budget.close_for(asked_for or self.budget.limit.seconds + 1)
            return None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _read(self, response: requests.Response, where: str) -> Answer | DashlyError | BrokenBody:
        """Returns what the response means; an error without the token, which the API or a proxy may have repeated.

        It is returned and not raised, so that no `__context__` carries along what was not scrubbed.
        """
        try:
            if response.status_code != 200:
                self._refuse(response, where)
            return Answer(response.content, parse_envelope(response.content, where, 200), self.clock.now())
        except DashlyError as error:
            return type(error)(self._clean(str(error.args[0])), self._clean(error.mend))
        except BrokenBody:
            return BrokenBody(f"{where}: {self._excerpt(response)}")

    def _refuse(self, response: requests.Response, where: str) -> NoReturn:
        status = response.status_code
        if 300 <= status < 400:
            target = response.headers.get("Location", "").partition("?")[0] or "another place"
            raise RequestRefused(f"{where}: redirected to {target}", "Check the base URL (https, host, /v1)")
        try:
            meta = parse_body(response.content).get("meta")
        except BrokenBody:
            meta = {"error_message": self._excerpt(response)}
        raise_for_error(status, meta if isinstance(meta, dict) else {}, where)

    def _excerpt(self, response: requests.Response) -> str:
        """Scrubbed before it is cut: half a token would not be recognised."""
        return excerpt(self._clean(response.content.decode("utf-8", "replace")))

    def _send(self, path: str, params: Mapping[str, str], where: str) -> requests.Response:
        if self.allowance.spent:  # before a place in the budget is waited for and used up
            raise Stopped("the request limit of this run is reached")
        lease = self.budget.acquire(self.stop)
        if lease is None:
            raise Stopped("stopped while waiting for the request budget")
        with lease:
            self.allowance.take()
            with self._counting:
                self.requests_sent += 1
            flight = self.flights.depart()
            try:
                return self._answer_to(path, params)
            except requests.RequestException as error:
                failure = f"{where}: {type(error).__name__}: {self._clean(str(error))}"
            finally:
                self.flights.land(flight)
        raise ApiUnavailable(failure)  # not inside `except`: the request, with its token, would come along

    def _answer_to(self, path: str, params: Mapping[str, str]) -> requests.Response:
        with self.budget.waits.during(ANSWER):
            return self._session.request(
                "GET",
                self.base_url + path,
                params={**params, "auth_token": self._token},
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                allow_redirects=False,
                headers={"User-Agent": "dashly-sync", "Accept": "application/json"},
            )

    def _wait(self, seconds: float) -> None:
        with self.flights.asleep():
            stopped = self.clock.wait(seconds, self.stop)
        if stopped:
            raise Stopped("stopped while waiting to try again")

    def _clean(self, text: str) -> str:
        return redact(text, self._token)


def check_base_url(base_url: str) -> str:
    """Returns the base URL without a trailing slash.

    Raises:
        SettingsError: It is no http(s) URL that ends in `/v1`.

    Example:
        >>> check_base_url("https://api.carrotquest.io/v1/")
        'https://api.carrotquest.io/v1'
    """
    shown, url = redact(base_url), base_url.strip().rstrip("/")
    parts = _split(url)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError(f"the base URL {shown!r} is no http(s) URL", f"The default is {DEFAULT_BASE_URL}")
    if not url.endswith("/v1") or parts.query or parts.fragment:
        raise SettingsError(
            f"the base URL {shown!r} does not end in /v1; without it another paging dialect answers",
            f"Write {redact(f'{parts.scheme}://{parts.netloc}')}/v1",
        )
    return url


def _session(base_url: str) -> requests.Session:
    """Returns a session that has looked up the environment's proxy and certificates once, not at each request.

    Nor does it take a password for the API's host from `.netrc`, which would go along with the token.
    """
    session = requests.Session()
    found = session.merge_environment_settings(base_url, {}, None, None, None)
    session.proxies, session.verify, session.cert = found["proxies"], found["verify"], found["cert"]
    session.trust_env = False
    return session


def _split(url: str) -> SplitResult | None:
    """Returns the parts of a URL; None when the host or the port is none."""
    try:
        parts = urlsplit(url)
        return parts if parts.port is None or parts.port else None
    except ValueError:
        return None


def _retry_after_seconds(response: requests.Response, now: float) -> float | None:
    """Returns what a Retry-After header asks for, at most an hour; None without a usable one."""
    value = response.headers.get("Retry-After", "").strip()
    parsers: tuple[Callable[[str], float], ...] = (float, lambda text: parsedate_to_datetime(text).timestamp() - now)
    for parse in parsers:
        with suppress(TypeError, ValueError, OverflowError):
            seconds = parse(value)
            return None if isnan(seconds) else min(max(seconds, 1.0), 3600.0)
    return None


_NO_TOKEN = (
    "no API token. Looked for DASHLY_AUTH_TOKEN, DASHLY_AUTH_TOKEN_FILE, DASHLY_AUTH_TOKEN_KEYRING, "
    "SOURCES__DASHLY__AUTH_TOKEN and [sources.dashly] auth_token in .dlt/secrets.toml",
    "Create one in Dashly under Settings > Developers",
)
