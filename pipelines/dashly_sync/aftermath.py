"""What follows a run, however it ended: its metrics, and what whoever is on call is told. It never fails the run."""

from __future__ import annotations

from typing import Any

import click

from dashly.errors import DashlyError
from dashly.redaction import redact
from dashly_state.clock import Clock, SystemClock
from dashly_state.errors import RunLockHeld, StateError
from dashly_sync.alert_memory import AlertMemory, destination_of
from dashly_sync.alerts import Alert, Ended, Told, delivered, doubling, due, kind_of, moment_text, note
from dashly_sync.exits import exit_for
from dashly_sync.metrics import metrics_file, metrics_of, metrics_without_warehouse, write_metrics
from dashly_sync.settings import Settings, UsageError
from dashly_sync.status import Status, read_status
from dashly_sync.verdict import what_stands
from dashly_sync.webhook import send
from dashly_warehouse.errors import WarehouseError

_SIGNS = {"failed": "✗", "recovered": "✓", "moving": "✓"}


class Aftermath:
    """Follows one run.

    Args:
        settings: Of the run; of one that failed over its settings, those that made sense.
        is_ordinary: Whether the run was like others, so that its requests can be compared with theirs.
        clock: What time it is.
    """

    def __init__(self, settings: Settings, *, is_ordinary: bool = True, clock: Clock | None = None) -> None:
        self._settings, self._is_ordinary = settings, is_ordinary
        self._clock = clock or SystemClock()
        self._memory = AlertMemory(settings)

    def follow(self, error: BaseException | None = None) -> list[str]:
        """Writes the metrics and tells what is to be told; returns what did not work, as notices.

        Args:
            error: What the run failed with. That another one holds the lock is no failure.
        """
        if isinstance(error, RunLockHeld):
            return []
        at = self._clock.now()
        ended = Ended(at) if error is None else Ended(at, self._words(error), self._kind(error))
        told = note(self._memory.read(), ended)
        self._memory.write(told)
        notices: list[str] = []
        if self._settings.webhook or self._settings.metrics_file is not None:
            status = self._status()
            notices += self._write_metrics(status, told, at)
            ended = self._judged(ended, status)
        told_now, undelivered = self._tell(due(told, ended), status_at=at)
        self._memory.write(delivered(told, ended, told_now))
        return notices + undelivered

    def _words(self, error: BaseException) -> str:
        """Returns what it says; of a defect, which has no words for people, its kind too."""
        said = redact(str(error), self._settings.auth_token)
        is_defect = exit_for(error) is None and not isinstance(error, click.ClickException)
        return f"{type(error).__name__}: {said}" if is_defect else said

    def _kind(self, error: BaseException) -> str:
        """Returns what one outage has in common, whichever resource a run happened to ask for first."""
        name = type(error).__name__
        return name if isinstance(error, DashlyError) else f"{name}: {kind_of(self._words(error))}"

    def _status(self) -> Status | None:
        try:
            return read_status(self._settings, self._clock)
        except (WarehouseError, StateError):
            return None

    def _judged(self, ended: Ended, status: Status | None) -> Ended:
        if status is None or ended.error is not None:
            return ended
        more = doubling(status.runs) if self._is_ordinary else ""
        return Ended(ended.at, stuck=what_stands(status), doubled=more)

    def _write_metrics(self, status: Status | None, told: Told, at: float) -> list[str]:
        file = metrics_file(self._settings)
        if file is None:
            return []
        if status is None:
            text = metrics_without_warehouse(told, self._settings, at)
        else:
            text = metrics_of(status, self._settings)
        try:
            write_metrics(text, file)
        except UsageError as error:
            return [f"no metrics: {error}"]
        return []

    def _tell(self, alerts: list[Alert], status_at: float) -> tuple[list[str], list[str]]:
        """Returns the events that were told, and why others were not."""
        if not self._settings.webhook:
            return [], []
        told, undelivered = [], []
        for alert in alerts:
            why = send(self._settings.webhook, *self._message(alert, status_at))
            if why is None:
                told.append(alert.event)
            else:
                undelivered.append(f"the webhook was not told that {alert.event}: {why}; the next run tries again")
        return told, undelivered

    def _message(self, alert: Alert, at: float) -> tuple[str, dict[str, Any]]:
        settings = self._settings
        where = destination_of(settings)
        place = f"{where}, {settings.app or settings.dataset_name}"
        fields = {
            "event": alert.event,
            "sentence": alert.sentence,
            "destination": where,
            "dataset": settings.dataset_name,
            "app": settings.app or settings.app_id,
            "at": moment_text(at),
            **alert.fields,
        }
        return f"{_SIGNS.get(alert.event, '!')} dashly-sync ({place}): {alert.sentence}", fields
