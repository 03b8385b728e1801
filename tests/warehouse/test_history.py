"""What dlt piles up can be pruned, and a lost working directory still comes back from the destination."""

import shutil
from pathlib import Path
from typing import Any

import dlt
import pytest
from tests.conftest import MOSTLY_DUCKDB, MOSTLY_POSTGRES, Warehouse

from dashly_warehouse.destinations import dlt_destination, loader_file_format, parse_destination
from dashly_warehouse.keys import PruneReport, prune_dlt_history


def run(warehouse: Warehouse, name: str = "prune", schema: str = "dashly") -> dlt.Pipeline:
    """One load that changes the state, as every slice does."""

    @dlt.resource(name="users", primary_key="id", write_disposition="merge")
    def users() -> Any:
        state = dlt.current.resource_state()
        state["page"] = state.get("page", 0) + 1
        yield {"id": state["page"]}

    @dlt.source(name=schema)
    def source() -> Any:
        return users

    spec = parse_destination(warehouse.destination)
    pipeline = dlt.pipeline(name, destination=dlt_destination(spec), dataset_name="dashly")
    pipeline.run(source(), loader_file_format=loader_file_format(spec))
    return pipeline


def packages(pipeline: dlt.Pipeline) -> int:
    return len(list((Path(pipeline.working_dir) / "load" / "loaded").iterdir()))


def test_only_the_newest_stay(warehouse: Warehouse) -> None:
    for _ in range(5):
        pipeline = run(warehouse)
    report = prune_dlt_history(pipeline, keep=2)

    assert report == PruneReport(state_rows=3, loads=3, packages=3)
    assert warehouse.sql("select version from _dlt_pipeline_state order by 1") == [(4,), (5,)]
    assert warehouse.count("_dlt_loads") == 2
    assert packages(pipeline) == 2
    assert prune_dlt_history(pipeline, keep=2) == PruneReport()


@MOSTLY_POSTGRES
def test_a_lost_working_directory_is_restored_after_pruning(warehouse: Warehouse) -> None:
    for _ in range(4):
        pipeline = run(warehouse)
    prune_dlt_history(pipeline, keep=1)
    shutil.rmtree(pipeline.working_dir)
    run(warehouse)

    assert warehouse.rows("users", order_by="id") == [{"id": id} for id in (1, 2, 3, 4, 5)]  # noqa: A001


@MOSTLY_DUCKDB
def test_the_state_survives_loads_that_did_not_change_it(warehouse: Warehouse) -> None:
    pipeline = run(warehouse)
    spec = parse_destination(warehouse.destination)
    for i in range(4):
        pipeline.run([{"id": i}], table_name="others", loader_file_format=loader_file_format(spec))
    prune_dlt_history(pipeline, keep=1)
    shutil.rmtree(pipeline.working_dir)
    run(warehouse)

    assert warehouse.rows("users", order_by="id") == [{"id": 1}, {"id": 2}]


@MOSTLY_POSTGRES
def test_a_state_whose_load_never_finished_does_not_push_out_one_that_did(warehouse: Warehouse) -> None:
    run(warehouse)
    pipeline = run(warehouse)
    newest = "(select max(load_id) from _dlt_loads)"
    warehouse.sql(f"update _dlt_loads set status = 1 where load_id = {newest}")
    prune_dlt_history(pipeline, keep=1)
    shutil.rmtree(pipeline.working_dir)
    run(warehouse)

    assert warehouse.rows("users", order_by="id") == [{"id": 1}, {"id": 2}]


@MOSTLY_POSTGRES
def test_another_pipeline_in_the_same_dataset_keeps_its_history(warehouse: Warehouse) -> None:
    for _ in range(3):
        other = run(warehouse, "other", "other")
    for _ in range(3):
        mine = run(warehouse)
    prune_dlt_history(mine, keep=1)

    assert warehouse.sql("select pipeline_name, count(*) from _dlt_pipeline_state group by 1 order by 1") == [
        ("other", 3),
        ("prune", 1),
    ]
    assert packages(other) == 3


def test_pruning_before_the_first_load_does_nothing(warehouse: Warehouse) -> None:
    spec = parse_destination(warehouse.destination)
    pipeline = dlt.pipeline("new", destination=dlt_destination(spec), dataset_name="dashly")

    assert prune_dlt_history(pipeline) == PruneReport()


@MOSTLY_DUCKDB
def test_keeping_nothing_is_refused(warehouse: Warehouse) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        prune_dlt_history(run(warehouse), keep=0)
