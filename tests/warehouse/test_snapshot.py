"""The read copy of a DuckDB file: whole or not there, and never in the way of a writer."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest
from tests.conftest import Warehouse

from dashly_warehouse.errors import DestinationConfigError, DestinationUnavailable
from dashly_warehouse.replacement import replacing
from dashly_warehouse.snapshot import check_snapshot, publish_snapshot
from dashly_warehouse.specs import DestinationSpec, parse_destination

LEAVES_LOG = (
    "import duckdb, os; connection = duckdb.connect({file!r}); "
    "connection.execute('insert into dashly.users values (2)'); os._exit(0)"
)


@pytest.fixture
def spec(duckdb_warehouse: Warehouse) -> DestinationSpec:
    duckdb_warehouse.sql("create table users as select 1 as id")
    duckdb_warehouse.sql("create view everyone as select * from dashly.users")
    duckdb_warehouse.sql("comment on view everyone is 'One row per user'")
    return parse_destination(duckdb_warehouse.destination)


def held(file: Path, table: str = "everyone") -> list[int]:
    with duckdb.connect(str(file), read_only=True) as connection:
        return [row[0] for row in connection.execute(f"select id from dashly.{table} order by 1").fetchall()]


def left_behind(target: Path) -> list[str]:
    return sorted(file.name for file in target.parent.iterdir() if target.stem in file.name)


def test_a_copy_has_the_views_too_under_any_name(spec: DestinationSpec, tmp_path: Path) -> None:
    target = tmp_path / "read.duckdb"

    publish_snapshot(spec, target)

    assert [1] == held(target)
    assert ["read.duckdb"] == left_behind(target)
    with duckdb.connect(str(target), read_only=True) as connection:
        found = connection.execute("select comment from duckdb_views() where view_name = 'everyone'").fetchall()
    assert [("One row per user",)] == found


def test_what_a_killed_process_left_in_the_log_is_in_the_copy(spec: DestinationSpec, tmp_path: Path) -> None:
    target = tmp_path / "read.duckdb"
    subprocess.run([sys.executable, "-c", LEAVES_LOG.format(file=str(spec.path))], check=True)
    assert Path(f"{spec.path}.wal").stat().st_size > 0

    publish_snapshot(spec, target)

    assert [1, 2] == held(target)
    assert not Path(f"{spec.path}.wal").exists()


def test_whoever_reads_the_old_copy_reads_on(
    spec: DestinationSpec, duckdb_warehouse: Warehouse, tmp_path: Path
) -> None:
    target = tmp_path / "read.duckdb"
    publish_snapshot(spec, target)
    with duckdb.connect(str(target), read_only=True) as reader:
        duckdb_warehouse.sql("insert into users values (2)")

        publish_snapshot(spec, target)

        assert [(1,)] == reader.execute("select id from dashly.everyone").fetchall()
    assert [1, 2] == held(target)


def test_a_reader_of_the_warehouse_itself_is_no_hindrance(spec: DestinationSpec, tmp_path: Path) -> None:
    reading = f"import duckdb; c = duckdb.connect({str(spec.path)!r}, read_only=True); print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", reading], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdout is not None
        reader.stdout.readline()

        publish_snapshot(spec, tmp_path / "read.duckdb", wait_seconds=0)
        reader.communicate("\n")

    assert [1] == held(tmp_path / "read.duckdb")


def test_a_writer_elsewhere_is_waited_for_and_then_given_up(spec: DestinationSpec, tmp_path: Path) -> None:
    writing = f"import duckdb; c = duckdb.connect({str(spec.path)!r}); print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", writing], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        pauses: list[float] = []

        with pytest.raises(DestinationUnavailable, match="is held by"):
            publish_snapshot(spec, tmp_path / "read.duckdb", wait_seconds=1.0, sleep=pauses.append)
        writer.communicate("\n")

    assert sum(pauses) >= 1.0
    assert [] == left_behind(tmp_path / "read.duckdb")


def test_nobody_can_write_to_a_copy_by_mistake(spec: DestinationSpec, tmp_path: Path) -> None:
    """Its mode says so; the log of someone who may all the same (root) is not taken for the next copy's."""
    target = tmp_path / "read.duckdb"
    publish_snapshot(spec, target)
    assert 0o440 == target.stat().st_mode & 0o777
    Path(f"{target}.wal").write_bytes(b"of the copy before")

    publish_snapshot(spec, target)

    assert ["read.duckdb"] == left_behind(target)
    assert [1] == held(target)


def fill_the_disk(target: Path) -> None:
    with replacing(target) as partial:
        partial.write_bytes(b"half of")
        raise OSError(errno.ENOSPC, "no room")


def test_when_it_fails_the_one_before_stays(spec: DestinationSpec, tmp_path: Path) -> None:
    target = tmp_path / "read.duckdb"
    publish_snapshot(spec, target)
    before = target.stat().st_ino

    with pytest.raises(OSError, match="no room"):
        fill_the_disk(target)

    assert (before, ["read.duckdb"]) == (target.stat().st_ino, left_behind(target))


def test_what_a_killed_process_left_half_written_is_written_over(spec: DestinationSpec, tmp_path: Path) -> None:
    target = tmp_path / "read.duckdb"
    half = tmp_path / ".read.duckdb.partial"
    half.write_bytes(b"half of")
    half.chmod(0o444)

    publish_snapshot(spec, target)

    assert [1] == held(target)
    assert not half.exists()


def test_a_link_stays_a_link_and_a_pipe_a_pipe(tmp_path: Path) -> None:
    real, link, pipe = tmp_path / "real.csv", tmp_path / "link.csv", tmp_path / "pipe"
    real.write_text("old")
    link.symlink_to(real)
    os.mkfifo(pipe)

    with replacing(link) as partial:
        partial.write_text("new")
    with replacing(pipe) as itself:
        assert pipe == itself

    assert ("new", True) == (real.read_text(), link.is_symlink())


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("warehouse.duckdb", "is the warehouse itself"),
        ("missing/read.duckdb", "mkdir -p"),
        (".", "is a directory"),
        ("dashly.duckdb", "have the same name"),
    ],
)
def test_what_can_be_no_snapshot_is_said_before_anything_is_asked(
    target: str, says: str, spec: DestinationSpec, tmp_path: Path
) -> None:
    with pytest.raises(DestinationConfigError, match=says):
        check_snapshot(spec, "dashly", tmp_path / target)


def test_other_databases_need_none(tmp_path: Path) -> None:
    with pytest.raises(DestinationConfigError, match="other databases serve readers while a sync writes"):
        check_snapshot(parse_destination("postgresql://me:s3cret@db/lake"), "dashly", tmp_path / "read.duckdb")


@pytest.mark.soak
def test_a_copy_of_many_rows_is_made_while_nobody_waits_long(spec: DestinationSpec, tmp_path: Path) -> None:
    """100 MB: within seconds, where a copy row by row would take many times as long."""
    with duckdb.connect(str(spec.path)) as connection:
        connection.execute("create table dashly.events as select md5(i::varchar) as id from range(3000000) as t(i)")
    began = time.monotonic()

    publish_snapshot(spec, tmp_path / "read.duckdb")

    assert time.monotonic() - began < 20
    assert 3_000_000 == len(held(tmp_path / "read.duckdb", "events"))
