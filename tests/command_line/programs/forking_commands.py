"""Carries out `dashly-sync` in children that are forked from a process that has already imported everything.

Reads one JSON command a line from stdin, forks a child for each, and answers with its exit code, minus the signal's
number when a signal killed it. A child has the arguments, environment, working directory and umask of a command that
was typed; its stdin is empty, its stdout and stderr are files. Unlike an interpreter that ends, it does not take its
modules apart, which would cost as much as importing them.
"""

from __future__ import annotations

import gc
import importlib
import json
import multiprocessing
import os
import sys
from collections.abc import Mapping
from typing import Any

EVERYTHING = (
    "dashly_sync.cli",
    "dashly_sync.one_run",
    "dashly_sync.status_text",
    "dashly_sync.verify",
    "dlt.destinations.impl.duckdb.duck",
    "dlt.destinations.impl.postgres.postgres",
    "dlt.sources.helpers.requests",
    "pandas",  # not ours: pyarrow wants it where it is installed
    "pyarrow.compute",
    "pyarrow.parquet",
    "rich.table",
)
"""What the commands import while they work; importing reads no setting and opens nothing."""


def carry_out(command: Mapping[str, Any]) -> None:
    """Makes this process what a shell would have started, and the command of it."""
    files = (os.devnull, os.O_RDONLY), (command["stdout"], os.O_WRONLY), (command["stderr"], os.O_WRONLY)
    for number, (name, how) in enumerate(files):
        opened = os.open(name, how)
        os.dup2(opened, number)
        os.close(opened)
    os.chdir(command["folder"])
    os.umask(command["umask"])
    os.environ.clear()
    os.environ.update(command["environ"])
    sys.argv[:] = command["arguments"]
    importlib.import_module("dashly_sync.cli").main()


def exit_code(command: Mapping[str, Any]) -> int | None:
    """Carries out a command in a child, which is killed when it takes too long."""
    child = multiprocessing.get_context("fork").Process(target=carry_out, args=[command])
    child.start()
    child.join(command["too_long_seconds"])
    child.kill()
    child.join()
    return child.exitcode


if __name__ == "__main__":
    for module in EVERYTHING:
        importlib.import_module(module)
    gc.freeze()  # so that a child's collector leaves the memory that it shares alone
    for line in sys.stdin:
        sys.stdout.write(f"{exit_code(json.loads(line))}\n")
        sys.stdout.flush()
    gc.unfreeze()
