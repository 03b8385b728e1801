"""The request budget that a client draws on unless it is given another, and what its writes leave of it to reads."""

from __future__ import annotations

import os
from math import ceil
from pathlib import Path

from dashly.errors import SettingsError
from dashly_state.budget import RateLimit, RequestBudget
from dashly_state.clock import Clock
from dashly_state.directory import StateDirectory

WRITES_LEAVE = 0.1
"""Share of the budget that a write leaves free: what a sync asks for first finds places at once, and while a sync wants
all of them it gets all but one a window (`RequestBudget.acquire`). Writes alone go at 90 % of the limit."""
DEFAULT_RATE_LIMIT = "60/60"


def writes_leave(limit: RateLimit) -> int:
    """Returns how many places of the budget a write leaves to reads.

    Example:
        >>> [writes_leave(RateLimit(requests, 60.0)) for requests in (60, 5, 1)]
        [6, 1, 0]
    """
    return min(ceil(WRITES_LEAVE * limit.requests), limit.requests - 1)


def shared_budget(token: str, clock: Clock) -> RequestBudget:
    """Returns the budget that all commands on this machine share.

    Raises:
        SettingsError: `DASHLY_RATE_LIMIT` makes no sense.
        StateDirectoryError: The state directory cannot be used.
    """
    root = os.environ.get("DASHLY_STATE_DIR")
    try:
        limit = RateLimit.parse(os.environ.get("DASHLY_RATE_LIMIT") or DEFAULT_RATE_LIMIT)
    except ValueError as error:
        raise SettingsError(f"DASHLY_RATE_LIMIT: {error}") from None
    return RequestBudget(StateDirectory(Path(root) if root else None).budget_path, token, limit, clock)
