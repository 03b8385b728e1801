"""The promise: no secret leaks, not in logs, errors, files, tables or process lists."""

from __future__ import annotations

import base64
import gzip
import os
import sqlite3
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from tests.command_line.conftest import App, Finished, Shell

from dashly_simulator import Faults

TOKEN = "app.1.s3cretive+t/ü-%41tailpiece"
KERNELS = ("s3cretive", "tailpiece")
"""Parts of the token that no way of quoting changes: URLs, Python, JSON and HTML all leave them as they are."""
FAILURES = Faults(every=3, kinds=("500", "html502", "reset", "cut"))


def spellings() -> list[bytes]:
    """What to look for: the kernels, and what base64 makes of them wherever they begin in a text."""
    found = [kernel.encode() for kernel in KERNELS]
    for shift in range(3):
        for kernel in KERNELS:
            coded = base64.b64encode(b"." * shift + kernel.encode())
            found.append(coded[4 if shift else 0 : -4])
    return found


def contents(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file below the folder: its bytes, and what is packed inside it."""
    for file in folder.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            yield file, content
            with suppress(OSError, EOFError):
                yield file, gzip.decompress(content)
            if content.startswith(b"SQLite format 3"):
                yield file, sqlite_text(file)
            if content[8:12] == b"DUCK":
                yield file, duckdb_text(file)


def sqlite_text(file: Path) -> bytes:
    """All values of a SQLite file, and journal pages unpacked."""
    with closing(sqlite3.connect(file)) as connection:
        tables = [name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")]
        values = [v for table in tables for row in connection.execute(f"select * from {table}") for v in row]
    return b"\n".join(zlib.decompress(v) if isinstance(v, bytes) else str(v).encode() for v in values)


def duckdb_text(file: Path) -> bytes:
    """All values of a DuckDB file, dlt's own tables among them."""
    import duckdb

    with duckdb.connect(str(file), read_only=True) as connection:
        tables = connection.execute("select table_schema, table_name from information_schema.tables").fetchall()
        rows = [connection.execute(f'select * from "{schema}"."{table}"').fetchall() for schema, table in tables]
    return repr(rows).encode()


def leaks(shell: Shell, *shown: Finished) -> list[str]:
    """Where the token stands: in what was shown, or in a file that a command has written."""
    texts = [("the screen", f"{one.stdout}\n{one.stderr}".encode()) for one in shown]
    texts += [(str(file), content) for place in (shell.folder, shell.home) for file, content in contents(place)]
    given = str(shell.folder / ".dlt" / "secrets.toml")
    return sorted({where for where, text in texts if where != given for kernel in spellings() if kernel in text})


def configured(shell: Shell, way: str) -> None:
    """Gives the token to the shell in one of the ways."""
    del shell.environ["DASHLY_AUTH_TOKEN"]
    if way == "DASHLY_AUTH_TOKEN_FILE":
        file = shell.folder.with_name("token")
        file.touch(mode=0o600)
        file.write_text(TOKEN)
        shell.environ[way] = str(file)
        return
    if way == "secrets.toml":
        (shell.folder / ".dlt").mkdir()
        (shell.folder / ".dlt" / "secrets.toml").write_text(f'[sources.dashly]\nauth_token = "{TOKEN}"\n')
    else:
        shell.environ[way] = TOKEN


def test_the_search_finds_a_token_that_is_there(shell: Shell) -> None:
    import duckdb

    with duckdb.connect(str(shell.folder / "table.duckdb")) as table:
        table.execute("create table t as select ? as said", [TOKEN])
    with closing(sqlite3.connect(shell.folder / "journal.sqlite")) as journal, journal:
        journal.execute("create table pages (body blob)")
        journal.execute("insert into pages values (?)", [zlib.compress(TOKEN.encode())])
    (shell.folder / "plain").write_text(f"auth_token={TOKEN}")
    (shell.folder / "coded").write_bytes(base64.b64encode(b"Authorization: " + TOKEN.encode()))
    (shell.folder / "packed.gz").write_bytes(gzip.compress(TOKEN.encode()))

    assert 5 == len(leaks(shell))


@pytest.mark.parametrize(
    "way",
    [
        "DASHLY_AUTH_TOKEN",
        pytest.param("SOURCES__DASHLY__AUTH_TOKEN", marks=pytest.mark.soak),
        pytest.param("DASHLY_AUTH_TOKEN_FILE", marks=pytest.mark.soak),
        pytest.param("secrets.toml", marks=pytest.mark.soak),
    ],
)
def test_a_run_that_shows_everything_does_not_show_the_token(way: str, app: Callable[..., App], shell: Shell) -> None:
    """At the highest log levels of ours and of dlt, while every third request fails."""
    served = app(auth_token=TOKEN, users=8, conversations=5, faults=FAILURES)
    shell.environ |= served.environ | {"RUNTIME__LOG_LEVEL": "DEBUG"}
    configured(shell, way)

    started = shell.start("run", "-vv", "--to", "duckdb:///warehouse.duckdb")
    served.wait_for_requests(2, started)
    processes = Finished(0, command_lines(), "")
    ended = started.wait()

    assert 0 == ended.exit, ended.stderr
    assert "auth_token=***" in ended.stderr
    assert [] == leaks(shell, ended, processes)


def command_lines() -> str:
    """The command lines of all processes, where the system shows them."""
    shown = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            shown.append(file.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    assert not Path("/proc/self").exists() or any("dashly-sync run" in line for line in shown)
    return "\n".join(shown)


def test_a_token_that_is_refused_is_not_repeated(app: Callable[..., App], shell: Shell) -> None:
    """Neither by a run nor by `check`."""
    shell.environ |= app().environ | {"DASHLY_AUTH_TOKEN": TOKEN, "RUNTIME__LOG_LEVEL": "DEBUG"}

    refused = shell.run("run", "-vv", "--to", "duckdb:///warehouse.duckdb")
    checked = shell.run("check", "--to", "duckdb:///warehouse.duckdb")

    assert [3, 3] == [refused.exit, checked.exit]
    assert [] == leaks(shell, refused, checked)


NOTEBOOK = """
import dlt
from dashly import dashly

pipeline = dlt.pipeline("notebook", destination=dlt.destinations.duckdb("notebook.duckdb"), dataset_name="dashly")
source = dashly(base_url={base_url!r}, rate_limit="1000000/60")
print(source, repr(source), source.resources)
print(pipeline.run(source, loader_file_format="parquet"))
print(pipeline.last_trace.asstr(verbosity=2))
print(pipeline.last_trace.asdict())
print(pipeline.default_schema.to_pretty_yaml())
"""


@pytest.mark.parametrize("accepted", [True, False], ids=["accepted", "refused"])
def test_a_notebook_does_not_show_the_token(accepted: bool, app: Callable[..., App], shell: Shell) -> None:
    """The source without our command: in dlt's debug log, trace, state and tracebacks."""
    served = app(auth_token=TOKEN if accepted else "app.1.other", users=8, conversations=5)
    shell.environ |= {"SOURCES__DASHLY__AUTH_TOKEN": TOKEN, "RUNTIME__LOG_LEVEL": "DEBUG"}
    shell.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"

    ended = shell.python(NOTEBOOK.format(base_url=served.server.base_url))

    assert (0 if accepted else 1) == ended.exit, ended.stderr
    assert accepted or "401 NotAuthenticated" in ended.stderr
    assert [] == leaks(shell, ended)


def test_files_that_hold_customer_data_are_private(synced: tuple[App, Shell]) -> None:
    """Whatever a run leaves behind, dlt's working files among it, though the shell's umask is 000."""
    _, shell = synced
    left = {path: path.stat() for path in (shell.state, *shell.state.rglob("*"))}

    assert {os.getuid()} == {status.st_uid for status in left.values()}
    assert {0o40700, 0o100600} == {status.st_mode for status in left.values()}
    assert any(path.suffix == ".pickle" for path in left)
    assert ["warehouse.duckdb"] == [path.name for path in shell.folder.iterdir()]
    assert 0o640 == stat.S_IMODE((shell.folder / "warehouse.duckdb").stat().st_mode)
