"""A user's mistake: one paragraph on stderr that says what to do, the contract's exit code, and nothing lost."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.command_line.conftest import App, Finished, Shell, rows_of
from tests.conftest import Warehouse, postgres_admin, with_database

USAGE, API, DESTINATION, LOCKED = 2, 3, 4, 5


def closed_port() -> int:
    """A port of this machine on which nobody answers."""
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def assert_refused(ended: Finished, code: int, *says: str) -> None:
    """The command ended with this code, and said these things in one paragraph, without a traceback."""
    assert (code, "") == (ended.exit, ended.stdout), ended.stderr
    assert "Traceback" not in ended.stderr
    assert 1 == len(ended.stderr.strip().split("\n\n")[-1].splitlines()), ended.stderr
    for said in says:
        assert said in ended.stderr


SETTINGS: dict[str, tuple[dict[str, str], list[str], list[str]]] = {
    "no token": (
        {"DASHLY_AUTH_TOKEN": ""},
        [],
        ["no API token", "DASHLY_AUTH_TOKEN", "SOURCES__DASHLY__AUTH_TOKEN", ".dlt/secrets.toml", "Settings > Dev"],
    ),
    "a base URL without /v1": ({}, ["--base-url", "https://api.dashly.app"], ["Write https://api.dashly.app/v1"]),
    "a base URL of another kind": ({}, ["--base-url", "ftp://api.dashly.app/v1"], ["is no http(s) URL"]),
    "no request allowed": ({}, ["--rate-limit", "0/60"], ["--rate-limit", "0/60"]),
    "half a rate limit": ({"DASHLY_RATE_LIMIT": "60"}, [], ["60/60", "'60'"]),
    "an unknown destination": ({}, ["--to", "nonsense"], ["'nonsense'", "duckdb:///FILE", "postgresql://"]),
    "an unknown kind of database": ({}, ["--to", "mysql://me:hush@h/db"], ["'mysql'", "duckdb:///FILE"]),
    "a file named like the dataset": ({}, ["--to", "duckdb:///dashly.duckdb"], ["--to duckdb:///dashly_warehouse"]),
    "a dataset with a blank": ({}, ["--dataset", "My Data"], ["--dataset my_data"]),
    "a resource with a typo": ({}, ["--only", "users,partz"], ["'partz'", "did you mean parts?"]),
    "no duration": ({}, ["--max-time", "banana"], ["--max-time", "'banana'", "14m"]),
    "no date": ({}, ["--since", "yesterday-ish"], ["'yesterday-ish'", "2026-01-31"]),
    "a state directory that is a file": ({"DASHLY_STATE_DIR": "afile"}, [], ["afile", "not a folder", "--state-dir"]),
}


@pytest.mark.parametrize("mistake", SETTINGS)
def test_a_setting_that_makes_no_sense_is_refused(mistake: str, shell: Shell) -> None:
    """Exit 2, before anything is asked of the API or made in the warehouse."""
    environ, arguments, says = SETTINGS[mistake]
    (shell.folder / "afile").touch()
    shell.environ |= {"DASHLY_AUTH_TOKEN": "app.1.secret", "DASHLY_BASE_URL": f"http://127.0.0.1:{closed_port()}/v1"}

    ended = shell.run("run", *arguments, **environ)

    assert_refused(ended, USAGE, *says)
    assert "hush" not in ended.stderr
    assert ["afile"] == [file.name for file in shell.folder.iterdir()]


def synced_copy(synced: tuple[App, Shell], shell: Shell) -> Warehouse:
    """The synced warehouse, copied into another shell that reads the same app from scratch."""
    app, first = synced
    app.cost()
    shell.environ |= app.environ
    shutil.copy(first.warehouse().location, shell.folder)
    return shell.warehouse()


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"DASHLY_AUTH_TOKEN": "app.1.other"}, ["401", "DASHLY_AUTH_TOKEN"]),
        ({"DASHLY_APP_ID": "99"}, ["/apps/99/", "403", "app id"]),
    ],
    ids=["wrong token", "unknown app"],
)
def test_no_access_is_said_in_the_record_and_harms_nothing(
    environ: dict[str, str], says: list[str], shell: Shell, synced: tuple[App, Shell]
) -> None:
    """Exit 3; the closing sentence stands on stdout and the reason on stderr; all rows stay."""
    warehouse = synced_copy(synced, shell)
    before = rows_of(warehouse, "users"), rows_of(warehouse, "parts")

    ended = shell.run("run", "--to", warehouse.destination, **environ)

    assert API == ended.exit
    assert ended.last_line.startswith("Failed, everything read is loaded: 1 request, 0 rows, ")
    assert_refused(Finished(ended.exit, "", ended.stderr), API, *says)
    assert before == (rows_of(warehouse, "users"), rows_of(warehouse, "parts"))
    assert ["finished", "failed"] == [row["outcome"] for row in warehouse.rows("sync_runs", order_by="started_at")]


@pytest.mark.soak
def test_an_api_that_is_down_is_asked_again_for_half_a_minute(app: Callable[..., App], tmp_path: Path) -> None:
    """Nobody listens, or a proxy's page comes: exit 3 after six attempts. Both at once, as each waits 31 s."""
    broken = app()
    broken.simulator.faults.queue("html502", 1000)
    urls = {"ConnectionError": f"http://127.0.0.1:{closed_port()}/v1", "502": broken.server.base_url}
    shells = {says: Shell(tmp_path / f"work-{number}") for number, says in enumerate(urls)}
    runs = {
        says: shells[says].start("run", DASHLY_AUTH_TOKEN="app.1.x", DASHLY_BASE_URL=url) for says, url in urls.items()
    }
    for says, started in runs.items():
        ended = started.wait()

        assert API == ended.exit, ended.stderr
        assert re.match(r"Failed, everything read is loaded: \d+ requests, 0 rows, ", ended.last_line), ended.stdout
        error = ended.stderr.splitlines()[-1]  # there may be lines of progress above
        assert_refused(Finished(ended.exit, "", error), API, says, "no usable answer in 6 attempts", "run again")


