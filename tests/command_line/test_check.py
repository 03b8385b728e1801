"""`dashly-sync check`: a verdict for each thing that has to be in place, with the mend, and the exit code."""

from __future__ import annotations

from tests.command_line.conftest import App, Shell, equals_golden


def plain(text: str, app: App, shell: Shell) -> str:
    """The text without what differs from machine to machine."""
    return text.replace(str(shell.state), "STATE").replace(app.server.base_url, "BASE_URL")


def test_all_is_well(synced: tuple[App, Shell]) -> None:
    """Two requests, a line each, exit 0, nothing made in the warehouse's place."""
    app, shell = synced
    app.cost()

    ended = shell.run("check", "--to", "duckdb:///new.duckdb")

    assert (0, "") == (ended.exit, ended.stderr)
    assert 2 == app.cost()
    equals_golden("check_ok", plain(ended.stdout, app, shell))
    assert not (shell.folder / "new.duckdb").exists()


def test_what_is_not_well_comes_with_its_mend(synced: tuple[App, Shell]) -> None:
    """The other verdicts are given all the same."""
    app, shell = synced

    ended = shell.run("check", "--to", "duckdb:///missing/new.duckdb", DASHLY_SNAPSHOT="missing/read.duckdb")

    assert (4, "") == (ended.exit, ended.stderr)
    equals_golden("check_missing_folder", plain(ended.stdout, app, shell).replace(str(shell.folder), "FOLDER"))


def test_verdicts_as_json(synced: tuple[App, Shell]) -> None:
    """The exit code is that of the first failure."""
    _, shell = synced

    ended = shell.run("check", "--json", DASHLY_AUTH_TOKEN="app.1.other")

    assert (3, "") == (ended.exit, ended.stderr)
    assert [True, True, False, False] == [verdict["ok"] for verdict in ended.json]
    assert "401 NotAuthenticated" in ended.json[2]["finding"]
    assert {"subject", "ok", "finding"} == set(ended.json[0])
