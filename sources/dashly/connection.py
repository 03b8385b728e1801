"""Where the API is, how a request gets there, and whether one that failed had left."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from math import isnan
from types import TracebackType
from typing import Any, Protocol, Self
from urllib.parse import SplitResult, urlencode, urlsplit

import requests
from requests.structures import CaseInsensitiveDict
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


class LeanSession:
    """Sends through `requests`, and does once what a `requests.Session` does again at each request.

    That is to look up the environment's proxy and certificates, and to merge headers; cookies and hooks there are none.
    Nor does it take a password for the API's host from `.netrc`, which
    would go along with the token.

    Args:
        base_url: Of what it is asked for.
    """

    def __init__(self, base_url: str) -> None:
        self._session = requests.Session()
        found = self._session.merge_environment_settings(base_url, {}, None, None, None)
        self._way: Any = {name: found[name] for name in ("proxies", "verify", "cert")}
        self._headers = {name: str(value) for name, value in self._session.headers.items()}
        self._adapter = self._session.get_adapter(base_url)

    def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        data: Mapping[str, str] | None = None,
        timeout: tuple[float, float] | None = None,
        allow_redirects: bool = False,  # noqa: ARG002 - of the protocol; an adapter follows none
        headers: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Sends one request and reads the whole answer; it follows no redirect."""
        form = None if data is None else urlencode(data)
        prepared = requests.PreparedRequest()
        prepared.method = method
        prepared.url = f"{url}?{urlencode(params)}" if params else url
        prepared.headers = CaseInsensitiveDict(self._headers | dict(headers or {}))
        prepared.body = form
        if form is not None:
            prepared.headers["Content-Type"] = "application/x-www-form-urlencoded"
            prepared.headers["Content-Length"] = str(len(form))
        response = self._adapter.send(prepared, timeout=timeout, **self._way)
        _read = response.content
        return response

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()


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
