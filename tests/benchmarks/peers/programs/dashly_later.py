"""`dashly-sync run` as it will be after some time: the same run, with a clock that is so many seconds ahead.

The settings come from the environment, as the command takes them.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from dashly_state.budget import RateLimit
from dashly_state.clock import SystemClock
from dashly_sync.run import Run, RunLimits
from dashly_sync.settings import Settings
from dashly_sync.signals import StopSignal


class LaterClock(SystemClock):
    """What the wall will show."""

    def __init__(self, ahead_seconds: float) -> None:
        self._ahead_seconds = ahead_seconds

    def now(self) -> float:
        """Return unix seconds, UTC, of that time."""
        return super().now() + self._ahead_seconds


def main() -> int:
    """Carries the run out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ahead-seconds", type=float, required=True)
    parser.add_argument("--only", required=True)
    chosen = parser.parse_args()
    settings = Settings(
        auth_token=os.environ["DASHLY_AUTH_TOKEN"],
        base_url=os.environ["DASHLY_BASE_URL"],
        destination=os.environ["DASHLY_DESTINATION"],
        state_dir=Path(os.environ["DASHLY_STATE_DIR"]),
        rate_limit=RateLimit.parse(os.environ["DASHLY_RATE_LIMIT"]),
        reconcile_share=float(os.environ["DASHLY_RECONCILE_SHARE"]),
    )
    limits = RunLimits(tuple(chosen.only.split(",")))
    Run(settings, limits, StopSignal(), clock=LaterClock(chosen.ahead_seconds)).carry_out()
    return 0


if __name__ == "__main__":
    sys.exit(main())
