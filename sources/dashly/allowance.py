"""How many requests a run may still send."""

from __future__ import annotations

import threading

from dashly.errors import Stopped


class Allowance:
    """How many more requests this run may send; retries count. Thread-safe."""

    def __init__(self, requests_left: int | None = None) -> None:
        self._left = requests_left
        self._lock = threading.Lock()

    @property
    def spent(self) -> bool:
        """Whether no request is left."""
        return self._left is not None and self._left <= 0

    @property
    def left(self) -> int | None:
        """Requests left; None without a limit."""
        return self._left

    def take(self) -> None:
        """Counts one request.

        Raises:
            Stopped: None is left.
        """
        with self._lock:
            if self.spent:
                raise Stopped("the request limit of this run is reached")
            if self._left is not None:
                self._left -= 1
