"""The promise: docs/web-api.md names every method of the API, and the Python one with all that it takes."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from dashly.client import DashlyClient
from dashly_simulator.endpoints import ENDPOINTS

PAGE = (Path(__file__).parents[2] / "docs" / "web-api.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `((?:GET|POST) \S+)` \| `(\w+)\((.*)\)` \|$", PAGE, re.MULTILINE)


def test_the_table_has_every_method_of_the_api() -> None:
    assert {f"{method} {path}" for path, methods in ENDPOINTS.items() for method in methods} == {row[0] for row in ROWS}
    assert 20 == len(ROWS)


def test_the_table_says_what_each_method_takes() -> None:
    for asked, name, takes in ROWS:
        method = getattr(DashlyClient, name)
        _, *expected = inspect.signature(method).parameters

        assert ", ".join(expected) == takes, name
        assert asked in " ".join(inspect.getdoc(method).split()), f"{name} names another method of the API"
