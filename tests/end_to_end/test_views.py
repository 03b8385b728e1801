"""The views that a run makes: there after the first load, right against the tables, and in nobody's way."""

from __future__ import annotations

from collections.abc import Callable

from tests.conftest import Warehouse
from tests.end_to_end.conftest import Account

from dashly_warehouse.views import read_models

TINY = {"users": 12, "conversations": 15, "events_per_user": 4.0, "parts_per_conversation": 5.0}


def test_a_run_makes_the_views_and_goes_on_with_them(account: Callable[..., Account], warehouse: Warehouse) -> None:
    app = account(**TINY)
    first = app.sync(warehouse)

    assert {model.name for model in read_models()} <= set(warehouse.tables())
    held = """
        select count(*) as talks, sum(case when closed then 0 else 1 end) as open, sum(parts.parts) as parts
        from conversations
        left join (
            select conversation_id, count(*) as parts from parts where removed_at is null group by conversation_id
        ) as parts on parts.conversation_id = conversations.id
    """
    told = """
        select count(*) as talks, sum(case when is_open then 1 else 0 end) as open, sum(parts) as parts
        from conversation_metrics
    """
    assert warehouse.sql(held) == warehouse.sql(told)

    warehouse.sql("alter table conversations add column brand_new bigint")  # as dlt does for a new field
    app.simulator.life.start_conversation(app.simulator.life.add_user())
    second = app.sync(warehouse)

    assert 16 == warehouse.count("conversation_metrics")
    assert ([], "finished", [], "finished") == (first.notices, first.outcome, second.notices, second.outcome)
