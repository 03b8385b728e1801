"""The dlt pipeline of a command: which destination, which dataset, and where its working directory is."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from dashly_state.directory import StateDirectory
from dashly_sync.settings import Settings
from dashly_warehouse.specs import DestinationSpec, parse_destination

if TYPE_CHECKING:
    import dlt

PIPELINE_NAME = "dashly"
"""dlt finds its state in the destination by this name, also when the working directory is lost."""

_DLT_SETTINGS = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",  # four POSTs a slice to a third party otherwise
    "RUNTIME__INTERCEPT_SIGNALS": "false",  # dlt would swallow a SIGTERM that comes while it loads
    "LOAD__DELETE_COMPLETED_JOBS": "true",  # a slice leaves 14 KB instead of 19
}


def quiet_dlt() -> None:
    """Sets what our command wants of dlt, unless the environment says otherwise."""
    for name, value in _DLT_SETTINGS.items():
        os.environ.setdefault(name, value)


def open_pipeline(settings: Settings, directory: StateDirectory) -> tuple[dlt.Pipeline, DestinationSpec]:
    """Returns the pipeline into the settings' destination and dataset, with a working directory of its own.

    Raises:
        DestinationConfigError: The destination or the dataset is named in a way that cannot work.
    """
    quiet_dlt()
    import dlt

    from dashly_warehouse.destinations import dlt_destination

    spec = parse_destination(settings.destination)
    place = hashlib.sha256(f"{spec.display}|{settings.dataset_name}|{settings.app_id}".encode()).hexdigest()[:16]
    pipeline = dlt.pipeline(
        PIPELINE_NAME,
        destination=dlt_destination(spec, settings.dataset_name),
        dataset_name=settings.dataset_name,
        pipelines_dir=str(directory.pipelines_path / place),
    )
    return pipeline, spec
