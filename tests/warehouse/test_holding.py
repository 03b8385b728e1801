"""A DuckDB file that is kept open while a load works on it, and only then."""

from __future__ import annotations

import logging
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from dashly_state.directory import StateDirectory
from dashly_sync.settings import Settings
from dashly_sync.warehouse_pipeline import load_pending, open_pipeline
from dashly_warehouse.destinations import dlt_destination
from dashly_warehouse.errors import DestinationUnavailable
from dashly_warehouse.holding import Hold
from dashly_warehouse.specs import parse_destination

READER = (
    "import duckdb, sys; c = duckdb.connect(sys.argv[1], read_only=True); print('open', flush=True); sys.stdin.read()"
)

Load = tuple[dlt.Pipeline, Callable[[Callable[..., Any]], Any]]
GREEDY_ROWS = (20_000, 20_000)


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


def test_a_load_that_wants_more_memory_gets_it(greedy: Load, file: Path) -> None:
    """DuckDB fails in the middle of a load, dlt keeps the package, and the rows are there once.

    At once: by itself dlt would try its job four times more, a second apart, with the memory that did not suffice.
    """
    pipeline, work = greedy
    tries: list[str] = []

    def load() -> None:
        try:
            work(pipeline.run)
        except PipelineStepFailed as error:
            tries.append(f"had {getattr(error.__cause__, 'retry_count', 'no')} retries")
            raise

    with Hold(parse_destination(f"duckdb:///{file}"), memory_limits=("2MB", "8MB")) as hold:
        hold.with_memory(load, again=lambda: (tries.append("again"), pipeline.run()))
        with pytest.raises(duckdb.OutOfMemoryException):
            hold.with_memory(_too_much, again=_too_much)

    assert (["had 1 retries", "again"], GREEDY_ROWS) == (tries, _rows_in(file, pipeline))


def test_what_a_killed_run_left_gets_memory_too(greedy: Load, file: Path) -> None:
    """Its package is loaded as the run would have loaded it, and nobody has to be told."""
    pipeline, work = greedy
    work(pipeline.run)
    work(pipeline.extract)
    with Hold(parse_destination(f"duckdb:///{file}"), memory_limits=("1MB", "8MB")) as hold:
        notice = load_pending(pipeline, hold)

    assert (None, GREEDY_ROWS) == (notice, _rows_in(file, pipeline))


def test_a_statement_that_gets_more_memory_is_no_news(tmp_path: Path) -> None:
    """Otherwise dlt tells of each twice, with tracebacks, which a cron job would mail."""
    dlt_destination(parse_destination(f"duckdb:///{tmp_path}/w.duckdb"))
    dlt_logger, handler = logging.getLogger("dlt"), logging.FileHandler(tmp_path / "dlt.log")
    dlt_logger.addHandler(handler)
    wanted = duckdb.OutOfMemoryException("Out of Memory Error: failed to pin block of size 256.0 KiB")
    dlt_logger.error("Transient exception in job events.1.sql", exc_info=wanted)
    dlt_logger.warning("Job for events.1.sql retried with message %s", wanted)
    dlt_logger.warning("Something else")
    dlt_logger.removeHandler(handler)
    handler.close()

    assert "Something else\n" == (tmp_path / "dlt.log").read_text()


@pytest.mark.parametrize(("limit", "refusals"), [("1MB", 1), ("64MB", 0)])
def test_a_log_that_wants_more_memory_gets_into_the_file(
    file: Path, caplog: pytest.LogCaptureFixture, limit: str, refusals: int
) -> None:
    """DuckDB refuses to write it and everything after that, until the file is opened again; nothing is lost by it."""
    rows = GREEDY_ROWS[0]
    hold = Hold(parse_destination(f"duckdb:///{file}"), memory_limits=(limit,))
    with caplog.at_level(logging.INFO), hold, duckdb.connect(str(file)) as connection:
        connection.execute("reset memory_limit; create table events (id bigint, props text)")
        connection.execute(f"insert into events select range, repeat('x', 200) || range from range({rows})")
        connection.execute("delete from events where id % 2 = 0")
        connection.execute(f"insert into events select range, null from range({rows})")
        connection.execute(f"set memory_limit = '{limit}'")

    assert refusals == caplog.text.count("cannot write its log into the file")
    assert [] == list(file.parent.glob("*.wal"))
    with duckdb.connect(str(file), config={"access_mode": "read_only"}) as connection:
        found = connection.execute("select count(*), count(props), count(distinct id) from events").fetchone()
    assert (rows * 3 // 2, rows // 2, rows) == found


def test_a_log_that_the_disk_has_no_room_for_waits_beside_the_file(file: Path) -> None:
    """Between load and closing the disk may be full too: that is said, nothing stays open, and the rows are there."""
    rows, log = GREEDY_ROWS[0], file.with_name("w.duckdb.wal")
    hold = Hold(parse_destination(f"duckdb:///{file}"))
    hold.take()
    with duckdb.connect(str(file)) as connection:
        connection.execute(f"create table events as select range as id, uuid()::text as props from range({rows})")

    with files_no_larger_than(log.stat().st_size), pytest.raises(duckdb.Error, match="File too large"):
        hold.let_go()
    kept, waits = hold.keeps, log.exists()

    assert (False, True) == (kept, waits)
    with duckdb.connect(str(file)) as connection:
        assert [GREEDY_ROWS] == connection.execute("select count(*), count(distinct id) from events").fetchall()


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """For this process, a disk on which no file grows beyond this size."""
    before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))


def test_a_log_waits_for_who_writes(file: Path) -> None:
    """A notebook may have the file open in the same process, in the middle of a transaction."""
    names = ("memory_limit", "threads", "disabled_optimizers")
    settings = f"select {', '.join(f'current_setting({name!r})' for name in names)}"
    with duckdb.connect(str(file)) as other:
        before = other.execute(settings).fetchone()
        with Hold(parse_destination(f"duckdb:///{file}")):
            limited = other.execute(settings).fetchone()
            other.execute("begin; create table notes as select 7 as id")
        after = other.execute(settings).fetchone()
        other.execute("commit")

    assert (before, ("22.8 MiB", 1, "join_filter_pushdown")) == (after, limited)
    with duckdb.connect(str(file)) as connection:
        assert [(7,)] == connection.execute("from notes").fetchall()


@pytest.fixture
def greedy(file: Path, tmp_path: Path) -> Load:
    """A pipeline, and a load of more rows than 1 MB can hold."""
    rows = [{"id": str(number), "props": "x" * 100} for number in range(GREEDY_ROWS[0])]
    settings = Settings(auth_token="", destination=f"duckdb:///{file}")
    pipeline, _ = open_pipeline(settings, StateDirectory(tmp_path / "state"))
    merged: Any = {"primary_key": "id", "write_disposition": "merge", "loader_file_format": "parquet"}
    return pipeline, lambda step: step(rows, table_name="events", **merged)


def _rows_in(file: Path, pipeline: dlt.Pipeline) -> tuple[int, int] | None:
    with duckdb.connect(str(file)) as connection:
        return connection.execute(f"select count(*), count(distinct id) from {pipeline.dataset_name}.events").fetchone()


def _too_much() -> None:
    with duckdb.connect(config={"memory_limit": "1MB", "temp_directory": ""}) as connection:
        connection.execute("create table numbers as select random() from range(1000000)")
