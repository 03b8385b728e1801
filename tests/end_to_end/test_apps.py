"""A run of one of several apps: it ends in a dataset of its own, and stands together with the others in views."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.conftest import Warehouse
from tests.end_to_end.conftest import Account, assert_equal_to_truth
from tests.warehouse.empty_tables import make_empty_tables

from dashly.endpoints import DEFAULT_RESOURCES
from dashly_sync.run import Run, RunLimits
from dashly_sync.signals import StopSignal


def test_an_app_ends_equal_to_its_truth_and_the_union_to_all_of_them(
    account: Callable[..., Account], duckdb_warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one has run before; three that really run at once: `tests/command_line/test_apps.py`."""
    shop, blog = (replace(duckdb_warehouse, dataset=f"dashly_{name}") for name in ("shop", "blog"))
    make_empty_tables(blog, ["users"])
    blog.sql("insert into users (id, name) values ('b', 'of the blog')")
    served = account(users=12, conversations=8)
    for name in ("SHOP", "BLOG"):
        monkeypatch.setenv(f"SOURCES__DASHLY__APPS__{name}__AUTH_TOKEN", served.simulator.settings.auth_token)
    settings = served.settings(shop, app="shop", union_dataset="dashly")

    record = Run(settings, RunLimits(DEFAULT_RESOURCES), StopSignal()).carry_out()

    assert ("finished", []) == (record.outcome, record.notices)
    assert_equal_to_truth(served.simulator, shop)
    users = duckdb_warehouse.sql("select app, count(*) from users group by app order by app")
    assert [("blog", 1), ("shop", 12)] == users
    assert {"parts", "sync_runs", "conversation_metrics"} <= set(duckdb_warehouse.tables())
