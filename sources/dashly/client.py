"""One place that talks HTTP to the API: the token, the request budget, retries, and what every answer means."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import NoReturn, Self

import requests
import tenacity

from dashly.allowance import Allowance
from dashly.connection import (
    CONNECT_SECONDS,
    DEFAULT_BASE_URL,
    READ_SECONDS,
    LeanSession,
    Session,
    check_base_url,
    never_left,
    retry_after_seconds,
)
from dashly.envelope import Answer, BrokenBody, excerpt, parse_body, parse_envelope, raise_for_error
from dashly.errors import (
    ApiChanged,
    ApiUnavailable,
    DashlyError,
    RateLimited,
    RequestRefused,
    SettingsError,
    Stopped,
    Uncertain,
)
from dashly.flights import Flights
from dashly.read_methods import ReadMethods
from dashly.redaction import redact, redact_http_logs
from dashly.shared_budget import shared_budget, writes_leave
from dashly.write_methods import WriteMethods
from dashly_state.budget import RequestBudget
from dashly_state.clock import Clock, SystemClock
from dashly_state.waits import Waiting

SELF_APP = "$self_app"
"""Stands for the token's own app in `/apps/{id}/...` (api-reference.md, section 1)."""

BELIEVED_RETRY_AFTERS = 3
"""After so many for one request, a Retry-After was too short: from then on a whole window is waited for."""
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
class Request:
    """What is asked of the API, without the token.

    Attributes:
        arguments: In the query of a GET, in the form of a POST.
        where: What it is about, for messages.
    """

    method: str
    path: str
    arguments: Mapping[str, str] = field(repr=False)
    where: str

    @property
    def writes(self) -> bool:
        """Whether it changes something when it gets there."""
        return self.method == "POST"


