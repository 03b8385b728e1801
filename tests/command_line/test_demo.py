"""`dashly-sync demo`: all of it in a minute, without an account and without a network."""

from __future__ import annotations

import re

import pytest
from tests.command_line.conftest import Shell

SENTENCE = (
    r"\d+ requests for the first sync, \d+ for the second; at Dashly's 60 a minute the first takes \d+ minutes\. "
    r"Go on: (\S*/)?dashly-sync query --to duckdb:///dashly_demo\.duckdb \"select …\""
)


@pytest.mark.soak
def test_the_demo_works_and_works_again(shell: Shell) -> None:
    """It leaves one file in the directory and nothing in the home; a second demo goes on in the same file."""
    for environ in ({"DASHLY_AUTH_TOKEN": "app.1.of-a-real-account", "DASHLY_DESTINATION": "nonsense"}, {}):
        ended = shell.run("demo", **environ)

        assert (0, "") == (ended.exit, ended.stderr)
        assert re.fullmatch(SENTENCE, ended.last_line), ended.last_line
        assert 2 == ended.stdout.count("Done: ")
        assert "simulated-secret" not in ended.stdout
        assert ["dashly_demo.duckdb"] == [file.name for file in shell.folder.iterdir()]
        assert [] == list(shell.home.iterdir())

    looked = shell.run("query", "select count(*) from parts", "--to", "duckdb:///dashly_demo.duckdb", "--format", "csv")

    assert int(looked.last_line) > 1000


def test_a_file_that_cannot_be_made_is_explained(shell: Shell) -> None:
    ended = shell.run("demo", "--file", "missing/demo.duckdb")

    assert 4 == ended.exit
    assert "mkdir -p" in ended.stderr
    assert "Traceback" not in ended.stderr
