"""The promise: the tables of CONTRACT.md, section 4, with its columns and keys, as dlt takes them."""

from __future__ import annotations

import dlt
import pytest

from dashly.endpoints import CHILDREN, LISTS, RESOURCES, SNAPSHOTS
from dashly.tables import RESOURCE_TABLES, TABLES

CONTRACT = {
    "users": ("id", "external_id name email phone presence last_seen_at removed_at props"),
    "user_props": ("user_id name", "value value_type"),
    "events": ("id", "user_id type_id name created_at props"),
    "event_types": ("id", "name score visible active"),
    "conversations": (
        "id",
        "user_id created_at updated_at closed read replied clicked unsubscribed type reply_type message_id assignee_id "
        "last_admin_id channel_id parts_count unread_parts_count",
    ),
    "conversation_tags": ("conversation_id tag", ""),
    "parts": (
        "id",
        "conversation_id created_at type body sent_via author_type author_id is_first read tag assignee_id edited_at "
        "removed_at",
    ),
    "part_attachments": ("id", "part_id conversation_id filename mime_type size url created_at"),
    "admins": ("id", "name avatar type"),
    "channels": ("id", "name type avatar"),
    "active_users": ("user_id sampled_at", "presence presence_details"),
    "user_details": ("user_id", "props_custom props_events segments tags notes"),
    "sync_progress": ("stream parent_id", ""),
}
"""Key and columns at least; `sync_runs` is written by the pipelines and not by the source."""

EACH = pytest.mark.parametrize("name", TABLES)


@pytest.mark.parametrize("name", CONTRACT)
def test_each_table_of_the_contract_is_there_with_its_key_and_columns(name: str) -> None:
    key, columns = CONTRACT[name]
    table = TABLES[name]

    assert tuple(key.split()) == table.key
    assert set() == {*key.split(), *columns.split()} - table.columns().keys()


@EACH
def test_each_table_says_when_it_was_synced_and_since_when_a_row_is_gone(name: str) -> None:
    columns = TABLES[name].columns()

    assert {"extra", "_synced_at", "_deleted_at"} <= columns.keys()
    assert "desc" == columns["_synced_at"]["dedup_sort"], "of two versions in one package the newer stays"
    assert ["_synced_at"] == [column for column, hints in columns.items() if "dedup_sort" in hints]


@EACH
def test_ids_are_text_and_times_are_utc_with_microseconds(name: str) -> None:
    """64-bit ids do not survive pandas, spreadsheets or JavaScript."""
    for column, hints in TABLES[name].columns().items():
        assert column == hints["name"]
        if column == "id" or column.endswith("_id"):
            assert "text" == hints["data_type"]
        assert column.endswith("_at") <= (hints["data_type"] == "timestamp")
        if hints["data_type"] == "timestamp":
            assert (6, True) == (hints["precision"], hints["timezone"])


@EACH
def test_only_what_is_in_the_key_must_have_a_value(name: str) -> None:
    table = TABLES[name]

    assert set(table.key) == {column for column, hints in table.columns().items() if not hints["nullable"]}


@EACH
def test_references_lead_from_a_column_that_exists_to_an_id_that_exists(name: str) -> None:
    """One reference is kept for each parent table by dlt, so a second one would be lost without a word."""
    table = TABLES[name]
    parents = [reference["referenced_table"] for reference in table.references()]

    assert len(parents) == len(set(parents))
    for reference in table.references():
        assert set(reference["columns"]) <= table.columns().keys()
        assert set(reference["referenced_columns"]) <= TABLES[reference["referenced_table"]].columns().keys()
        assert reference["referenced_columns"] == list(TABLES[reference["referenced_table"]].key)


@EACH
def test_dlt_takes_the_hints_as_they_are(name: str) -> None:
    """And merges on the key, deleting before inserting: `upsert` would keep duplicates inside one package."""
    table = TABLES[name]
    schema = dlt.resource([{}], name=name, **table.hints()).compute_table_schema()

    assert list(table.key) == [column for column, hints in schema["columns"].items() if hints.get("primary_key")]
    assert ("merge", "delete-insert") == (schema["write_disposition"], schema["x-merge-strategy"])  # type: ignore[typeddict-item]
    assert list(table.columns()) == list(schema["columns"])
    assert len(table.references()) == len(schema.get("references", []))


def test_two_tables_share_no_hint() -> None:
    """And dlt writes into the dictionaries that it is given."""
    TABLES["users"].hints()["columns"]["id"]["data_type"] = "spoilt"

    assert "text" == TABLES["users"].hints()["columns"]["id"]["data_type"]


def test_each_resource_fills_tables_that_exist_its_own_first() -> None:
    assert set(RESOURCES) == RESOURCE_TABLES.keys() == {*LISTS, *CHILDREN, *SNAPSHOTS}
    for resource, tables in RESOURCE_TABLES.items():
        assert resource == tables[0]
        assert set(tables) <= TABLES.keys()


def test_each_table_is_filled_by_some_resource() -> None:
    assert TABLES.keys() == {table for tables in RESOURCE_TABLES.values() for table in tables}
