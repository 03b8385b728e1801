"""Where the API is, how a request gets there, and whether one that failed had left."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from math import isnan
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

import requests
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError, ProxyError

from dashly.errors import SettingsError
from dashly.redaction import redact

DEFAULT_BASE_URL = "https://api.dashly.app/v1"
CONNECT_SECONDS, READ_SECONDS = 10.0, 60.0


class Session(Protocol):
    """The seam for HTTP: what of `requests.Session` the client uses."""

    def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        data: Mapping[str, str] | None = None,
        timeout: tuple[float, float] | None = None,
        allow_redirects: bool = True,
        headers: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Sends one request and reads the whole answer."""
        ...


def open_session(base_url: str) -> requests.Session:
    """Returns a session that has looked up the environment's proxy and certificates once, not at each request.

    Nor does it take a password for the API's host from `.netrc`, which would go along with the token.
    """
    session = requests.Session()
    found = session.merge_environment_settings(base_url, {}, None, None, None)
    session.proxies, session.verify, session.cert = found["proxies"], found["verify"], found["cert"]
    session.trust_env = False
    return session


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


def never_left(error: requests.RequestException) -> bool:
    """Whether the request that failed so was certainly not sent: there was no connection to send it over.

    A name that is not found, a connection or a proxy that refuses, a time-out of the connecting itself, and a
    certificate that is not believed come before the first byte of a request. Everything else may come after it.
    """
    return any(isinstance(cause, _BEFORE_SENDING) for cause in _causes(error))


_BEFORE_SENDING = (NewConnectionError, ConnectTimeoutError, ProxyError, ssl.SSLCertVerificationError)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yields the error and what it was made from, as `requests` and urllib3 wrap them."""
    yield error
    inner = error.reason if isinstance(error, MaxRetryError) else error.args[0] if error.args else None
    if isinstance(inner, BaseException):
        yield from _causes(inner)


def retry_after_seconds(response: requests.Response, now: float) -> float | None:
    """Returns what a Retry-After header asks for, at most an hour; None without a usable one."""
    value = response.headers.get("Retry-After", "").strip()
    parsers: tuple[Callable[[str], float], ...] = (float, lambda text: parsedate_to_datetime(text).timestamp() - now)
    for parse in parsers:
        with suppress(TypeError, ValueError, OverflowError):
            seconds = parse(value)
            return None if isnan(seconds) else min(max(seconds, 1.0), 3600.0)
    return None


def _split(url: str) -> SplitResult | None:
    """Returns the parts of a URL; None when the host or the port is none."""
    try:
        parts = urlsplit(url)
        return parts if parts.port is None or parts.port else None
    except ValueError:
        return None