class DashlyClient(ReadMethods, WriteMethods):
    """Speaks to the Dashly Web API under the shared request budget: a method for each of the API's twenty.

    Thread-safe as far as `requests.Session` is for plain requests: one connection pool, no state per request. Use it in
    a `with` block, or close it.

    Args:
        token: API token; never part of an error, a log record or a file.
        budget: Whoever gives one closes it. By default the one of all commands on this machine: that of the state
            directory, with `DASHLY_STATE_DIR` and `DASHLY_RATE_LIMIT` where they are set.
        base_url: Ends in `/v1`: without it another paging dialect answers.
        app_id: In `/apps/{id}/...`; `$self_app` is the token's own.
        stop: Set it to end all waiting; the request in flight is finished.
        writes_first: Writes take any place of the budget. By default they leave some to reads, see `shared_budget`.

    Raises:
        SettingsError: There is no token, or the base URL or the rate limit makes no sense.
    """

    def __init__(
        self,
        token: str,
        budget: RequestBudget | None = None,
        *,
        base_url: str = DEFAULT_BASE_URL,
        app_id: str = SELF_APP,
        session: Session | None = None,
        clock: Clock | None = None,
        retry: RetryPolicy | None = None,
        stop: threading.Event | None = None,
        writes_first: bool = False,
    ) -> None:
        if not token:
            raise SettingsError(*_NO_TOKEN)
        self.base_url = check_base_url(base_url)
        self.app_id = app_id or SELF_APP
        self.clock = clock or SystemClock()
        self.budget = budget or shared_budget(token, self.clock)
        self.stop = stop or threading.Event()
        self.allowance = Allowance()
        self.requests_sent = 0
        self.flights = Flights(self.budget.limit, self.clock)
        self.rate_limited = 0
        self.writes_first = writes_first
        self._token = token
        self._owned = ExitStack()
        if budget is None:
            self._owned.callback(self.budget.close)
        self._session: Session = session or self._owned.enter_context(LeanSession(self.base_url))
        self._retry = retry or RetryPolicy()
        self._counting = threading.Lock()
        redact_http_logs(token)

    def close(self) -> None:
        """Closes the connections, and the budget unless it was given."""
        self._owned.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def get(self, path: str, params: Mapping[str, str], where: str = "") -> Answer:
        """Returns the answer to one GET. Costs one request, and one more for each retry.

        Args:
            path: Below the base URL, such as `/apps/$self_app/users`.
            params: Without the token.
            where: What is being read, for messages; the path when empty.

        Raises:
            DashlyError: Of the kind that says what to do, see `dashly.errors`.
        """
        return self._answer(Request("GET", path, params, f"{where} ({path})" if where else path))

    def post(self, path: str, form: Mapping[str, str], where: str = "") -> Answer:
        """Returns the answer to one POST, sent as a form in UTF-8. Costs one request.

        It is sent again only where it certainly had no effect: after a 429, and when there was no connection to send it
        over. Each of these costs a request more.

        Args:
            path: Below the base URL, such as `/users/12/events`.
            form: Without the token.
            where: What is being written, for messages; the path when empty.

        Raises:
            Uncertain: It may have taken effect: the answer did not come, was cut off, or was a 5xx, a proxy's among
                them.
            DashlyError: It had no effect; of the kind that says what to do, see `dashly.errors`.
        """
        return self._answer(Request("POST", path, form, f"{where} ({path})" if where else path))

    def _answer(self, request: Request) -> Answer:
        for attempt in range(self._retry.rate_limited_attempts):
            answer = self._with_retries(request, believe_retry_after=attempt < BELIEVED_RETRY_AFTERS)
            if answer is not None:
                return answer
        raise RateLimited(
            f"{request.where}: rate limited {self._retry.rate_limited_attempts} times in a row although this machine "
            f"stayed under {self.budget.limit}: something else uses this token",
            "Use a token of its own for this job; the next run continues where this one stopped",
        )

    def _with_retries(self, request: Request, *, believe_retry_after: bool) -> Answer | None:
        with self.budget.waits.during() as waiting:
            return self._until_answered(waiting, request, believe_retry_after)

    def _until_answered(self, waiting: Waiting, request: Request, believe_retry_after: bool) -> Answer | None:
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
            return retrying(self._once, request, believe_retry_after)
        except (ApiUnavailable, BrokenBody) as error:
            last = str(error)
        raise ApiUnavailable(
            f"{request.where}: no usable answer in {self._retry.attempts} attempts; the last: {last}",
            "Nothing was sent; try again when the API answers"
            if request.writes
            else "What was read is kept; run again when the API answers",
        )

    def _once(self, request: Request, believe_retry_after: bool) -> Answer | None:
        """Sends one request; None means rate limited: the budget is closed and the caller asks again."""
        response = self._send(request)
        answer = self._read(response, request)
        if isinstance(answer, RateLimited):
            with self._counting:
                self.rate_limited += 1
            asked_for = retry_after_seconds(response, self.clock.now()) if believe_retry_after else None
            self.budget.close_for(asked_for or self.budget.limit.seconds + 1)
            return None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _read(self, response: requests.Response, request: Request) -> Answer | DashlyError | BrokenBody:
        """Returns what the response means; an error without the token, which the API or a proxy may have repeated.

        It is returned and not raised, so that no `__context__` carries along what was not scrubbed.
        """
        where = request.where
        try:
            if response.status_code != 200:
                self._refuse(response, where)
            return Answer(response.content, parse_envelope(response.content, where, 200), self.clock.now())
        except DashlyError as error:
            failure = self._clean(str(error.args[0]))
            if not request.writes or not isinstance(error, (ApiUnavailable, ApiChanged)):
                return type(error)(failure, self._clean(error.mend))
        except BrokenBody:
            failure = f"{where}: {self._excerpt(response)}"
            if not request.writes:
                return BrokenBody(failure)
        return Uncertain(failure, _LOOK_FIRST)

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

    def _send(self, request: Request) -> requests.Response:
        if self.allowance.spent:  # before a place in the budget is waited for and used up
            raise Stopped("the request limit of this run is reached")
        leave = 0 if self.writes_first or not request.writes else writes_leave(self.budget.limit)
        lease = self.budget.acquire(self.stop, leave)
        if lease is None:
            raise Stopped("stopped while waiting for the request budget")
        with lease:
            self.allowance.take()
            with self._counting:
                self.requests_sent += 1
            flight = self.flights.depart()
            try:
                return self._answer_to(request)
            except requests.RequestException as error:
                failure = f"{request.where}: {type(error).__name__}: {self._clean(str(error))}"
                has_left = not never_left(error)
            finally:
                self.flights.land(flight)
        # not inside `except`: the request, with its token, would come along
        if request.writes and has_left:
            raise Uncertain(failure, _LOOK_FIRST)
        raise ApiUnavailable(failure)

    def _answer_to(self, request: Request) -> requests.Response:
        arguments = {**request.arguments, "auth_token": self._token}
        with self.budget.waits.during(ANSWER):
            return self._session.request(
                request.method,
                self.base_url + request.path,
                params=None if request.writes else arguments,
                data=arguments if request.writes else None,
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


_NO_TOKEN = (
    "no API token. Looked for DASHLY_AUTH_TOKEN, DASHLY_AUTH_TOKEN_FILE, DASHLY_AUTH_TOKEN_KEYRING, "
    "SOURCES__DASHLY__AUTH_TOKEN and [sources.dashly] auth_token in .dlt/secrets.toml",
    "Create one in Dashly under Settings > Developers",
)
_LOOK_FIRST = "It may have taken effect: look in Dashly before you send it again"
