"""Writes what the benchmarks measured into README.md and docs/: `python tests/benchmarks/report.py`, or `make report`.

A page says where a table goes, and a single figure within a sentence:

    <!-- results:peers -->
    … written by this program …
    <!-- /results -->

    a first load costs <!-- result:peers/cells/dashly-sync/first load/requests -->444<!-- /result --> requests

A table is a name and a function that returns its Markdown; a module that has some lists them in its `TABLES`, and is
listed in `tables`. A figure is the name of a file in tests/benchmarks/results and the keys that lead to it, and may end
in a format: `peers/…/wall_seconds:.0f`. What was not measured yet stays as it is.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks import results

COMMAND = "make report"
BLOCK = re.compile(r"(<!-- results:(?P<name>[\w-]+) -->\n).*?(<!-- /results -->)", re.DOTALL)
FIGURE = re.compile(r"(<!-- result:(?P<path>[^>]+?)(?P<format>:[^/>]*)? -->).*?(<!-- /result -->)")
Tables = Mapping[str, Callable[[], str]]


@functools.cache
def tables() -> Tables:
    """Returns all tables by name."""
    from tests.benchmarks import scale_tables
    from tests.benchmarks.peers import tables as peer_tables

    return {**peer_tables.TABLES, **scale_tables.TABLES}


def pages(root: Path = results.ROOT) -> list[Path]:
    """Returns the pages that may hold results."""
    return [root / "README.md", *sorted((root / "docs").rglob("*.md"))]


def written(text: str, known: Tables, folder: Path = results.FOLDER) -> str:
    r"""Returns a page's text with its tables and figures.

    >>> written("<!-- results:sums -->\nold\n<!-- /results -->", {"sums": lambda: "| 4 |"})
    '<!-- results:sums -->\n| 4 |\n<!-- /results -->'

    Raises:
        LookupError: It names a table or a figure that does not exist.
    """
    text = BLOCK.sub(lambda found: _table(found, known), text)
    return FIGURE.sub(lambda found: _figure(found, folder), text)


def _table(found: re.Match[str], known: Tables) -> str:
    name = found["name"]
    if name not in known:
        raise LookupError(f"no table {name!r}; known are {', '.join(sorted(known))}")
    try:
        return f"{found[1]}{known[name]()}\n{found[3]}"
    except FileNotFoundError:
        return found[0]


def _figure(found: re.Match[str], folder: Path) -> str:
    name, *keys = found["path"].split("/")
    try:
        value: Any = results.read(name, folder)["figures"]
    except FileNotFoundError:
        return found[0]
    for key in keys:
        value = value[key]
    return f"{found[1]}{value:{(found['format'] or ':')[1:]}}{found[4]}"


def main() -> None:
    """Rewrites the pages."""
    for page in pages():
        text = page.read_text(encoding="utf-8")
        after = written(text, tables())
        if after != text:
            page.write_text(after, encoding="utf-8")
            sys.stdout.write(f"{page.relative_to(results.ROOT)}\n")


if __name__ == "__main__":
    main()
