"""Masks at the command line: nothing masked is in any file or on the screen, of a run that is killed neither."""

from __future__ import annotations

import hashlib
import hmac
import json
import signal
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.command_line.conftest import App, Finished, Shell
from tests.promises.test_no_secret_leaks import contents

from dashly.endpoints import RESOURCES
from dashly_simulator import Simulator

KEY = "m4sk-key-of-this-account-77"
SMALL = {"users": 6, "conversations": 6, "events_per_user": 8.0, "parts_per_conversation": 8.0}
RUN = ("run", "-vv", "--only", ",".join(RESOURCES), "--to", "duckdb:///warehouse.duckdb")
MASKED = (*RUN, "--mask", "pii")


def personal(simulator: Simulator) -> dict[str, set[str]]:
    """What the profile covers, by kind, as this account has it; shorter than 5 characters is found everywhere."""
    truth = simulator.truth
    users, parts = list(truth.rows("users")), list(truth.rows("parts"))
    files, details = list(truth.rows("part_attachments")), list(truth.rows("user_details"))
    found = {
        **{kind: {str(user[kind]) for user in users if user[kind]} for kind in ("name", "email", "phone")},
        "body": {part["body"] for part in parts if part["body"]},
        "ip": {event["props"]["$ip"] for event in truth.rows("events") if "$ip" in event["props"]},
        "file": {file[name] for file in files for name in ("filename", "url")},
        "map": {user["extra"]["map_url"] for user in users if "map_url" in user["extra"]},
        "note": {note["body"] for user in details for note in user["notes"]},
    }
    assert all(found.values()), "the account has some of each kind"
    return {kind: {value for value in values if len(value) > 4} for kind, values in found.items()}


def everything(places: Iterable[Path]) -> Iterator[bytes]:
    """All that was written, with what is packed in it; of a DuckDB file, its tables."""
    for file, content in (found for place in places for found in contents(place)):
        if content[8:12] != b"DUCK":
            yield content
        if file.suffix == ".parquet":
            with suppress(pa.ArrowInvalid):  # not written to its end
                yield repr(pq.read_table(file).to_pylist()).encode()


def spellings(value: str) -> set[bytes]:
    written = {value, repr(value)[1:-1], json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    return {one.encode() for one in written}


def leaks(simulator: Simulator, places: Iterable[Path], *shown: Finished) -> list[str]:
    """The kinds of personal data that stand in any file or on the screen, and the key if it does."""
    texts = [*everything(places), *(f"{one.stdout}\n{one.stderr}".encode() for one in shown)]
    looked_for = {**personal(simulator), "key": {KEY}}
    return [
        kind
        for kind, values in looked_for.items()
        if any(spelling in text for value in values for spelling in spellings(value) for text in texts)
    ]


def pages_in(journal: Path) -> int:
    with closing(sqlite3.connect(journal)) as connection:
        return int(connection.execute("select count(*) from pages").fetchone()[0])


def killed(shell: Shell, served: App, *arguments: str) -> Finished:
    """How a run ended that was killed at its sixteenth request; it logs whatever can be logged."""
    shell.environ |= served.environ | {"RUNTIME__LOG_LEVEL": "DEBUG", "DASHLY_MASK_KEY": KEY}
    served.cost()
    started = shell.start(*arguments)
    served.wait_for_requests(16, started)
    return started.send(signal.SIGKILL)


def test_a_run_that_is_killed_leaves_nothing_personal(app: Callable[..., App], shell: Shell) -> None:
    """Neither in the journal, nor in dlt's files, nor in a log."""
    served = app(**SMALL, latency_seconds=0.01)
    ended = killed(shell, served, *MASKED)
    (journal,) = shell.state.glob("journal-*.sqlite")

    assert 14 <= pages_in(journal)
    assert [] == leaks(served.simulator, [shell.folder, shell.home], ended)


@pytest.mark.soak
def test_a_masked_run_after_others(app: Callable[..., App], shell: Shell) -> None:
    """What a run without masks left is gone, and of what one with the same masks left nothing is asked for again."""
    served, places = app(**SMALL, latency_seconds=0.01), [shell.folder, shell.home]
    killed(shell, served, *RUN)
    assert {"name", "email", "phone", "body"} <= set(leaks(served.simulator, places)), "the search finds what is there"
    killed(shell, served, *MASKED)
    (journal,) = shell.state.glob("journal-*.sqlite")
    kept = pages_in(journal)
    assert [] == leaks(served.simulator, places)

    served.cost()
    ended = shell.run(*MASKED)
    assert 0 == ended.exit, ended.stderr
    assert served.cost() <= served.floor + SMALL["users"] - kept + 1, "each user's details come on top"
    assert [] == leaks(served.simulator, places, ended)


def test_a_profile_without_a_key_says_how_to_make_one(shell: Shell) -> None:
    ended = shell.run("run", "--mask", "pii", DASHLY_AUTH_TOKEN="app.1.any")

    assert (2, "") == (ended.exit, ended.stdout)
    assert "no mask key" in ended.stderr
    assert "openssl rand -hex 32" in ended.stderr


@pytest.mark.soak
@pytest.mark.parametrize(
    ("rule", "said"),
    [("users.id=hmac", "cannot be masked: ids, keys"), ("users.mail=hmac", "Did you mean users.email?")],
)
def test_a_rule_that_makes_no_sense_ends_in_2(rule: str, said: str, shell: Shell) -> None:
    ended = shell.run("run", "--mask", "pii", "--mask", rule, DASHLY_AUTH_TOKEN="app.1.any", DASHLY_MASK_KEY=KEY)

    assert 2 == ended.exit
    assert said in ended.stderr
    assert KEY not in ended.stderr


NOTEBOOK = """
import dlt
from dashly import dashly

pipeline = dlt.pipeline("notebook", destination=dlt.destinations.duckdb("notebook.duckdb"), dataset_name="dashly")
source = dashly(base_url={base_url!r}, rate_limit="1000000/60", {arguments}).with_resources({resources})
print(source, pipeline.run(source, loader_file_format="parquet"))
print(pipeline.last_trace.asstr(verbosity=2), pipeline.last_trace.asdict())
print("hash", pipeline.dataset()("select email from users where email is not null limit 1").fetchall()[0][0])
"""


@pytest.mark.soak
@pytest.mark.parametrize("way", ["arguments", "DASHLY_MASK_KEY", "SOURCES__DASHLY__MASK_KEY"])
def test_a_notebook_masks_the_same(way: str, app: Callable[..., App], shell: Shell) -> None:
    served = app(**SMALL)
    shell.environ |= served.environ | {"RUNTIME__LOG_LEVEL": "DEBUG", "RUNTIME__DLTHUB_TELEMETRY": "false"}
    arguments = f'mask="pii", mask_key={KEY!r}'
    if way != "arguments":
        arguments, shell.environ[way] = "", KEY
        shell.environ[way.removesuffix("_KEY")] = "pii"

    resources = ", ".join(map(repr, RESOURCES))
    ended = shell.python(NOTEBOOK.format(base_url=served.server.base_url, arguments=arguments, resources=resources))

    assert 0 == ended.exit, ended.stderr
    emails = personal(served.simulator)["email"]
    hashes = {hmac.new(KEY.encode(), email.encode(), hashlib.sha256).hexdigest()[:32] for email in emails}
    assert ended.last_line.removeprefix("hash ") in hashes
    assert [] == leaks(served.simulator, [shell.folder, shell.home], ended)
