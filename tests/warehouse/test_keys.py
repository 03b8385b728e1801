"""Indexes are made once, survive what dlt does, and cost nothing when they are there."""

from typing import Any

import dlt
import pytest
from tests.conftest import Warehouse

from dashly_warehouse.destinations import dlt_destination, loader_file_format, parse_destination
from dashly_warehouse.keys import Index, KeyReport, ensure_keys, wanted_indexes

COLUMNS: dict[str, Any] = {
    "created_at": {"data_type": "timestamp"},
    "checked_at": {"data_type": "timestamp", "x-index": True},
    "version": {"data_type": "bigint", "dedup_sort": "desc"},
}


def parts(rows: list[dict[str, Any]]) -> Any:
    return dlt.resource(
        rows,
        name="parts",
        primary_key="id",
        write_disposition="merge",
        columns=COLUMNS,
        references=[
            {"referenced_table": "conversations", "columns": ["conversation_id"], "referenced_columns": ["id"]}
        ],
    )


def tags(rows: list[dict[str, Any]]) -> Any:
    return dlt.resource(
        rows,
        name="conversation_tags",
        primary_key=("conversation_id", "tag"),
        write_disposition="merge",
        references=[
            {"referenced_table": "conversations", "columns": ["conversation_id"], "referenced_columns": ["id"]}
        ],
    )


def part(id: str, version: int = 1, conversation_id: str = "c1") -> dict[str, Any]:  # noqa: A002
    time = "2026-01-01T00:00:00Z"
    return {"id": id, "conversation_id": conversation_id, "version": version, "created_at": time, "checked_at": time}


class Loader:
    """A pipeline into a warehouse."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.spec = parse_destination(warehouse.destination)
        self.pipeline = dlt.pipeline("keys", destination=dlt_destination(self.spec), dataset_name="dashly")

    def load(self, *resources: Any) -> None:
        self.pipeline.run(list(resources), loader_file_format=loader_file_format(self.spec))


@pytest.fixture
def postgres(postgres_uri: str) -> Warehouse:
    return Warehouse("postgres", postgres_uri, "dashly", postgres_uri)


def indexes(warehouse: Warehouse, table: str) -> dict[str, str]:
    """The definitions of the indexes of a table that are not dlt's."""
    sql = f"select indexname, indexdef from pg_indexes where schemaname = 'dashly' and tablename = '{table}'"
    return {name: text.partition(" ON ")[2] for name, text in warehouse.sql(sql) if "_dlt_id" not in name}


def test_a_table_gets_its_key_its_parent_and_its_times(postgres: Warehouse) -> None:
    loader = Loader(postgres)
    loader.load(parts([part("p1")]), tags([{"conversation_id": "c1", "tag": "vip"}]))

    report = ensure_keys(loader.pipeline)

    assert report.duplicated == ()
    assert indexes(postgres, "parts") == {
        "parts_id_key": "dashly.parts USING btree (id)",
        "parts_conversation_id_idx": "dashly.parts USING btree (conversation_id)",
        "parts_created_at_idx": "dashly.parts USING btree (created_at)",
        "parts_checked_at_idx": "dashly.parts USING btree (checked_at)",
    }
    assert indexes(postgres, "conversation_tags") == {
        "conversation_tags_conversation_id_tag_key": "dashly.conversation_tags USING btree (conversation_id, tag)"
    }
    assert sorted(report.created) == sorted([*indexes(postgres, "parts"), *indexes(postgres, "conversation_tags")])


def test_the_key_is_unique(postgres: Warehouse) -> None:
    loader = Loader(postgres)
    loader.load(parts([part("p1")]))
    ensure_keys(loader.pipeline)

    with pytest.raises(Exception, match="duplicate key value violates unique constraint"):
        postgres.sql("insert into parts select * from parts")


def test_duckdb_gets_none(warehouse: Warehouse) -> None:
    loader = Loader(warehouse)
    loader.load(parts([part("p1")]))

    made = ensure_keys(loader.pipeline).created

    assert bool(made) == (warehouse.kind == "postgres")


def test_merges_go_on_with_duplicates_inside_a_package_and_the_newest_wins(warehouse: Warehouse) -> None:
    loader = Loader(warehouse)
    loader.load(parts([part("p1"), part("p2")]))
    ensure_keys(loader.pipeline)
    loader.load(parts([part("p1", 2), part("p1", 4), part("p1", 3), part("p3"), part("p3")]))
    loader.load(parts([{**part("p1", 5), "tag": "a column more"}]))

    assert [(row["id"], row["version"]) for row in warehouse.rows("parts", order_by="id")] == [
        ("p1", 5),
        ("p2", 1),
        ("p3", 1),
    ]
    assert ensure_keys(loader.pipeline) == KeyReport()


def test_a_second_process_finds_everything_there(postgres: Warehouse) -> None:
    first = Loader(postgres)
    first.load(parts([part("p1")]))
    ensure_keys(first.pipeline)
    second = Loader(postgres)

    assert second.pipeline is not first.pipeline
    assert ensure_keys(second.pipeline) == KeyReport()


def test_nothing_is_asked_while_the_schema_stays(postgres: Warehouse) -> None:
    loader = Loader(postgres)
    loader.load(parts([part("p1")]))
    ensure_keys(loader.pipeline)
    loader.load(parts([part("p2")]))
    postgres.sql("drop index dashly.parts_id_key")  # it would notice, if it looked

    assert ensure_keys(loader.pipeline) == KeyReport()


def test_a_table_that_comes_later_gets_its_key(postgres: Warehouse) -> None:
    loader = Loader(postgres)
    loader.load(parts([part("p1")]), tags([]))
    ensure_keys(loader.pipeline)
    loader.load(tags([{"conversation_id": "c1", "tag": "vip"}]))

    assert ensure_keys(loader.pipeline).created == ("conversation_tags_conversation_id_tag_key",)


def test_a_table_that_already_holds_a_key_twice_is_reported_and_does_not_stop_the_sync(postgres: Warehouse) -> None:
    loader = Loader(postgres)
    loader.load(parts([part("p1")]))
    postgres.sql('alter table parts drop constraint "parts__dlt_id_key"')
    postgres.sql("insert into parts select * from parts")

    report = ensure_keys(loader.pipeline)

    assert report.duplicated == ("parts",)
    assert "parts_conversation_id_idx" in report.created


def test_a_table_that_only_appends_gets_an_index_that_is_not_unique() -> None:
    table: Any = {"name": "runs", "write_disposition": "append", "columns": {"id": {"name": "id", "primary_key": True}}}

    assert wanted_indexes(table) == [Index("runs", ("id",))]


def test_names_stay_the_same_and_short() -> None:
    long = Index("t" * 40, ("c" * 40,))

    assert long.name == Index("t" * 40, ("c" * 40,)).name
    assert long.name != Index("t" * 40, ("c" * 41,)).name
    assert len(long.name) == 63
