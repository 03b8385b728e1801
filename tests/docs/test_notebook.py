"""The promise: the notebook runs on what a sync leaves, and the pictures that are stored in it are its own."""

from __future__ import annotations

import base64
import re
import tempfile
from pathlib import Path
from typing import Any

import nbformat
import pytest
from tests.conftest import Warehouse
from tests.docs import notebook
from tests.promises.conftest import VirtualApp

STORED = nbformat.read(notebook.NOTEBOOK, as_version=4)
PICTURES = 3
LARGEST_BYTES = 60_000


def pictures(cells: list[Any]) -> list[bytes]:
    found = (output.get("data", {}).get("image/png") for cell in cells for output in cell.get("outputs", []))
    return [base64.b64decode(picture) for picture in found if picture]


def test_it_runs_and_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each cell, in order, on the warehouse of a small account that has just been synced."""
    monkeypatch.setenv("MPLCONFIGDIR", f"{tempfile.gettempdir()}/dashly-tests-matplotlib")  # its fonts: 5 s to find
    file = tmp_path / "dashly_demo.duckdb"
    app = VirtualApp(
        Warehouse("duckdb", f"duckdb:///{file}", "dashly", str(file)), tmp_path / "state", users=20, conversations=15
    )
    app.sync()

    executed = notebook.execute(tmp_path)

    assert PICTURES == len(pictures(executed.cells))
    assert all(picture.startswith(b"\x89PNG") for picture in pictures(executed.cells))


def test_what_is_stored_is_executed_and_small() -> None:
    """In order, without an error, a warning or the path of whoever ran it."""
    code = [cell for cell in STORED.cells if cell.cell_type == "code"]
    kinds = {output.output_type for cell in code for output in cell.outputs}

    assert list(range(1, len(code) + 1)) == [cell.execution_count for cell in code]
    assert {"display_data", "execute_result"} == kinds
    assert PICTURES == len(pictures(code))
    assert all(len(picture) < LARGEST_BYTES for picture in pictures(code))
    assert not re.search(r"/(home|root|tmp|work|Users)/", notebook.NOTEBOOK.read_text(encoding="utf-8"))
