"""Every command explains itself, with an example, before anything heavy is imported."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from tests.command_line.conftest import Shell, equals_golden

from dashly_sync.cli import cli


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command, groups among them."""
    yield path
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


@pytest.mark.parametrize("words", list(commands(cli)), ids=lambda words: "_".join(words) or "dashly-sync")
def test_help_has_an_example_and_reads_as_agreed(words: tuple[str, ...], shell: Shell) -> None:
    ended = shell.run(*words, "--help")

    assert (0, "") == (ended.exit, ended.stderr)
    assert "dashly-sync " + " ".join(words) in ended.stdout.partition("\n")[2]
    equals_golden("_".join(("help", *words)), ended.stdout)


HEAVY = ("dlt", "duckdb", "requests", "aiohttp", "pandas", "pyarrow", "psycopg2", "rich", "pendulum")
PROGRAM = """
import sys
from dashly_sync.cli import main
sys.argv = ["dashly-sync", *{words!r}]
try:
    main()
finally:
    print(*sorted({{name.partition(".")[0] for name in sys.modules}} & set({heavy!r})), file=sys.stderr)
"""


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["query", "-h"], ["--version"]], ids=" ".join)
def test_help_imports_neither_dlt_nor_a_driver(words: list[str], shell: Shell) -> None:
    ended = shell.python(PROGRAM.format(words=words, heavy=HEAVY))

    assert (0, "\n") == (ended.exit, ended.stderr)


def test_the_package_runs_as_a_module_too(shell: Shell) -> None:
    program = "import runpy, sys; sys.argv[1:] = ['--version']; runpy.run_module('dashly_sync', run_name='__main__')"

    ended = shell.python(program)

    assert (0, "") == (ended.exit, ended.stderr)


def test_version_is_that_of_the_distribution(shell: Shell) -> None:
    from importlib.metadata import version

    ended = shell.run("--version")

    assert version("dashly-sync") in ended.stdout
    assert 0 == ended.exit


def test_no_command_shows_the_help_and_is_a_usage_error(shell: Shell) -> None:
    ended = shell.run()

    assert 2 == ended.exit
    assert "Commands:" in ended.stdout + ended.stderr


def test_an_unknown_command_is_a_usage_error(shell: Shell) -> None:
    ended = shell.run("snyc")

    assert (2, "") == (ended.exit, ended.stdout)
    assert "No such command 'snyc'" in ended.stderr
