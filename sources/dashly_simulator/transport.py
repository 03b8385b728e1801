"""The simulator as a `requests` transport: no sockets, no threads, time as the caller says."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from http.client import responses as reasons
from urllib.parse import parse_qsl, urlsplit

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from .answers import Answer
from .simulator import Simulator

Timeout = float | tuple[float, float] | tuple[float, None] | None


class SimulatorAdapter(BaseAdapter):
    """Answers the requests of a session in-process: `session.mount("http://", SimulatorAdapter(sim))`.

    Latency and stalls take no real time: `sleep` is called with their seconds, and moves the simulator's
    virtual clock unless told otherwise. `now` says when a request arrives; the simulator's clock does unless told.
    """

    def __init__(
        self, sim: Simulator, now: Callable[[], float] | None = None, sleep: Callable[[float], None] | None = None
    ) -> None:
        super().__init__()
        self._sim = sim
        self._now = now
        self._sleep = sleep or sim.clock.advance

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: ARG002 - the adapter's signature
        timeout: Timeout = None,
        verify: bool | str = True,  # noqa: ARG002 - the adapter's signature
        cert: bytes | str | tuple[bytes | str, bytes | str] | None = None,  # noqa: ARG002 - the adapter's signature
        proxies: Mapping[str, str] | None = None,  # noqa: ARG002 - the adapter's signature
    ) -> requests.Response:
        """The simulator's answer, or the exception that requests raises for such a fault over a network."""
        url = urlsplit(request.url or "")
        params = dict(parse_qsl(url.query, keep_blank_values=True)) | _form(request)
        now = None if self._now is None else self._now()
        answer = self._sim.answer(request.method or "GET", url.path, params, dict(request.headers), now)
        self._wait(answer, timeout, request)
        if answer.fault == "reset":
            raise requests.ConnectionError("connection reset by the simulator", request=request)
        if answer.fault == "cut":
            raise requests.exceptions.ChunkedEncodingError("body cut off by the simulator", request=request)
        return _response(request, answer)

    def _wait(self, answer: Answer, timeout: Timeout, request: requests.PreparedRequest) -> None:
        patience = timeout[1] if isinstance(timeout, tuple) else timeout
        if patience is not None and answer.delay_seconds > patience:
            self._sleep(patience)
            raise requests.ReadTimeout("the simulator stalled", request=request)
        if answer.delay_seconds:
            self._sleep(answer.delay_seconds)

    def close(self) -> None:
        """Nothing is held open."""


def _form(request: requests.PreparedRequest) -> dict[str, str]:
    body = request.body.decode() if isinstance(request.body, bytes) else request.body
    return dict(parse_qsl(body, keep_blank_values=True)) if isinstance(body, str) else {}


def _response(request: requests.PreparedRequest, answer: Answer) -> requests.Response:
    response = requests.Response()
    response.status_code = answer.status
    response.reason = reasons.get(answer.status, "")
    response.headers = CaseInsensitiveDict(answer.headers)
    response.encoding = "utf-8"
    response.url = request.url or ""
    response.request = request
    response.raw = io.BytesIO(answer.body)
    return response
