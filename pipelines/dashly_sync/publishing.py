"""When a run publishes its read copy of the warehouse (`--snapshot`): after the last load, now and then before."""

from __future__ import annotations

from pathlib import Path

from dashly_state.clock import Clock
from dashly_sync.settings import Settings
from dashly_warehouse.errors import WarehouseError
from dashly_warehouse.snapshot import check_snapshot, publish_snapshot
from dashly_warehouse.specs import DestinationSpec, parse_destination

EVERY_SECONDS = 600.0
"""After each load of a long run, which takes twenty minutes once there is much to read."""
MOST_SHARE = 0.05
"""Of a run's time may go to copying: 600 s are enough for 12 GB at the 0.4 GB/s of a busy disk."""


class Publisher:
    """Publishes the copy when it is time.

    Args:
        settings: Which warehouse, and where the copy goes, if anywhere.
        clock: What time it is.

    Raises:
        DestinationConfigError: There can be no such copy.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings, self._target, self._clock = settings, settings.snapshot, clock
        self._published_at, self._wait_seconds = clock.monotonic(), EVERY_SECONDS
        if self._target is not None:
            check_snapshot(self._spec, settings.dataset_name, self._target)

    @property
    def _spec(self) -> DestinationSpec:
        return parse_destination(self._settings.destination)

    def after_load(self, *, is_last: bool) -> list[str]:
        """Publishes a copy if it is time; returns what a person should know, when that failed.

        Args:
            is_last: Whether the run ends with this load.
        """
        if self._target is None or not (is_last or self._is_due(self._target)):
            return []
        began = self._clock.monotonic()
        notices = self._publish(self._target)
        self._published_at = self._clock.monotonic()
        self._wait_seconds = max(EVERY_SECONDS, (self._published_at - began) / MOST_SHARE)
        return notices

    def _is_due(self, target: Path) -> bool:
        """The first copy of all is due at once: a first load takes hours, and is of use after a minute."""
        return not target.exists() or self._clock.monotonic() - self._published_at >= self._wait_seconds

    def _publish(self, target: Path) -> list[str]:
        try:
            publish_snapshot(self._spec, target)
        except (OSError, WarehouseError) as error:
            why = error.message if isinstance(error, WarehouseError) else error.strerror or error
            there = "the one before stays" if target.exists() else "there is none yet"
            return [f"no new snapshot {target}: {why}; {there}. The rows are loaded, the next run tries again"]
        return []
