"""What was asked of the API, and what it cost."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from typing import Any, NamedTuple

LOG_LENGTH = 10_000
SECRET_PARAMS = frozenset({"auth_token"})


class Entry(NamedTuple):
    """One request; the token is never in it. A fault's status is its name."""

    time: float
    method: str
    path: str
    params: dict[str, str]
    status: int | str


class RequestLog:
    """Counts of requests by endpoint and by status, and the latest requests themselves."""

    def __init__(self, length: int = LOG_LENGTH) -> None:
        self.total = 0
        self.by_endpoint: Counter[str] = Counter()
        self.by_status: Counter[int | str] = Counter()
        self.log: deque[Entry] = deque(maxlen=length)

    def reset(self) -> None:
        """Start counting from nothing."""
        self.total = 0
        self.by_endpoint.clear()
        self.by_status.clear()
        self.log.clear()

    def add(
        self, time: float, method: str, path: str, params: Mapping[str, str], status: int | str, endpoint: str
    ) -> None:
        """Count one request."""
        shown = {name: value for name, value in params.items() if name not in SECRET_PARAMS}
        self.total += 1
        self.by_endpoint[endpoint] += 1
        self.by_status[status] += 1
        self.log.append(Entry(time, method, path, shown, status))

    def summary(self) -> dict[str, Any]:
        """The counts as JSON values."""
        by_status = {str(status): number for status, number in self.by_status.items()}
        return {"total": self.total, "by_endpoint": dict(self.by_endpoint), "by_status": by_status}
