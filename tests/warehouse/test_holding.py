"""A DuckDB file that is kept open while a load works on it, and only then."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pytest

from dashly_warehouse.errors import DestinationUnavailable
from dashly_warehouse.holding import Hold
from dashly_warehouse.specs import parse_destination

READER = (
    "import duckdb, sys; c = duckdb.connect(sys.argv[1], read_only=True); print('open', flush=True); sys.stdin.read()"
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "w.duckdb"
    duckdb.connect(str(path)).close()
    return path


def test_a_file_is_kept_until_the_last_one_lets_go(file: Path) -> None:
    """Whoever asks in between joins; whoever lets go too often does no harm."""
    hold = Hold(parse_destination(f"duckdb:///{file}"))
    hold.take()
    with hold:
        duckdb.connect(str(file)).close()
    between = hold.keeps
    hold.let_go()
    hold.let_go()

    assert (True, False) == (between, hold.keeps)
    assert [(1,)] == duckdb.connect(str(file), config={"access_mode": "read_only"}).execute("select 1").fetchall()


def test_a_reader_is_waited_for(file: Path) -> None:
    """It goes away after the third look; with less patience it is named."""
    with subprocess.Popen(
        [sys.executable, "-c", READER, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdout is not None
        assert "open\n" == reader.stdout.readline()
        pauses: list[float] = []

        def sleep(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 3:
                reader.communicate()

        spec = parse_destination(f"duckdb:///{file}")
        with pytest.raises(DestinationUnavailable, match=rf"held by another process: \S+ \(PID {reader.pid}\)"):
            Hold(spec, 0.0, sleep).take()
        with Hold(spec, 60.0, sleep) as hold:
            assert hold.keeps

    assert [0.05, 0.1, 0.2] == pauses


def test_a_load_that_wants_more_memory_gets_it_at_the_second_try(file: Path, tmp_path: Path) -> None:
    """DuckDB fails in the middle of a load, dlt keeps the package, and the rows are there once."""
    rows = [{"id": str(number), "props": "x" * 100} for number in range(20_000)]
    pipeline = dlt.pipeline("greedy", pipelines_dir=str(tmp_path), destination=dlt.destinations.duckdb(str(file)))
    merged: Any = {"primary_key": "id", "write_disposition": "merge", "loader_file_format": "parquet"}
    load = partial(pipeline.run, rows, table_name="events", **merged)
    tries: list[str] = []

    with Hold(parse_destination(f"duckdb:///{file}"), memory_limit="1MB") as hold:
        hold.with_memory(load, again=lambda: (tries.append("again"), pipeline.run()))
        with pytest.raises(duckdb.OutOfMemoryException):
            hold.with_memory(_too_much, again=lambda: tries.append("never"))

    with duckdb.connect(str(file)) as connection:
        found = connection.execute(
            f"select count(*), count(distinct id) from {pipeline.dataset_name}.events"
        ).fetchone()
    assert (["again"], (20_000, 20_000)) == (tries, found)


def _too_much() -> None:
    with duckdb.connect(config={"memory_limit": "1MB", "temp_directory": ""}) as connection:
        connection.execute("create table numbers as select random() from range(1000000)")
