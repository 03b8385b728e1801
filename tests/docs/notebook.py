"""Executes docs/notebooks/support_and_product.ipynb on a fresh demo: `python tests/docs/notebook.py`.

The outputs are stored in the notebook, so that whoever looks at it in the repository sees the pictures.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebooks" / "support_and_product.ipynb"
COMMAND = ".venv/bin/python tests/docs/notebook.py"
TOO_LONG_SECONDS = 120


def execute(folder: Path) -> Any:
    """Returns the notebook as it is after all of its cells ran in `folder`, where dashly_demo.duckdb is."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(
        notebook, timeout=TOO_LONG_SECONDS, record_timing=False, resources={"metadata": {"path": str(folder)}}
    )
    return client.execute()


def main() -> None:
    """Makes the demo, executes the notebook and stores it."""
    import nbformat

    from dashly_sync.demo import run_demo
    from dashly_sync.signals import StopSignal

    with tempfile.TemporaryDirectory() as folder:
        run_demo(Path(folder) / "dashly_demo.duckdb", StopSignal(), sys.stderr)
        executed = execute(Path(folder))
    executed.metadata.language_info = {"name": "python"}  # not the version of whoever ran it last
    nbformat.write(executed, NOTEBOOK)


if __name__ == "__main__":
    main()
