"""The simulator: an account, the API in front of it, what was asked of it, and what is true."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from threading import RLock
from typing import Any

from .answers import Answer, ApiError, failure, server_error, success, too_many_requests
from .clock import Clock, VirtualClock, WallClock
from .endpoints import Route, admit, find_route, perform
from .faults import FaultInjector
from .life import Life
from .paging import LARGEST_COUNT
from .rate_window import make_window
from .request_log import RequestLog
from .settings import SimulatorSettings
from .truth import Truth
from .world import World

UNKNOWN_ENDPOINT = "(unknown)"
UNANSWERED_FAULTS = frozenset({"cut", "stall"})
"""Faults that happen on the way back, after the request has taken effect."""
HTML_502 = b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx/1.24.0</center>\r\n</body>\r\n</html>\r\n"  # noqa: E501
FAULT_RETRY_AFTER_SECONDS = 7


class Simulator:
    """A simulated Dashly account with its Web API; thread-safe.

    >>> sim = Simulator(SimulatorSettings(users=3, conversations=2))
    >>> sim.answer("GET", "/v1/apps/1/channels", {"auth_token": "wrong"}).status
    401
    """

    def __init__(self, settings: SimulatorSettings | None = None) -> None:
        self.settings = settings or SimulatorSettings()
        self.lock = RLock()
        self.clock: Clock = WallClock() if self.settings.clock == "real" else VirtualClock(self.settings.start_time)
        self._world = World(self._dated(self.settings), self.clock)
        self.requests = RequestLog()
        self.faults = FaultInjector(self.settings.faults)
        self.life = Life(self._world, self.lock)
        self.truth = Truth(self._world)
        self._window = make_window(self.settings)

    def _dated(self, settings: SimulatorSettings) -> SimulatorSettings:
        return replace(settings, start_time=self.clock.now_at()) if settings.clock == "real" else settings

    def answer(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        now: float | None = None,
    ) -> Answer:
        """What the API answers to one request, `path` with its `/v1`.

        `now` is when the request arrives, in unix seconds; a virtual clock moves up to it.
        """
        sent = {name: str(value) for name, value in (params or {}).items() if value is not None}
        with self.lock:
            if now is not None:
                self.clock.catch_up(now)
            arrived = self.clock.now() if now is None else now
            route = find_route(path, self.settings.unversioned)
            found = self._answer(method, route, sent, headers or {}, arrived)
            endpoint = f"{method} {route.template if route is not None else UNKNOWN_ENDPOINT}"
            self.requests.add(arrived, method, path, sent, found.fault or found.status, endpoint)
            self.life.go_on()
            return replace(found, delay_seconds=found.delay_seconds + self.settings.latency_seconds)

    def _answer(
        self, method: str, route: Route | None, params: Mapping[str, str], headers: Mapping[str, str], now: float
    ) -> Answer:
        fault = self.faults.next()
        if fault is not None and fault not in UNANSWERED_FAULTS:
            return _broken(fault)
        answer = self._good_answer(method, route, params, headers, now)
        if fault is None:
            return answer
        delay_seconds = self.settings.stall_seconds if fault == "stall" else 0.0
        return replace(answer, fault=fault, delay_seconds=delay_seconds)

    def _good_answer(
        self, method: str, route: Route | None, params: Mapping[str, str], headers: Mapping[str, str], now: float
    ) -> Answer:
        try:
            allowed = admit(route, params, headers, self.settings)
            if self._window is not None and not self._window.admit(now):
                return self._refusal(now)
            return success(perform(self._world, method, allowed, params))
        except ApiError as error:
            return failure(error)

    def _refusal(self, now: float) -> Answer:
        answer = failure(too_many_requests())
        if self._window is None or not self.settings.retry_after:
            return answer
        return replace(answer, headers=answer.headers | {"Retry-After": str(self._window.wait_seconds(now))})

    def floor_requests(self) -> int:
        """The fewest requests that a complete first load can cost, at 50 rows a page.

        A conversation whose only part is in the list row needs none; with `part_last` brief or absent, each needs one.
        """
        with self.lock:
            world = self._world
            lists = _pages(len(world.user_index.order)) + _pages(len(world.talk_order)) + 2
            events = sum(map(_pages, world.event_counts()))
            is_told = self.settings.part_last == "full"
            return lists + events + sum(_pages(count) for count in world.part_counts() if count > 1 or not is_told)


def _pages(rows: int) -> int:
    return max(1, -(-rows // LARGEST_COUNT))


def _broken(fault: str) -> Answer:
    if fault == "html502":
        return Answer(502, HTML_502, {"Content-Type": "text/html"}, fault)
    if fault in ("429", "429_retry_after"):
        answer = replace(failure(too_many_requests()), fault=fault)
        if fault == "429":
            return answer
        return replace(answer, headers=answer.headers | {"Retry-After": str(FAULT_RETRY_AFTER_SECONDS)})
    return replace(failure(server_error()), fault=fault)
