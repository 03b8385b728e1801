"""When a run renews the views over all apps: after each load of one of them."""

from __future__ import annotations

import dlt

from dashly_sync.apps import app_datasets
from dashly_sync.settings import Settings
from dashly_warehouse.errors import DestinationConfigError
from dashly_warehouse.specs import check_dataset_name, check_name_clash, parse_destination
from dashly_warehouse.union_views import ensure_union


def union_notices(pipeline: dlt.Pipeline, settings: Settings) -> tuple[str, ...]:
    """Renews the views, if the run is that of one of several apps; returns what a person should know about it."""
    if not settings.app:
        return ()
    dataset = settings.union_dataset
    try:
        check_dataset_name(dataset)
        check_name_clash(parse_destination(settings.destination), dataset)
    except DestinationConfigError as error:
        return (f"there are no views over all apps: {error}",)
    return ensure_union(pipeline, dataset, app_datasets(dataset)).notices
