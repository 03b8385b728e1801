"""Runs syncs in children that are forked from a process that has already imported everything, and kills them for real.

Reads one JSON command a line from stdin, forks a child for each, and answers with how the child ended:
`{"ended": "exit 0"}` or `{"ended": "signal 9"}`. A child with `kill_at` sends itself SIGKILL around its n-th request:
`before` it is sent, or `after` its answer has arrived and before anything is done with it; a child with `kill_after`
seconds is killed wherever it is by then.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests

from dashly.endpoints import DEFAULT_RESOURCES
from dashly_state.budget import RateLimit
from dashly_sync.run import Run, RunLimits
from dashly_sync.settings import Settings
from dashly_sync.signals import StopSignal


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


def sync(command: Mapping[str, Any]) -> None:
    settings = Settings(
        auth_token=command["token"],
        base_url=command["base_url"],
        destination=command["destination"],
        state_dir=Path(command["state_dir"]),
        rate_limit=RateLimit.parse(command["rate_limit"]),
        reconcile_share=0.0,
    )
    session = Killed(command["kill_at"], command["when"]) if "kill_at" in command else None
    if "kill_after" in command:
        threading.Timer(command["kill_after"], os.kill, (os.getpid(), signal.SIGKILL)).start()
    Run(settings, RunLimits(DEFAULT_RESOURCES), StopSignal(), session=session).carry_out()


def main() -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            sync(json.loads(line))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        sys.stdout.write(json.dumps({"ended": f"signal {-code}" if code < 0 else f"exit {code}"}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
