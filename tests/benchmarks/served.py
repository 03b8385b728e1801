"""A simulated account behind real HTTP, in a process of its own: its CPU and memory are not those of who reads it."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # whoever measures a reader's memory imports this module: the server's libraries are not the reader's
    from dashly_simulator import Simulator, SimulatorSettings


class Served:
    """A simulator that another process serves.

    Attributes:
        base_url: What a client takes.
        start: The account's time at the beginning, unix seconds.
        floor: The fewest requests that a complete first load costs.
    """

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.base_url, self.start, self.floor = pipe.recv()

    def cpu_seconds(self) -> float:
        """Returns what the server's process has used."""
        return float(self._ask("cpu"))

    def churn(self, share: float, now: float) -> None:
        """Lets that share of users and conversations be active, `now` in unix seconds."""
        self._ask("churn", share, now)

    def visit(self, users: int, conversations: int, now: float) -> int:
        """Lets so many users have an event and so many conversations a reply each; returns who they were in all."""
        return int(self._ask("visit", users, conversations, now))

    def _ask(self, *what: Any) -> Any:
        self._pipe.send(what)
        return self._pipe.recv()


@contextmanager
def simulator(account: SimulatorSettings) -> Iterator[Served]:
    """Yields the account while its process lives."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(account, there))
    process.start()
    try:
        yield Served(here)
    finally:
        here.send(("stop",))
        process.join()


def _serve(account: SimulatorSettings, pipe: Connection) -> None:
    """Answers HTTP, and what is asked through the pipe, until told to stop."""
    from dashly_simulator import Simulator, serve

    told = Simulator(account)
    with serve(told) as server:
        pipe.send((server.base_url, told.clock.now(), told.floor_requests()))
        while True:
            match pipe.recv():
                case ("cpu",):
                    pipe.send(time.process_time())
                case ("churn", share, now):
                    told.clock.catch_up(now)
                    told.life.churn(share)
                    pipe.send(None)
                case ("visit", users, conversations, now):
                    told.clock.catch_up(now)
                    pipe.send(_visit(told, users, conversations))
                case _:
                    return


def _visit(told: Simulator, users: int, conversations: int) -> int:
    """Lets the first so many users and conversations be active, in turn at every call."""
    active = [row["id"] for row in told.truth.rows("users")][:users]
    talks = [row["id"] for row in told.truth.rows("conversations")][:conversations]
    for user in active:
        told.life.user_visits(user, 1)
    for talk in talks:
        told.life.reply(talk)
    return len(active) + len(talks)
