"""Dashly (Carrot quest) users, events, conversations and parts, newest first, within 60 requests a minute.

```python
import dlt
from dashly import dashly

pipeline = dlt.pipeline("dashly", destination="duckdb", dataset_name="dashly_data")
pipeline.run(dashly(), loader_file_format="parquet")
```
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dlt
import pendulum
from dlt.common.typing import TSecretStrValue
from dlt.extract import DltResource

from dashly.batches import RowBatches, takes_arrow
from dashly.client import SELF_APP, DashlyClient
from dashly.connection import DEFAULT_BASE_URL
from dashly.endpoints import DEFAULT_RESOURCES, RESOURCES
from dashly.errors import DashlyError, SettingsError
from dashly.held import DestinationProgress
from dashly.masks import Masks, make_masks
from dashly.reader import Reader
from dashly.reading import Reading
from dashly.slices import PageRows, Slice, SourceState, State
from dashly.tables import RESOURCE_TABLES, TABLES
from dashly.tokens import find_key, find_token
from dashly.web_api import Operation
from dashly_state.budget import RateLimit, RequestBudget
from dashly_state.directory import StateDirectory
from dashly_state.journal import PageJournal

__all__ = ["DashlyClient", "DashlyError", "Operation", "Reader", "Slice", "dashly", "since_microseconds"]


@dlt.source(name="dashly", section="dashly", max_table_nesting=0)
def dashly(
    auth_token: TSecretStrValue | None = None,
    app_id: str = SELF_APP,
    base_url: str = DEFAULT_BASE_URL,
    rate_limit: str = "60/60",
    since: str | None = None,
    max_requests: int | None = None,
    state_dir: str | None = None,
    reader: Reader | None = None,
    limits: Slice | None = None,
    mask: str | None = None,
    mask_key: TSecretStrValue | None = None,
) -> list[DltResource]:
    """Returns the resources of one Dashly app; `user_details` has to be selected by name.

    Loads the tables of the project's README, merged on their keys, and `sync_progress`, its own memory. Each run goes
    on where the last one stopped: list walks are in dlt's resource state, what is known of each parent's children is in
    `sync_progress`. Costs one request per 50 users and per 50 conversations that changed, one per user who was seen and
    per conversation with more than one new part, and one each for channels and active users.

    Args:
        auth_token: API token; else `DASHLY_AUTH_TOKEN`, `DASHLY_AUTH_TOKEN_FILE` or `DASHLY_AUTH_TOKEN_KEYRING`.
        app_id: In `/apps/{id}/...`; `$self_app` is the token's own.
        base_url: Ends in `/v1`.
        rate_limit: Requests / seconds, shared by every process of this machine that uses the token.
        since: Date or time; nothing older is read, and stays known as missing.
        max_requests: Ends the run after so many requests; the next one goes on from there.
        state_dir: Where the request ledger and the page journal are.
        reader: A run of several slices keeps one; the settings above are then its own.
        limits: How far this slice goes, and afterwards how it went.
        mask: What is masked before anything is written, such as `pii,users.props.City=redact`; else `DASHLY_MASK`.
        mask_key: Of the hashes; else `DASHLY_MASK_KEY` or `DASHLY_MASK_KEY_FILE`.

    Raises:
        DashlyError: Of the kind that says what to do. What was read stays in the journal, and the next run begins
            with it.
    """
    directory = StateDirectory(Path(state_dir) if state_dir else None)
    run = reader or Reader(
        _client(auth_token, app_id, base_url, rate_limit, directory),
        since_microseconds(since),
        masks=_masks(mask, mask_key),
    )
    how_far = limits or Slice(max_requests=max_requests)

    @dlt.resource(name="pages", selected=False)
    def pages() -> Iterator[PageRows]:
        """Reads the API once for all selected resources, newest first; each takes its rows from every page."""
        selected = frozenset(dlt.current.source().selected_resources) & frozenset(RESOURCES)
        pipeline = dlt.current.pipeline()
        source_state = dlt.current.source_state()
        source_state["slice"] = slice_id = source_state.get("slice", 0) + 1
        state = SourceState(source_state, dlt.current.resource_state)
        journal = _journal(directory, pipeline, run, source_state)
        try:
            journal.keep_only(slice_id)
            lookup = DestinationProgress(pipeline, run.access, run.met)
            if slice_id == 1 and lookup.is_empty:
                source_state["all_rows_known"] = True
            batches = RowBatches(takes_arrow(pipeline, dlt.current.source_schema()))
            yield _primer(selected, batches)
            yield from batches.of(Reading(run, selected, state, lookup, how_far, journal, slice_id).pages())
        finally:
            journal.close()
            if reader is None:
                run.client.budget.close()

    return [pages, *(_resource(name, pages) for name in RESOURCES)]


def _primer(selected: frozenset[str], batches: RowBatches) -> PageRows:
    """Returns a page without rows that names tables of the selected resources, in one order.

    A table that has no rows yet is created all the same, so that queries need not ask whether it exists. And a table
    that several resources fill is dlt's `resource` of whichever names it first: without one order, the schema would get
    a new version with every other slice. What is neither is not named: each costs dlt a pass over its schema.
    """
    created = {table["name"] for table in dlt.current.source_schema().data_tables(seen_data_only=True)}
    filled_by = Counter(table for name in selected for table in RESOURCE_TABLES[name])
    primed: dict[str, dict[str, Any]] = {}
    for name in sorted(selected):
        for table in RESOURCE_TABLES[name]:
            if filled_by.pop(table, 0) > 1 or table not in created:
                primed.setdefault(name, {})[table] = [] if table in created else batches.nothing(table)
    return PageRows(primed)


def _resource(name: str, pages: DltResource) -> DltResource:
    """Returns the resource that takes its own rows, and those of its derived tables, from every page."""

    @dlt.transformer(name=name, data_from=pages, selected=name in DEFAULT_RESOURCES)
    def rows(page: PageRows) -> Iterator[Any]:
        for table, found in page.by_resource.get(name, {}).items():
            yield dlt.mark.with_table_name(found, table)

    own, *derived = (TABLES[table] for table in RESOURCE_TABLES[name])
    for table in derived:  # before its own hints are set: a variant begins as a copy of them
        rows.apply_hints(table_name=table.name, create_table_variant=True, **table.hints())
    rows.apply_hints(**own.hints())
    return rows


def _client(token: str | None, app_id: str, base_url: str, rate_limit: str, directory: StateDirectory) -> DashlyClient:
    token = token or find_token(*(os.environ.get(f"DASHLY_AUTH_TOKEN{way}", "") for way in ("", "_FILE", "_KEYRING")))
    try:
        limit = RateLimit.parse(rate_limit)
    except ValueError as error:
        raise SettingsError(str(error)) from None
    budget = RequestBudget(directory.budget_path, token, limit)
    return DashlyClient(token, budget, base_url=base_url, app_id=app_id)


def since_microseconds(since: str | None) -> int | None:
    """Returns microseconds since 1970 of a date or time, UTC unless it says otherwise."""
    if since is None:
        return None
    try:
        moment = pendulum.parse(since)
    except ValueError:
        moment = None
    if not isinstance(moment, pendulum.DateTime):
        raise SettingsError(f"{since!r} is no date", "Write it like 2026-01-31 or 2026-01-31T12:00:00Z")
    return int(moment.timestamp() * 1_000_000)


def _masks(mask: str | None, key: str | None) -> Masks | None:
    key = key or find_key(os.environ.get("DASHLY_MASK_KEY", ""), os.environ.get("DASHLY_MASK_KEY_FILE", ""))
    return make_masks([mask or os.environ.get("DASHLY_MASK", "")], key)


def _journal(directory: StateDirectory, pipeline: dlt.Pipeline, reader: Reader, source_state: State) -> PageJournal:
    """Returns the journal of pages under the reader's masks; pages under other ones do not stay on the disk."""
    client, masks = reader.client, reader.masks.fingerprint if reader.masks else ""
    name = journal_name(client.base_url, client.app_id, pipeline.pipeline_name, pipeline.dataset_name or "")
    directory.remove_other_journals(name, masks)
    if masks != source_state.get("masks", ""):
        source_state["masks"] = masks
    return PageJournal(directory.journal_path(name, masks))


def journal_name(base_url: str, app_id: str, pipeline_name: str, dataset_name: str) -> str:
    """Returns the name of a page journal: it belongs to one app as one pipeline reads it into one dataset."""
    return "|".join((base_url, app_id, pipeline_name, dataset_name))
