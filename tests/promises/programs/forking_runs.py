"""Runs syncs and pushes in children, forked from a process that has imported everything, and kills them for real.

Reads one JSON command a line from stdin, forks a child for each, and answers with how the child ended:
`{"ended": "exit 0"}` or `{"ended": "signal 9"}`. A child with `kill_at` sends itself SIGKILL around its n-th request:
`before` it is sent, or `after` its answer has arrived and before anything is done with it; a child with `kill_after`
seconds is killed wherever it is by then. A child with `now` lives in virtual time, which begins there; `clock_error` is
by how much its wall clock is wrong, `max_seconds` how long it may take, `share` what it may spend on reading again, and
none of its files may grow beyond `file_bytes`. A child with `push` sends rows to Dashly instead: `kind`, `sql`,
`operations` by key, and the columns that are the `row_key`. A failure that the exit codes know ends in its code.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import requests

from dashly.connection import Session
from dashly.endpoints import DEFAULT_RESOURCES
from dashly_activation.rows import Kind, RowMap
from dashly_state.budget import RateLimit
from dashly_state.clock import Clock, SystemClock, VirtualClock
from dashly_sync.exits import exit_for
from dashly_sync.push import Push
from dashly_sync.push_order import PushOrder
from dashly_sync.run import Run, RunLimits
from dashly_sync.settings import Settings
from dashly_sync.signals import StopSignal

LATER = ("dlt.destinations.impl.duckdb.duck", "dlt.destinations.impl.postgres.postgres", "pandas", "pyarrow.compute")
"""What a run imports while it works: half of the CPU time of a small one."""


class Killed(requests.Session):
    """A session that ends the process at its n-th request."""

    def __init__(self, at: int, when: str) -> None:
        super().__init__()
        self._left, self._when = at, when

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        self._left -= 1
        if self._left == 0 and self._when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        response = super().request(*args, **kwargs)
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return response


def work(command: Mapping[str, Any]) -> None:
    settings = Settings(
        auth_token=command["token"],
        base_url=command["base_url"],
        destination=command["destination"],
        state_dir=Path(command["state_dir"]),
        rate_limit=RateLimit.parse(command["rate_limit"]),
        reconcile_share=command.get("share", 0.0),
    )
    session = Killed(command["kill_at"], command["when"]) if "kill_at" in command else None
    if "kill_after" in command:
        threading.Timer(command["kill_after"], os.kill, (os.getpid(), signal.SIGKILL)).start()
    if "file_bytes" in command:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (command["file_bytes"],) * 2)
    if "push" in command:
        push(settings, session, **command["push"])
        return
    limits = RunLimits(DEFAULT_RESOURCES, max_seconds=command.get("max_seconds"))
    Run(settings, limits, StopSignal(), session=session, clock=clock(command)).carry_out()


def push(
    settings: Settings, session: Session | None, kind: Kind, sql: str, operations: dict[str, str], row_key: list[str]
) -> None:
    mapped = RowMap(kind, "id", operations=operations, row_key=row_key)
    Push(settings, PushOrder(kind, "killed", sql, mapped), StopSignal(), session=session).carry_out()


def clock(command: Mapping[str, Any]) -> Clock:
    if "now" not in command:
        return SystemClock()
    virtual = VirtualClock(command["now"])
    virtual.step(command.get("clock_error", 0.0))
    return virtual


def work_and_exit(command: Mapping[str, Any]) -> NoReturn:
    try:
        work(command)
    except Exception as error:
        code = exit_for(error)
        if code is None:
            traceback.print_exc()
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.stderr.flush()
        os._exit(99 if code is None else code)
    os._exit(0)


def main() -> None:
    for module in LATER:
        importlib.import_module(module)
    gc.freeze()  # so that a child's collector leaves the memory that it shares alone
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            work_and_exit(json.loads(line))
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        sys.stdout.write(json.dumps({"ended": f"signal {-code}" if code < 0 else f"exit {code}"}) + "\n")
        sys.stdout.flush()
    gc.unfreeze()


if __name__ == "__main__":
    main()
