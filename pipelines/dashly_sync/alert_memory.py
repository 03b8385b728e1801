"""The file in the state directory that remembers how runs ended here and what was told: the destination may be down."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dashly_state.directory import StateDirectory, state_root
from dashly_state.errors import StateError
from dashly_sync.alerts import Failing, Told
from dashly_sync.settings import Settings
from dashly_warehouse.errors import WarehouseError
from dashly_warehouse.replacement import replacing
from dashly_warehouse.specs import parse_destination


class AlertMemory:
    """What is remembered of the runs of one app into one dataset.

    Args:
        settings: Which destination, dataset and app, and where the state directory is.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        key = "|".join((destination_of(settings), settings.dataset_name, settings.app))
        self._name = f"alerts-{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}.json"

    def read(self) -> Told:
        """Returns it; an empty one where nothing can be read. Makes nothing."""
        try:
            return _told(json.loads(self._path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, KeyError, AttributeError, StateError):
            return Told()

    def write(self, told: Told) -> None:
        """Puts it into the file, whole or not at all, for nobody else to read; a disk that is full is no failure."""
        with suppress(OSError, StateError):
            StateDirectory(self._settings.state_dir)
            with replacing(self._path) as partial:
                descriptor = os.open(partial, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
                with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                    json.dump(asdict(told), file)

    @property
    def _path(self) -> Path:
        return state_root(self._settings.state_dir) / self._name


def destination_of(settings: Settings) -> str:
    """Returns the destination as it may be shown; nothing of one that makes no sense, as it may hold a password."""
    try:
        return parse_destination(settings.destination).display
    except WarehouseError:
        return "a destination that makes no sense"


def _told(values: dict[str, Any]) -> Told:
    failing = values.pop("failing")
    return Told(**values, failing=None if failing is None else Failing(**failing))
