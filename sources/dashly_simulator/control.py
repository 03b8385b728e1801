"""The control plane: everything that a test in another process wants to know or do. Not part of the API."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from aiohttp import web

from .faults import Faults
from .simulator import Simulator

PREFIX = "/_simulator"


def add_control_plane(app: web.Application, sim: Simulator) -> None:
    """Add the control routes; their requests are not counted."""
    plane = _ControlPlane(sim)
    app.router.add_get(f"{PREFIX}/stats", plane.stats)
    app.router.add_post(f"{PREFIX}/reset-stats", plane.reset_stats)
    app.router.add_post(f"{PREFIX}/deed", plane.deed)
    app.router.add_post(f"{PREFIX}/faults", plane.faults)
    app.router.add_post(f"{PREFIX}/advance", plane.advance)
    app.router.add_get(f"{PREFIX}/truth", plane.tables)
    app.router.add_get(f"{PREFIX}/truth/{{table}}", plane.truth)
    app.router.add_get(f"{PREFIX}/deleted/{{table}}", plane.deleted)
    app.router.add_get(f"{PREFIX}/settings", plane.settings)


class _ControlPlane:
    def __init__(self, sim: Simulator) -> None:
        self._sim = sim

    async def stats(self, _request: web.Request) -> web.Response:
        """Requests counted since the start or the last reset, and the time of the world."""
        with self._sim.lock:
            return web.json_response(self._sim.requests.summary() | {"now": self._sim.clock.now()})

    async def reset_stats(self, _request: web.Request) -> web.Response:
        """Count from nothing."""
        with self._sim.lock:
            self._sim.requests.reset()
        return web.json_response({})

    async def deed(self, request: web.Request) -> web.Response:
        """Do `{"name": ..., "args": {...}}`; answers `{"touched": ...}`."""
        asked = await _json_object(request)
        try:
            touched = self._sim.life.do(str(asked.get("name")), **asked.get("args", {}))
        except (LookupError, TypeError, ValueError) as error:
            raise _refused(str(error)) from None
        return web.json_response({"touched": touched})

    async def faults(self, request: web.Request) -> web.Response:
        """`{"queue": "reset", "times": 1}`, `{"plan": {"every": 10, "kinds": [...]}}` or `{"plan": null}`."""
        asked = await _json_object(request)
        try:
            with self._sim.lock:
                if "plan" in asked:
                    self._sim.faults.follow(_plan(asked["plan"]))
                if "queue" in asked:
                    self._sim.faults.queue(str(asked["queue"]), int(asked.get("times", 1)))
        except (TypeError, ValueError) as error:
            raise _refused(str(error)) from None
        return web.json_response({})

    async def advance(self, request: web.Request) -> web.Response:
        """Move a virtual clock by `{"seconds": ...}`."""
        asked = await _json_object(request)
        try:
            with self._sim.lock:
                self._sim.clock.advance(float(asked.get("seconds", 0)))
        except (TypeError, ValueError) as error:
            raise _refused(str(error)) from None
        return web.json_response({"now": self._sim.clock.now()})

    async def tables(self, _request: web.Request) -> web.Response:
        """The names of the tables."""
        return web.json_response(self._sim.truth.tables())

    async def truth(self, request: web.Request) -> web.StreamResponse:
        """The rows of a table as JSON lines; times are ISO 8601."""
        with_details = request.query.get("with_details") == "true"
        try:
            rows = self._sim.truth.rows(request.match_info["table"], with_details=with_details)
        except LookupError as error:
            raise _refused(str(error)) from None
        with self._sim.lock:
            text = "".join(json.dumps(row, default=_iso) + "\n" for row in rows)
        return web.Response(text=text, content_type="application/x-ndjson")

    async def deleted(self, request: web.Request) -> web.Response:
        """Keys of rows that are gone."""
        with self._sim.lock:
            return web.json_response(sorted(self._sim.truth.deleted(request.match_info["table"])))

    async def settings(self, _request: web.Request) -> web.Response:
        """The settings, without the token."""
        return web.json_response(self._sim.settings.public())


def _plan(asked: Any) -> Faults | None:
    if asked is None:
        return None
    return Faults(**(asked | {"kinds": tuple(asked["kinds"])} if "kinds" in asked else asked))


async def _json_object(request: web.Request) -> dict[str, Any]:
    try:
        asked = await request.json()
    except ValueError:
        raise _refused("the body is not JSON") from None
    if not isinstance(asked, dict):
        raise _refused("the body is not a JSON object")
    return asked


def _refused(problem: str) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(text=json.dumps({"error": problem}), content_type="application/json")


def _iso(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"no JSON for {type(value).__name__}")
