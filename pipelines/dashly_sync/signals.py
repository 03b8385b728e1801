"""SIGINT and SIGTERM end a run after the page in hand is committed; a second one ends it at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopSignal:
    """Set by the first SIGINT or SIGTERM.

    Attributes:
        event: What everything that waits is listening to.
        number: The signal that came; None while none did.
    """

    def __init__(self) -> None:
        self.event = threading.Event()
        self.number: int | None = None

    def receive(self, number: int, _frame: FrameType | None) -> None:
        """Takes the signal; the next one of its kind ends the process at once."""
        self.number = number
        self.event.set()
        signal.signal(number, signal.SIG_DFL)


@contextmanager
def stop_signals() -> Iterator[StopSignal]:
    """Listens to SIGINT and SIGTERM while the block runs; only the main thread can."""
    stop = StopSignal()
    before = {number: signal.signal(number, stop.receive) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
