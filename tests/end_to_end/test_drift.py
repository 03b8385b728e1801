"""The API changes what it sends: nothing is lost, no column appears or changes its type, and the run says so once."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests
from tests.conftest import MOSTLY_DUCKDB, Warehouse
from tests.end_to_end.conftest import Account

from dashly.endpoints import DEFAULT_RESOURCES
from dashly.errors import SchemaChanged
from dashly_simulator import Simulator, SimulatorAdapter
from dashly_sync.run import Run, RunLimits
from dashly_sync.run_log import RunRecord
from dashly_sync.signals import StopSignal

PROPERTIES = {**{f"score {number}": number for number in range(100)}, "Plan": "a", "plan": "b", "План": 1, "plan-": [1]}
COLUMNS = "select table_name, column_name, data_type from information_schema.columns where table_schema = 'dashly'"


class ChangedApi(SimulatorAdapter):
    """The simulator, each record of its answers as `change` makes it."""

    def __init__(self, simulator: Simulator, change: Callable[[dict[str, Any]], None]) -> None:
        super().__init__(simulator)
        self._change = change

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        response = super().send(request, *args, **kwargs)
        answer = json.loads(response.content)
        for found in answer["data"] if isinstance(answer["data"], list) else answer["data"].values():
            for record in found if isinstance(found, list) else [found]:
                if isinstance(record, dict):
                    self._change(record)
        response._content = json.dumps(answer).encode()
        return response


def change(record: dict[str, Any]) -> None:
    """A new field everywhere; values of other types; a field that stays away; properties of any name and number."""
    record["mood"] = {"today": "fine"}
    if "parts_count" in record:
        record.update(parts_count="a few", closed="no", tags="vip", created="soon")
    if "props" in record and "presence" in record:
        del record["presence"]
        record["props"].update({"$name": 12, "$phone": ["+1"]})
        record["props_custom"] = PROPERTIES


def run_changed(app: Account, warehouse: Warehouse, **settings: Any) -> Run:
    """A run over the changed API; not carried out yet."""
    session = requests.Session()
    session.mount("http://", ChangedApi(app.simulator, change))
    limits = RunLimits(DEFAULT_RESOURCES, full=True)
    return Run(app.settings(warehouse, **settings), limits, StopSignal(), session=session)


@MOSTLY_DUCKDB
def test_what_changes_is_kept_and_said_once(account: Callable[..., Account], warehouse: Warehouse) -> None:
    app = account(users=55, conversations=4, events_per_user=2.0, parts_per_conversation=2.0)
    assert [] == app.sync(warehouse).notices
    columns = sorted(warehouse.sql(COLUMNS))
    names = dict(warehouse.sql("select id, name from users"))

    first: RunRecord = run_changed(app, warehouse).carry_out()
    again: RunRecord = run_changed(app, warehouse).carry_out()

    new, gone = first.notices
    assert columns == sorted(warehouse.sql(COLUMNS))
    assert new.startswith("the API sends what no column takes, kept in `extra`: ")
    assert {"conversations.parts_count", "conversations.created", "users.mood", "parts.mood"} <= set(
        new.partition(": ")[2].split(", ")
    )
    assert "the API no longer sends, null from now on: users.presence" == gone
    assert [] == again.notices
    for row in warehouse.rows("conversations"):
        assert (None, True) == (row["parts_count"], row["closed"])
        assert {"parts_count": "a few", "tags": "vip", "created": "soon"}.items() <= row["extra"].items()
    for row in warehouse.rows("users"):
        assert ("12", '["+1"]', None) == (row["name"], row["phone"], row["presence"])
        assert {"today": "fine"} == row["extra"]["mood"]
        assert PROPERTIES.items() <= row["props"].items()
    kinds = warehouse.sql("select name, value_type, count(*) from user_props where name = '$name' group by 1, 2")
    held = warehouse.sql("select count(*) from user_props where name in ('Plan', 'plan', 'План', 'plan-')")
    assert [("$name", "number", len(names))] == kinds
    assert [(4 * len(names),)] == held


def test_a_frozen_contract_stops_before_anything_new_is_loaded(
    account: Callable[..., Account], duckdb_warehouse: Warehouse
) -> None:
    app = account(users=3, conversations=2, events_per_user=2.0, parts_per_conversation=2.0)
    app.sync(duckdb_warehouse)

    with pytest.raises(SchemaChanged, match=r"mood is new.*--schema-contract evolve"):
        run_changed(app, duckdb_warehouse, schema_contract="freeze").carry_out()

    assert [(0,)] == duckdb_warehouse.sql("select count(*) from users where extra->>'mood' is not null")
    assert run_changed(app, duckdb_warehouse).carry_out().notices
    assert "finished" == run_changed(app, duckdb_warehouse, schema_contract="freeze").carry_out().outcome
