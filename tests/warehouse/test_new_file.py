"""A new DuckDB file: not for everybody to read, whole from the first moment, and once there left as it is."""

import stat
from pathlib import Path

import duckdb
import pytest

from dashly_warehouse.destinations import parse_destination
from dashly_warehouse.new_file import create_file


@pytest.mark.parametrize(("umask", "mode"), [(0o000, 0o640), (0o022, 0o640), (0o002, 0o640), (0o077, 0o600)])
def test_a_new_file_is_for_its_owner_and_a_group_that_the_umask_lets_in(tmp_path: Path, umask: int, mode: int) -> None:
    file = tmp_path / "warehouse.duckdb"

    create_file(parse_destination(f"duckdb:///{file}"), umask)

    assert mode == stat.S_IMODE(file.stat().st_mode)
    assert ["home", "warehouse.duckdb"] == sorted(path.name for path in tmp_path.iterdir())
    with duckdb.connect(str(file)) as connection:
        connection.execute("create table t as select 1 as one")


def test_a_file_that_is_there_keeps_its_rights_and_its_rows(tmp_path: Path) -> None:
    file = tmp_path / "warehouse.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute("create table t as select 1 as one")
    file.chmod(0o666)

    create_file(parse_destination(f"duckdb:///{file}"), 0o022)

    assert 0o666 == stat.S_IMODE(file.stat().st_mode)
    with duckdb.connect(str(file)) as connection:
        assert [(1,)] == connection.execute("select one from t").fetchall()


def test_another_destination_has_no_file(tmp_path: Path) -> None:
    create_file(parse_destination("postgresql://me@localhost/warehouse"), 0o022)

    assert ["home"] == [path.name for path in tmp_path.iterdir()]
