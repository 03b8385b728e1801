"""A row that its parent's newer snapshot no longer has gets a tombstone, and nothing else does."""

from datetime import UTC, datetime
from typing import Any

import dlt
import pytest
from tests.conftest import Warehouse

from dashly_warehouse.destinations import dlt_destination, loader_file_format, parse_destination
from dashly_warehouse.settle import settle

MORNING, NOON, EVENING = (datetime(2026, 1, 1, hour, tzinfo=UTC) for hour in (8, 12, 20))

KEYS: dict[str, tuple[str, ...]] = {
    "conversations": ("id",),
    "conversation_tags": ("conversation_id", "tag"),
    "users": ("id",),
    "user_details": ("user_id",),
    "user_props": ("user_id", "name"),
    "parts": ("id",),
    "sync_progress": ("stream", "parent_id"),
}


class Loader:
    """A pipeline that loads rows as of a time."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.spec = parse_destination(warehouse.destination)
        self.pipeline = dlt.pipeline("settles", destination=dlt_destination(self.spec), dataset_name="dashly")

    def load(self, synced_at: datetime, **tables: list[dict[str, Any]]) -> None:
        resources = [
            dlt.resource(
                [{**row, "_synced_at": synced_at} for row in rows],
                name=name,
                primary_key=KEYS[name],
                write_disposition="merge",
                columns={"_deleted_at": {"data_type": "timestamp"}},
            )
            for name, rows in tables.items()
        ]
        self.pipeline.run(resources, loader_file_format=loader_file_format(self.spec))


@pytest.fixture
def loader(warehouse: Warehouse) -> Loader:
    return Loader(warehouse)


def tag(name: str, conversation_id: str = "c1") -> dict[str, Any]:
    return {"conversation_id": conversation_id, "tag": name}


def prop(name: str, origin: str = "users") -> dict[str, Any]:
    return {"user_id": "u1", "name": name, "origin": origin}


def deleted(warehouse: Warehouse, table: str, name: str) -> dict[str, datetime | None]:
    return {row[name]: row["_deleted_at"] for row in warehouse.rows(table)}


def test_a_tag_that_the_conversation_lost_gets_the_time_of_the_newer_snapshot(
    warehouse: Warehouse, loader: Loader
) -> None:
    loader.load(MORNING, conversations=[{"id": "c1"}], conversation_tags=[tag("kept"), tag("lost")])
    assert settle(loader.pipeline, MORNING) == {"conversation_tags": 0}
    loader.load(NOON, conversations=[{"id": "c1"}], conversation_tags=[tag("kept")])

    assert settle(loader.pipeline, NOON) == {"conversation_tags": 1}
    assert deleted(warehouse, "conversation_tags", "tag") == {"kept": None, "lost": NOON}
    assert settle(loader.pipeline, NOON) == {"conversation_tags": 0}


def test_a_tombstone_keeps_its_time_and_goes_when_the_row_comes_back(warehouse: Warehouse, loader: Loader) -> None:
    loader.load(MORNING, conversations=[{"id": "c1"}], conversation_tags=[tag("vip")])
    loader.load(NOON, conversations=[{"id": "c1"}])
    settle(loader.pipeline, NOON)
    loader.load(EVENING, conversations=[{"id": "c1"}])

    assert settle(loader.pipeline, EVENING) == {"conversation_tags": 0}
    assert deleted(warehouse, "conversation_tags", "tag") == {"vip": NOON}

    loader.load(EVENING, conversations=[{"id": "c1"}], conversation_tags=[tag("vip")])
    settle(loader.pipeline, EVENING)

    assert deleted(warehouse, "conversation_tags", "tag") == {"vip": None}


def test_parents_that_were_not_in_the_slice_are_not_looked_at(warehouse: Warehouse, loader: Loader) -> None:
    loader.load(MORNING, conversations=[{"id": "c1"}, {"id": "c2"}], conversation_tags=[tag("a"), tag("b", "c2")])
    loader.load(NOON, conversations=[{"id": "c1"}])
    loader.load(EVENING, conversations=[{"id": "c2"}])

    assert settle(loader.pipeline, EVENING) == {"conversation_tags": 1}
    assert deleted(warehouse, "conversation_tags", "tag") == {"a": None, "b": EVENING}


def test_each_origin_of_a_property_buries_only_its_own(warehouse: Warehouse, loader: Loader) -> None:
    loader.load(
        MORNING,
        users=[{"id": "u1"}],
        user_details=[{"user_id": "u1"}],
        user_props=[prop("$name"), prop("$city"), prop("План", "user_details"), prop("gone", "user_details")],
    )
    loader.load(NOON, users=[{"id": "u1"}], user_props=[prop("$name")])

    assert settle(loader.pipeline, NOON) == {"user_props": 1}
    assert deleted(warehouse, "user_props", "name") == {"$name": None, "$city": NOON, "План": None, "gone": None}

    loader.load(EVENING, user_details=[{"user_id": "u1"}], user_props=[prop("План", "user_details")])

    assert settle(loader.pipeline, EVENING) == {"user_props": 1}
    assert deleted(warehouse, "user_props", "name") == {"$name": None, "$city": NOON, "План": None, "gone": EVENING}


def test_children_are_searched_only_when_some_were_read_again(warehouse: Warehouse, loader: Loader) -> None:
    """DuckDB would scan the whole table for what a first load cannot have lost."""
    whole = {"stream": "parts", "parent_id": "c1", "checked_at": NOON}
    loader.load(MORNING, parts=[{"id": "p1", "conversation_id": "c1"}])
    loader.load(NOON, sync_progress=[whole])

    assert settle(loader.pipeline, NOON, read_again=False) == {}
    assert settle(loader.pipeline, NOON) == {"parts": 1}
    assert deleted(warehouse, "parts", "id") == {"p1": NOON}


def test_tables_that_do_not_exist_are_skipped(loader: Loader) -> None:
    assert settle(loader.pipeline, MORNING) == {}

    loader.load(MORNING, user_props=[prop("$name")])

    assert settle(loader.pipeline, MORNING) == {}


def test_a_time_without_a_zone_is_refused(loader: Loader) -> None:
    with pytest.raises(ValueError, match="time zone"):
        settle(loader.pipeline, datetime(2026, 1, 1))  # noqa: DTZ001
