"""Masks in the warehouse: what is masked, that joins survive, and what becomes of rows loaded before."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.command_line.test_masks import KEY, SMALL, leaks
from tests.conftest import Warehouse
from tests.end_to_end.conftest import Account

from dashly import journal_name
from dashly.endpoints import RESOURCES
from dashly.mask_rules import TYPED
from dashly.tables import TABLES
from dashly_state.directory import StateDirectory
from dashly_state.journal import PageJournal
from dashly_sync.run import Run, RunLimits
from dashly_sync.run_log import RunRecord
from dashly_sync.signals import StopSignal

MASKED_BY_PII = {
    *("users.name", "users.email", "users.phone", "users.props.$name", "users.props.$email", "users.props.$phone"),
    *("users.extra.map_url", "user_details.extra.map_url", "user_props.value", "events.props.$ip"),
    *(
        "parts.body",
        "parts.extra.body_json",
        "part_attachments.filename",
        "part_attachments.url",
        "user_details.notes.body",
    ),
    *("user_details.segments.filters", "active_users.presence_details.$name"),
    "user_details.extra.presence_details.$name",
}
"""Every place where this account shows what the profile covers; all else is equal to the truth."""


def sync(app: Account, warehouse: Warehouse, mask: str = "", *, full: bool = False) -> RunRecord:
    settings = app.settings(warehouse, mask=mask, mask_key=KEY)
    return Run(settings, RunLimits(RESOURCES, full=full), StopSignal(), clock=app.clock).carry_out()


def notices(record: RunRecord) -> list[str]:
    """What the run said of masks."""
    return [notice for notice in record.notices if "masks" in notice]


def digest(text: str) -> str:
    return hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest()[:32]


def masked_places(truth: Any, held: Any, place: str) -> Iterator[str]:
    """Where the warehouse holds a mask for the truth; anywhere else they have to be equal."""
    if isinstance(truth, dict) and isinstance(held, dict):
        assert truth.keys() <= held.keys(), place
        for key, value in truth.items():
            yield from masked_places(value, held[key], f"{place}.{key}")
    elif isinstance(truth, list) and isinstance(held, list):
        assert len(truth) == len(held), place
        for one, other in zip(truth, held, strict=True):
            yield from masked_places(one, other, place)
    elif truth != held:
        digits = "".join(filter(str.isdecimal, str(truth)))
        assert held in ("***", digest(str(truth)), digest(digits)), (place, truth, held)
        yield place


def masked_in(app: Account, warehouse: Warehouse) -> set[str]:
    """The places where the warehouse differs from the truth by a mask, but parameters that a visitor typed."""
    found: set[str] = set()
    for table in app.simulator.truth.tables():
        truth = by_key(table, app.simulator.truth.rows(table, with_details=table == "user_props"))
        held = by_key(table, (row for row in warehouse.rows(table) if row["_deleted_at"] is None))
        assert truth.keys() == held.keys(), table
        for key, row in truth.items():
            places = masked_places(row, held[key], table)
            found |= {place for place in places if row.get("name") not in TYPED or "events.props" not in place}
    return found


def by_key(table: str, rows: Any) -> dict[tuple[Any, ...], Any]:
    """The rows by their keys; of active users the newest sample."""
    names = [name for name in TABLES[table].key if name != "sampled_at"]
    return {tuple(row[name] for name in names): row for row in rows}


def emails(warehouse: Warehouse) -> dict[str, tuple[str, str]]:
    """Each user's e-mail as `users` has it and as `user_props` has it."""
    rows = warehouse.sql(
        "select u.id, u.email, p.value from users u join user_props p on p.user_id = u.id and p.name = '$email'"
    )
    return {user_id: (email, value) for user_id, email, value in rows}


def left_by_a_killed_run(app: Account, warehouse: Warehouse) -> PageJournal:
    """A journal without masks, as a killed run leaves it, and beside it one that was damaged."""
    name = journal_name(app.server.base_url, "$self_app", "dashly", warehouse.dataset)
    path = StateDirectory(app.state_dir).journal_path(name)
    path.with_name(f"{path.name}.corrupt").write_bytes(b"user0@example.com")
    return PageJournal(path)


def test_masks_that_are_set_later_reach_everything_that_the_api_returns(
    account: Callable[..., Account], duckdb_warehouse: Warehouse
) -> None:
    """With `--full`; it is said once, and the journal without masks is gone."""
    app, warehouse = account(**SMALL), duckdb_warehouse
    sync(app, warehouse)
    assert set() == masked_in(app, warehouse)
    with left_by_a_killed_run(app, warehouse) as journal:
        journal.put(2, "any", b"user0@example.com", 0.0)

    (said,) = notices(sync(app, warehouse, "pii", full=True))
    assert "the masks or their key changed: rows loaded before are as they were; this run" in said
    assert MASKED_BY_PII == masked_in(app, warehouse)
    assert {True} == {".mask-" in file.name for file in app.state_dir.glob("journal-*")}
    assert [] == leaks(app.simulator, [app.state_dir])

    users = {str(user["id"]): user["email"] for user in app.simulator.truth.rows("users") if user["email"]}
    assert {user_id: (digest(email), digest(email)) for user_id, email in users.items()} == emails(warehouse)
    conversations = len(list(app.simulator.truth.rows("conversations")))
    assert [(conversations,)] == warehouse.sql("select count(*) from conversations c join users u on u.id = c.user_id")


@pytest.mark.soak
def test_a_change_of_masks_is_said_until_it_is_loaded(
    account: Callable[..., Account], duckdb_warehouse: Warehouse
) -> None:
    """Once, then never again; and a person's hash is the same in all runs."""
    app, warehouse = account(**SMALL), duckdb_warehouse
    assert [] == notices(sync(app, warehouse, "pii"))
    before = emails(warehouse)
    app.simulator.life.user_visits(next(iter(before)))
    assert [] == notices(sync(app, warehouse, "pii"))
    assert before == emails(warehouse)
    assert MASKED_BY_PII == masked_in(app, warehouse)

    assert 1 == len(notices(sync(app, warehouse, "pii,parts.body=null")))
    assert [] == notices(sync(app, warehouse, "pii,parts.body=null", full=True))
    assert [(None,)] == warehouse.sql("select distinct nullif(body, '') from parts")
    assert 1 == len(notices(sync(app, warehouse)))
