"""The views as SQL for other warehouses: translated whole where sqlglot can, with a word where it cannot."""

from __future__ import annotations

import re

import pytest
from tests.conftest import Warehouse
from tests.warehouse.empty_tables import make_empty_tables

from dashly_warehouse.business_hours import DEFAULT, BusinessHours
from dashly_warehouse.dialects import view_statements
from dashly_warehouse.errors import DestinationConfigError
from dashly_warehouse.views import read_models

HOURS = BusinessHours.parse(DEFAULT)


@pytest.mark.parametrize("dialect", ["snowflake", "databricks", "clickhouse", "redshift", "postgres", "duckdb"])
def test_every_view_is_translated_whole(dialect: str) -> None:
    found = list(view_statements("mart", HOURS, dialect))

    assert [f"mart.{model.name}" for model in read_models()] == [
        re.findall(r"create or replace view (\S+) as", statement)[0] for statement, _ in found
    ]
    assert {""} == {doubt for _, doubt in found}


def test_the_statements_can_be_executed_in_their_order(warehouse: Warehouse) -> None:
    make_empty_tables(warehouse)
    warehouse.sql("".join(statement for statement, _ in view_statements("dashly", HOURS, warehouse.kind)))

    assert [(0,)] == warehouse.sql("select count(*) from conversation_metrics")


def test_what_a_dialect_lacks_is_said() -> None:
    doubts = {
        statement.split()[-1]: doubt for statement, doubt in view_statements("dashly", HOURS, "bigquery") if doubt
    }

    assert 0 < len(doubts) < len(read_models())


def test_an_unknown_dialect_is_refused_with_the_known_ones() -> None:
    with pytest.raises(DestinationConfigError, match=r"one of .*bigquery.*snowflake"):
        list(view_statements("dashly", HOURS, "dbase"))
