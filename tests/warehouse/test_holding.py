"""A DuckDB file that is kept open while a load works on it, and only then."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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
