"""The masks of a run, and what was written under other ones before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashly.masks import Masks, make_masks
from dashly_sync.settings import Settings

if TYPE_CHECKING:
    import dlt


def masks_of(settings: Settings) -> Masks | None:
    """Returns the masks that the settings ask for.

    Raises:
        SettingsError: They make no sense, or the key is missing.
    """
    return make_masks([settings.mask], settings.mask_key)


def drop_other_packages(pipeline: dlt.Pipeline, masks: Masks | None) -> None:
    """Removes dlt's working files of this pipeline when they may hold what these masks would have masked.

    A run that was killed leaves packages there that the next one would load. What was in them is read again: the
    destination's state, which is taken up afterwards, knows nothing of them.
    """
    if masks is not None and _fingerprint(pipeline) != masks.fingerprint:
        pipeline.drop()


def masks_notice(pipeline: dlt.Pipeline, masks: Masks | None, *, full: bool) -> str | None:
    """Returns what a person should know when rows were loaded under other masks; None when none were.

    Said until a slice is loaded under the new ones: they are remembered in the destination, with its rows.

    Args:
        pipeline: With the destination's state.
        masks: Of this run.
        full: Whether this run reads everything again.
    """
    loaded = bool(pipeline.state.get("sources", {}).get("dashly", {}).get("slice"))
    if not loaded or _fingerprint(pipeline) == (masks.fingerprint if masks else ""):
        return None
    again = "this run reads all again" if full else "`run --full` reads all again"
    return f"the masks or their key changed: rows loaded before are as they were; {again} (docs/masking.md)"


def _fingerprint(pipeline: dlt.Pipeline) -> str:
    return str(pipeline.state.get("sources", {}).get("dashly", {}).get("masks", ""))
