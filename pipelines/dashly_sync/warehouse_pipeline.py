"""The dlt pipeline of a command: which destination, which dataset, and where its working directory is."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dashly_state.directory import StateDirectory
from dashly_sync.libraries import prepare_libraries
from dashly_sync.settings import Settings
from dashly_warehouse.holding import Hold
from dashly_warehouse.specs import DestinationSpec, parse_destination

if TYPE_CHECKING:
    import dlt

logger = logging.getLogger(__name__)

PIPELINE_NAME = "dashly"
"""dlt finds its state in the destination by this name, also when the working directory is lost."""


def open_pipeline(settings: Settings, directory: StateDirectory) -> tuple[dlt.Pipeline, DestinationSpec]:
    """Returns the pipeline into the settings' destination and dataset, with a working directory of its own.

    A working directory that a power cut has damaged is made anew: the destination has what it knew.

    Raises:
        DestinationConfigError: The destination or the dataset is named in a way that cannot work.
    """
    prepare_libraries()
    import dlt
    from dlt.common.schema.exceptions import SchemaException
    from dlt.common.storages.exceptions import StorageException

    from dashly_warehouse.destinations import dlt_destination

    spec = parse_destination(settings.destination)
    if spec.kind == "duckdb":  # what fails there wants memory, which waiting does not bring and `Hold.with_memory` does
        os.environ.setdefault("LOAD__RAISE_ON_MAX_RETRIES", "1")
    place = hashlib.sha256(f"{spec.display}|{settings.dataset_name}|{settings.app_id}".encode()).hexdigest()[:16]
    folder, destination = directory.pipelines_path / place, dlt_destination(spec, settings.dataset_name)

    def opened() -> dlt.Pipeline:
        found = dlt.pipeline(
            PIPELINE_NAME, destination=destination, dataset_name=settings.dataset_name, pipelines_dir=str(folder)
        )
        for name in found.schemas:
            found.schemas[name]
        return found

    try:
        return opened(), spec
    except (ValueError, KeyError, TypeError, SchemaException, StorageException) as error:
        logger.info("The working files in %s are damaged, and made anew: %s", folder, error)
        shutil.rmtree(folder)
        return opened(), spec


def remove_leftovers(pipeline: dlt.Pipeline) -> None:
    """Removes what killed runs were extracting: dlt gives each extraction a folder of its own and forgets it there."""
    for folder in Path(pipeline.working_dir, "normalize").glob("*"):
        if folder.is_dir() and folder.name != "extracted":
            shutil.rmtree(folder, ignore_errors=True)


def load_pending(pipeline: dlt.Pipeline, hold: Hold) -> str | None:
    """Loads what a killed run had extracted; returns what a person should know when that cannot be done, or None.

    dlt tries a package again for ever: one that was cut off by a kill between two of its renames, or by a power cut,
    would stop every later run. So it has one try; the journal still has its pages, and they are loaded from there.
    """
    try:
        if pipeline.has_pending_data:
            hold.with_memory(pipeline.run, pipeline.run)
    except Exception as error:  # dlt's, the destination's, the disk's: whatever lasts will show again
        pipeline.drop()
        logger.info("A pending package is given up: %s", error)
        return "a package that a killed run had left cannot be loaded: it is dropped, its pages come from the journal"
    return None


def take_up_state(pipeline: dlt.Pipeline, display: str) -> str | None:
    """Makes the destination's memory the pipeline's; returns what a person should know about that, or None.

    The destination is right whatever this machine remembers: its state was loaded with the rows that it speaks of. dlt
    alone keeps a local state that is newer, so that after a destination was restored from a backup the rows in between
    would be missing for good.

    Args:
        pipeline: One without pending packages.
        display: The destination, safe to print.
    """
    here = slices_done(pipeline)
    pipeline.sync_destination()
    if slices_done(pipeline) > _slices_there(pipeline):
        pipeline.drop()
        pipeline.sync_destination()
    pipeline._state_restored = True  # or the next `pipeline.run` would sync again, while others may have the file open
    there = slices_done(pipeline)
    if here and not there:
        return f"what was synced into {display} before is no longer there: starting over"
    if here > there:
        return (
            f"{display} is older than this machine remembers (slice {there}, not {here}): going on from what it holds"
        )
    return None


def slices_done(pipeline: dlt.Pipeline) -> int:
    """Returns how many slices the pipeline's state knows of."""
    return int(pipeline.state.get("sources", {}).get("dashly", {}).get("slice", 0))


def _slices_there(pipeline: dlt.Pipeline) -> int:
    """Returns how many slices the destination's state knows of; 0 when it has none."""
    from dlt.destinations.exceptions import DatabaseUndefinedRelation
    from dlt.pipeline.state_sync import load_pipeline_state_from_destination

    with pipeline.destination_client() as client:
        try:
            state: Any = load_pipeline_state_from_destination(pipeline.pipeline_name, client)  # type: ignore[arg-type]
        except DatabaseUndefinedRelation:
            return 0
    return int((state or {}).get("sources", {}).get("dashly", {}).get("slice", 0))
