"""The views over all apps: which rows and columns they have, when they change, and what they leave alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import dlt
from tests.conftest import Warehouse
from tests.warehouse.empty_tables import build_views, make_empty_tables

from dashly_warehouse.destinations import dlt_destination, parse_destination
from dashly_warehouse.union_views import create_union
from dashly_warehouse.views import Model, ViewReport

SHOP, BLOG = "dashly_shop", "dashly_blog"
USERS = "id varchar, _synced_at timestamptz"


def make_union(warehouse: Warehouse, apps: Mapping[str, str]) -> ViewReport:
    """Makes the views as the run of one of the apps does."""
    spec = parse_destination(warehouse.destination)
    pipeline = dlt.pipeline("union", destination=dlt_destination(spec), dataset_name=next(iter(apps.values())))
    with pipeline.sql_client() as client:
        return create_union(client, warehouse.kind, warehouse.dataset, apps)


def make(warehouse: Warehouse, table: str, columns: str, *rows: str) -> None:
    """Makes a table `schema.name` with these rows."""
    statements = [f"create schema if not exists {table.partition('.')[0]}", f"create table {table} ({columns})"]
    warehouse.sql("; ".join(statements + [f"insert into {table} values ({row})" for row in rows]))


def views_of(warehouse: Warehouse, schema: str) -> list[str]:
    return replace(warehouse, dataset=schema).tables()


def test_rows_of_all_apps_stand_together_and_an_app_lacks_what_it_has_not(warehouse: Warehouse) -> None:
    """Columns go by name; a type that differs becomes text; what is not ours, or dlt's, is not there."""
    make(warehouse, f"{SHOP}.users", f"score bigint, {USERS}, odd bigint", "7, 'a', null, 1")
    make(
        warehouse, f"{BLOG}.users", f"{USERS}, extra varchar, odd varchar", "'a', null, 'x', 'y'", "'b', null, null, ''"
    )
    make(warehouse, f"{SHOP}.channels", USERS, "'c', null")
    make(warehouse, f"{SHOP}.of_an_analyst", "id varchar", "'d'")
    make(warehouse, f"{SHOP}._dlt_loads", "id varchar", "'e'")
    apps = {"shop": SHOP, "blog": BLOG, "new": "dashly_new"}

    made = make_union(warehouse, apps)

    assert (["channels", "users"], (), ()) == (sorted(made.created), made.dropped, made.notices)
    columns = ["app", "id", "score", "extra", "odd"]
    expected = [("blog", "a", None, "x", "y"), ("blog", "b", None, None, ""), ("shop", "a", 7, None, "1")]
    rows = warehouse.rows("users", columns, order_by="app, id")
    assert expected == [tuple(row[name] for name in columns) for row in rows]
    assert "app" == next(iter(warehouse.rows("users")[0]))
    assert [("shop", "c")] == warehouse.sql("select app, id from channels")
    assert ["channels", "users"] == warehouse.tables()
    assert ViewReport() == make_union(warehouse, apps)


def test_a_new_app_or_column_renews_the_views_and_an_app_that_is_gone_leaves_them(warehouse: Warehouse) -> None:
    """One that is not configured on this machine stays: each of several may know its own app only."""
    make(warehouse, f"{SHOP}.users", USERS, "'a', null")
    make_union(warehouse, {"shop": SHOP})
    make(warehouse, f"{BLOG}.users", USERS, "'b', null")

    assert ("users",) == make_union(warehouse, {"blog": BLOG}).created
    assert [("blog", "b"), ("shop", "a")] == warehouse.sql("select app, id from users order by app")

    warehouse.sql(f"alter table {SHOP}.users add column score bigint")
    assert ("users",) == make_union(warehouse, {"shop": SHOP}).created
    assert [("blog", None), ("shop", None)] == warehouse.sql("select app, score from users order by app")

    warehouse.sql(f"drop schema {BLOG} cascade")  # on Postgres, with the view
    make_union(warehouse, {"shop": SHOP})
    assert [("shop", "a")] == warehouse.sql("select app, id from users")

    warehouse.sql(f"drop schema {SHOP} cascade")
    make_union(warehouse, {"shop": SHOP})
    assert [] == warehouse.tables()


def test_what_somebody_else_has_there_stays_and_is_named(warehouse: Warehouse) -> None:
    """As after runs without any app, which had their tables in that dataset."""
    make(warehouse, f"{SHOP}.users", USERS, "'a', null")
    make(warehouse, f"{SHOP}.channels", USERS)
    make(warehouse, f"{warehouse.dataset}.users", USERS, "'of before', null")

    made = make_union(warehouse, {"shop": SHOP})

    assert ("channels",) == made.created
    assert "dashly has users of its own, which stay as they are" in made.notices[0]
    assert [("of before",)] == warehouse.sql("select id from users")


def test_views_over_the_analytics_views_do_not_stop_their_next_version(postgres_uri: str) -> None:
    """Postgres replaces no view that loses a column, and drops none that another one needs."""
    warehouse = Warehouse("postgres", postgres_uri, "dashly", postgres_uri)
    make_empty_tables(replace(warehouse, dataset=SHOP))
    build_views(replace(warehouse, dataset=SHOP))
    make_union(warehouse, {"shop": SHOP})
    assert "conversation_metrics" in warehouse.tables()

    shorter = [Model("conversation_metrics", "-- Shorter\nselect id from {{ source('dashly', 'conversations') }}")]
    renewed = build_views(replace(warehouse, dataset=SHOP), models=shorter)
    make_union(warehouse, {"shop": SHOP})

    assert ((), ("conversation_metrics",)) == (renewed.notices, renewed.created)
    assert ["app", "id"] == [
        name for (name,) in warehouse.sql(
            "select column_name from information_schema.columns where table_schema = 'dashly' "
            "and table_name = 'conversation_metrics' order by ordinal_position"
        )
    ]  # fmt: skip
    assert "admin_days" not in warehouse.tables()


def test_a_database_that_cannot_be_asked_is_a_notice(warehouse: Warehouse) -> None:
    """The rows are loaded; no run fails for a view."""
    make(warehouse, f"{SHOP}.users", USERS)
    spec = parse_destination(warehouse.destination)
    client = dlt.pipeline("union", destination=dlt_destination(spec), dataset_name=SHOP).sql_client()

    made = create_union(client, warehouse.kind, warehouse.dataset, {"shop": SHOP})  # it was not opened

    assert "the views over all apps in dashly are not up to date: " in made.notices[0]
