"""The dlt destination. Everything that it promises is in the ledger: dlt loads a package again when it was killed."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dlt
from dlt.common.destination.exceptions import DestinationTerminalException
from dlt.common.schema.typing import TTableSchema
from dlt.common.typing import TDataItems, TSecretStrValue

from dashly.client import SELF_APP, DashlyClient
from dashly.connection import DEFAULT_BASE_URL
from dashly.errors import SettingsError
from dashly.tokens import find_token
from dashly_activation.api import DashlyApi
from dashly_activation.plan import Plan
from dashly_activation.rows import KINDS, Kind, MappingError, RowMap
from dashly_activation.sender import Sender
from dashly_state.budget import RateLimit, RequestBudget
from dashly_state.directory import StateDirectory
from dashly_state.privacy import private_files
from dashly_state.push_ledger import PushLedger

logger = logging.getLogger(__name__)

KILLED = "the push was killed while the request was under way"
BATCH_ROWS = 1_000


@dlt.destination(
    batch_size=BATCH_ROWS,
    loader_file_format="typed-jsonl",
    name="dashly_activation",
    naming_convention="direct",
    skip_dlt_columns_and_tables=True,
    max_table_nesting=0,
    max_parallel_load_jobs=1,
    loader_parallelism_strategy="sequential",
)
def dashly_activation(
    items: TDataItems,
    table: TTableSchema,
    identity: str = "id",
    by_user_id: bool = False,
    renamed: dict[str, str] | None = None,
    operations: dict[str, str] | None = None,
    deletes_null: bool = False,
    row_key: list[str] | None = None,
    event: str | None = None,
    created: str | None = None,
    push: str | None = None,
    auth_token: TSecretStrValue | None = None,
    app_id: str = SELF_APP,
    base_url: str = DEFAULT_BASE_URL,
    rate_limit: str = "60/60",
    state_dir: str | None = None,
) -> None:
    """Sends rows to Dashly: the tables `props`, `events` and `messages`, one call for each row that changed.

    Rows that cannot be sent or are refused stop nothing: they are in the ledger with the reason, and logged as
    warnings. So are those of which nobody knows whether they arrived, and which are not sent again.

    Args:
        items: Rows, from dlt.
        table: Its name says what they become.
        identity: The column that says whose card.
        by_user_id: Whether it holds the customer's own ids; Dashly makes a user whom it does not know.
        renamed: Property or parameter by column; all other columns under their own names without it.
        operations: Of properties that are not simply set, by key.
        deletes_null: Whether a property that is NULL is deleted.
        row_key: Columns that tell one event or message from all others; all columns without it.
        event: The name of all events; the column `event` without it.
        created: The column that says when an event happened; `created` or `created_at` without it.
        push: The name under which the ledger remembers what was sent; the table's without it.
        auth_token: API token; else `DASHLY_AUTH_TOKEN`, `DASHLY_AUTH_TOKEN_FILE` or `DASHLY_AUTH_TOKEN_KEYRING`.
        app_id: Tells apps apart in the ledger: name it where this machine has the tokens of several.
        base_url: Ends in `/v1`.
        rate_limit: Requests / seconds, shared by every process of this machine that uses the token.
        state_dir: Where the request budget and the ledger are.

    Raises:
        DestinationTerminalException: The rows have not the columns that are named.
        DashlyError: The API is not well, or refuses the token; nothing is lost, and dlt loads the rest again.
    """
    kind = _kind_of(str(table["name"]))
    mapped = RowMap(
        kind,
        identity,
        by_user_id,
        renamed or {},
        operations or {},
        deletes_null=deletes_null,
        row_key=row_key or (),
        event=event,
        created=created,
    )
    directory = StateDirectory(Path(state_dir) if state_dir else None)
    with private_files(), _client(auth_token, base_url, rate_limit, directory) as client:
        path = directory.push_ledger_path(f"{client.base_url}|{app_id}|dlt")
        with PushLedger(path) as ledger:
            _push(items, mapped, push or str(table["name"]), ledger, client)


def _push(
    items: Sequence[Mapping[str, Any]], mapped: RowMap, push: str, ledger: PushLedger, client: DashlyClient
) -> None:
    now = client.clock.now()
    ledger.abandon(push, KILLED, now)
    columns = list(dict.fromkeys(column for row in items for column in row))
    rows = [{column: row.get(column) for column in columns} for row in items]
    try:
        request_of = mapped.bind(columns, datetime.fromtimestamp(now, UTC))
    except MappingError as error:
        raise DestinationTerminalException(str(error)) from None  # dlt would try again five times otherwise
    with Plan(mapped.kind, push, ledger, DashlyApi.most_operations) as plan:
        plan.add(rows, request_of, uuid.uuid4().hex, now)
        sender = Sender(mapped.kind, push, ledger, DashlyApi(client), clock=client.clock)
        tally = sender.send_all(plan.items())
        unsendable = plan.counts().unsendable
    if tally.refused or tally.uncertain or unsendable:
        logger.warning(
            "push %s: %d rows refused, %d uncertain, %d of which no request can be made", push, tally.refused,
            tally.uncertain, unsendable,
        )  # fmt: skip
    if tally.error is not None:
        raise tally.error


def _kind_of(table: str) -> Kind:
    found = next((kind for kind in KINDS if kind == table), None)
    if found is None:
        raise DestinationTerminalException(f"the table {table!r} is none of {', '.join(KINDS)}, which Dashly takes")
    return found


@contextmanager
def _client(token: str | None, base_url: str, rate_limit: str, directory: StateDirectory) -> Iterator[DashlyClient]:
    token = token or find_token(*(os.environ.get(f"DASHLY_AUTH_TOKEN{way}", "") for way in ("", "_FILE", "_KEYRING")))
    try:
        limit = RateLimit.parse(rate_limit)
    except ValueError as error:
        raise SettingsError(str(error)) from None
    with RequestBudget(directory.budget_path, token, limit) as budget:
        yield DashlyClient(token, budget, base_url=base_url)
