"""A destination that goes away in the middle costs nothing that was paid: the next run goes on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from tests.conftest import Warehouse
from tests.end_to_end.conftest import Account, assert_equal_to_truth

from dashly.endpoints import DEFAULT_RESOURCES
from dashly_sync.run import Run, RunLimits
from dashly_sync.signals import StopSignal
from dashly_warehouse.errors import DestinationUnavailable

HOLDER = (
    "import duckdb, sys; c = duckdb.connect(sys.argv[1], read_only=True); print('held', flush=True); sys.stdin.read()"
)


@contextmanager
def held(file: str) -> Iterator[None]:
    """Another process has the DuckDB file open while the block runs."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert "held\n" == process.stdout.readline()
        try:
            yield
        finally:
            process.communicate()


@pytest.mark.parametrize("page", [6, pytest.param(2, marks=pytest.mark.soak)])
def test_a_duckdb_file_that_somebody_opens_in_the_middle(
    page: int,
    account: Callable[..., Account],
    duckdb_warehouse: Warehouse,
) -> None:
    """Whoever holds it is named; what was fetched meanwhile comes from the journal or the pending package."""
    app = account(users=9, conversations=7, events_per_user=25.0)
    app.sync(duckdb_warehouse)
    app.simulator.life.churn(0.9)
    app.cost()
    holding: list[Any] = []

    def hold(_record: object, current: Any) -> None:
        if current is not None and current.pages == page and not holding:
            context = held(duckdb_warehouse.location)
            context.__enter__()
            holding.append(context)

    limits = RunLimits(DEFAULT_RESOURCES)
    with pytest.raises(DestinationUnavailable) as caught:
        Run(app.settings(duckdb_warehouse), limits, StopSignal(), hold, file_patience=0.2).carry_out()
    holding[0].__exit__(None, None, None)
    paid = app.cost()
    app.sync(duckdb_warehouse)

    assert "held" in str(caught.value) or "process" in str(caught.value)
    assert paid > 4
    assert app.cost() <= 4
    assert_equal_to_truth(app.simulator, duckdb_warehouse)


def test_a_postgres_that_ends_every_session_in_the_middle(
    account: Callable[..., Account],
    postgres_uri: str,
    postgres_server: str,
) -> None:
    """The run ends with the destination's error, or survives; either way the next one completes."""
    from tests.conftest import postgres_admin

    warehouse = Warehouse("postgres", postgres_uri, "dashly", postgres_uri)
    app = account(users=9, conversations=7, events_per_user=25.0)
    app.cost()

    def end_sessions(_record: object, current: Any) -> None:
        if current is not None and current.pages in (4, 9):
            with postgres_admin(postgres_server) as run:
                run("select pg_terminate_backend(pid) from pg_stat_activity where datname like 'test_%'")

    floor = app.simulator.floor_requests()
    with suppress(DestinationUnavailable):
        Run(app.settings(warehouse), RunLimits(DEFAULT_RESOURCES), StopSignal(), end_sessions).carry_out()
    app.sync(warehouse)

    assert app.cost() <= floor + 4
    assert_equal_to_truth(app.simulator, warehouse)
