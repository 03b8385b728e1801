"""What goes wrong on purpose: a plan that repeats, and a queue of single faults."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

KINDS = ("500", "html502", "cut", "reset", "stall", "429", "429_retry_after")


@dataclass(frozen=True)
class Faults:
    """Every `every`-th request fails, with the `kinds` taken in turn.

    Kinds: `500` the API's own Error500 · `html502` a proxy's HTML page · `cut` a body that ends early ·
    `reset` a TCP reset before any answer · `stall` an answer that comes after `stall_seconds` ·
    `429` and `429_retry_after` a refusal without and with a Retry-After header. A write that is `cut` or
    stalled has taken effect; one that met any other fault has not.
    """

    every: int = 10
    kinds: tuple[str, ...] = KINDS

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"Faults(every={self.every}): must be 1 or more")
        for kind in self.kinds:
            check_kind(kind)


def check_kind(kind: str) -> str:
    """The kind itself; raises ValueError with the known kinds when it is none of them."""
    if kind not in KINDS:
        raise ValueError(f"unknown fault {kind!r}; known are {', '.join(KINDS)}")
    return kind


class FaultInjector:
    """Says of each request whether it fails, and how."""

    def __init__(self, plan: Faults | None = None) -> None:
        self.plan = plan
        self._seen = 0
        self._failed = 0
        self._queue: deque[str] = deque()

    def queue(self, kind: str, times: int = 1) -> None:
        """Let the next `times` requests fail with `kind`, before the plan has its say."""
        self._queue.extend([check_kind(kind)] * times)

    def follow(self, plan: Faults | None) -> None:
        """Replace the plan, counting from here; None ends it."""
        self.plan, self._seen, self._failed = plan, 0, 0

    def clear(self) -> None:
        """Forget the plan and the queue."""
        self._queue.clear()
        self.follow(None)

    def next(self) -> str | None:
        """The fault that the request arriving now meets; None for a good answer."""
        self._seen += 1
        if self._queue:
            return self._queue.popleft()
        if self.plan is None or not self.plan.kinds or self._seen % self.plan.every:
            return None
        kind = self.plan.kinds[self._failed % len(self.plan.kinds)]
        self._failed += 1
        return kind