def unwritable_folder(shell: Shell) -> Path:
    """A folder in which this user cannot make a file; root can in most."""
    if os.geteuid() == 0:
        return Path("/sys")
    folder = shell.folder / "closed"
    folder.mkdir(mode=0o555)
    return folder


def test_a_duckdb_file_that_cannot_be_made_is_a_failed_destination(synced: tuple[App, Shell], shell: Shell) -> None:
    shell.environ |= synced[0].environ
    synced[0].cost()
    folder = unwritable_folder(shell)
    (shell.folder / "text.duckdb").write_text("this is no database, it is a letter")

    missing = shell.run("run", "--to", "duckdb:///missing/w.duckdb")
    closed = shell.run("run", "--to", f"duckdb:///{folder}/w.duckdb")
    letter = shell.run("run", "--to", "duckdb:///text.duckdb")

    assert_refused(missing, DESTINATION, f"{shell.folder}/missing/w.duckdb does not exist", "mkdir -p")
    assert_refused(closed, DESTINATION, f"{folder}/w.duckdb cannot be written")
    assert_refused(letter, DESTINATION, "text.duckdb is not a DuckDB file")
    assert "this is no database, it is a letter" == (shell.folder / "text.duckdb").read_text()
    assert 0 == synced[0].cost()


@contextmanager
def held(shell: Shell, warehouse: Warehouse) -> Iterator[int]:
    """Another process has the DuckDB file open; gives its pid."""
    program = "import duckdb, time; held = duckdb.connect({!r}); open('held', 'w'); time.sleep(600)"
    holder = shell.start_python(program.format(warehouse.location))
    holder.wait_until((shell.folder / "held").exists, "file that says so")
    yield holder.process.pid
    holder.send(signal.SIGKILL)


def test_a_duckdb_file_that_somebody_holds_is_named_with_its_holder(shell: Shell, synced: tuple[App, Shell]) -> None:
    """It is waited for as long as the run may take, and nothing is asked of the API; without it all is as before."""
    warehouse = synced_copy(synced, shell)
    with held(shell, warehouse) as pid:
        ended = shell.run("run", "--to", warehouse.destination, "--max-time", "1s")

        assert_refused(ended, DESTINATION, "is held by another process", f"(PID {pid})")
        assert 0 == synced[0].cost()
    assert 20 == warehouse.count("users")


def test_postgres_that_refuses_is_explained_without_the_password(
    synced: tuple[App, Shell], shell: Shell, postgres_uri: str, postgres_server: str
) -> None:
    """Exit 4 for a closed port, a database that is not there, and a user who may not come in."""
    app, _ = synced
    app.cost()
    shell.environ |= app.environ
    database = urlsplit(postgres_uri).path.lstrip("/")
    name = f"reader_of_{database}"
    with postgres_admin(postgres_server) as run:
        run(f"create role {name} login password 'p+/ss: w%41'")
    answers = {
        f"postgresql://me:s3cret@127.0.0.1:{closed_port()}/db": "nothing answers at postgresql://me@127.0.0.1",
        with_database(postgres_server, "nowhere"): "the database of",
        with_database(postgres_server, database, name, "p+/ss: w%41"): "GRANT",
    }
    for destination, says in answers.items():
        ended = shell.run("run", DASHLY_DESTINATION=destination)

        assert_refused(ended, DESTINATION, says)
        assert not [secret for secret in ("s3cret", "p+/ss", "p%2B%2Fss", "w%41", "w%2541") if secret in ended.stderr]
    assert 0 == app.cost()
    with postgres_admin(postgres_server) as run:
        run(f"drop role {name}")


def test_a_second_run_of_the_same_app_is_told_who_is_at_work(app: Callable[..., App], shell: Shell) -> None:
    """Exit 5 at once; the first run is not disturbed, and says so by ending well."""
    served = app(latency_seconds=0.3)
    shell.environ |= served.environ
    first = shell.start("run", "--to", "duckdb:///warehouse.duckdb")
    served.wait_for_requests(1, first)

    second = shell.run("run", "--to", "duckdb:///other.duckdb")

    assert_refused(second, LOCKED, "another run is at work", f"pid {first.process.pid}", f"`kill {first.process.pid}`")
    assert not (shell.folder / "other.duckdb").exists()
    assert 0 == first.wait().exit
    assert served.floor == served.cost()
