"""The simulator behind a real HTTP server, with a control plane under `/_simulator/`."""

from __future__ import annotations

import asyncio
import signal
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import parse_qsl

from aiohttp import web

from .answers import Answer
from .control import PREFIX, add_control_plane
from .simulator import Simulator

START_SECONDS = 30.0
"""How long a server may take to listen; it is milliseconds, unless the machine is in trouble."""
LARGEST_BODY = 16 * 1024 * 1024
"""Files of up to 10 MB may start a conversation."""
CUT_SHARE = 2
"""A cut body ends after 1/2 of its bytes."""


@dataclass(frozen=True)
class Server:
    """A running server."""

    host: str
    port: int

    @property
    def base_url(self) -> str:
        """What a client takes as base URL."""
        return f"http://{self.host}:{self.port}/v1"

    @property
    def control_url(self) -> str:
        """Where the control plane is."""
        return f"http://{self.host}:{self.port}{PREFIX}"


def make_app(sim: Simulator) -> web.Application:
    """The aiohttp application: the control plane, and the API on every other path."""
    app = web.Application(client_max_size=LARGEST_BODY)
    add_control_plane(app, sim)

    async def answer(request: web.Request) -> web.StreamResponse:
        params = dict(request.query) | await _form(request)
        found = sim.answer(request.method, request.rel_url.raw_path, params, dict(request.headers))
        if found.delay_seconds:
            await asyncio.sleep(found.delay_seconds)
        return await _send(request, found)

    app.router.add_route("*", "/{path:.*}", answer)
    return app


async def _form(request: web.Request) -> dict[str, str]:
    if request.content_type == "application/x-www-form-urlencoded":
        return dict(parse_qsl((await request.read()).decode(errors="replace"), keep_blank_values=True))
    form = await request.post()
    return {name: value for name, value in form.items() if isinstance(value, str)}


async def _send(request: web.Request, answer: Answer) -> web.StreamResponse:
    if answer.fault == "reset":
        _reset(request)
    if answer.fault in ("cut", "reset"):
        return await _send_cut(request, answer)
    return web.Response(status=answer.status, body=answer.body, headers=answer.headers)


def _reset(request: web.Request) -> None:
    if request.transport is None:
        return
    connection = request.transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.transport.abort()


async def _send_cut(request: web.Request, answer: Answer) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    if request.transport is None or request.transport.is_closing():
        return response
    response.content_length = len(answer.body)
    await response.prepare(request)
    await response.write(answer.body[: len(answer.body) // CUT_SHARE])
    request.transport.close()
    return response


async def _run(
    sim: Simulator, host: str, port: int, ready: Callable[[Server], None], stopped: Callable[[], asyncio.Event]
) -> None:
    runner = web.AppRunner(make_app(sim), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        ready(Server(host, runner.addresses[0][1]))
        await stopped().wait()
    finally:
        await runner.cleanup()


class _Thread(threading.Thread):
    """Runs the server's event loop until told to stop."""

    def __init__(self, sim: Simulator, host: str, port: int) -> None:
        super().__init__(name="dashly-simulator", daemon=False)
        self._arguments = (sim, host, port)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._is_ready = threading.Event()
        self._error: BaseException | None = None
        self.server: Server | None = None

    def run(self) -> None:
        """The thread's own life."""
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._error = error
        finally:
            self._is_ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        await _run(*self._arguments, self._ready, lambda: self._stopping)

    def _ready(self, server: Server) -> None:
        self.server = server
        self._is_ready.set()

    def wait(self) -> Server:
        """The server, once it listens; raises what kept it from that."""
        self._is_ready.wait(START_SECONDS)
        if self._error is not None:
            self.join()
            raise self._error
        if self.server is None:
            raise TimeoutError(f"the simulator did not listen within {START_SECONDS} seconds")
        return self.server

    def stop(self) -> None:
        """End the server and the thread."""
        if self._loop is not None and self.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
        self.join()


@contextmanager
def serve(sim: Simulator, port: int = 0, host: str = "127.0.0.1") -> Iterator[Server]:
    """Serve the simulator while the block runs, on a free port unless one is given."""
    thread = _Thread(sim, host, port)
    thread.start()
    try:
        yield thread.wait()
    finally:
        thread.stop()


def run_forever(
    sim: Simulator, host: str = "127.0.0.1", port: int = 8099, on_ready: Callable[[Server], None] | None = None
) -> None:
    """Serve the simulator until SIGINT or SIGTERM; call from the main thread."""

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        await _run(sim, host, port, on_ready or (lambda _server: None), lambda: stop)

    asyncio.run(main())
