"""The promise: what a push has written down is there after any death, and nobody is sent anything for want of it."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from dashly_state.errors import PushLedgerError
from dashly_state.push_ledger import Entry, PushLedger, Status

PUSH = "props health"
SENT = Entry("id 1", Status.ACKNOWLEDGED, "d1", sent='{"plan":["update_or_create","pro"]}', at=5.0)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[PushLedger]:
    with PushLedger(tmp_path / "push.sqlite") as opened:
        yield opened


def bad(key: str) -> Entry:
    return Entry(key, Status.UNSENDABLE, open='{"id":null}', reason="the id is NULL", at=7.0)


def test_a_row_comes_back_as_it_was_written_also_to_another_process(ledger: PushLedger) -> None:
    ledger.put(PUSH, SENT)

    with PushLedger(ledger.path) as other:
        assert {"id 1": SENT} == other.known(PUSH, ["id 1", "id 2"])
        assert other.get("another push", "id 1") is None


def test_only_the_owner_can_read_it(ledger: PushLedger) -> None:
    assert 0o600 == stat.S_IMODE(ledger.path.stat().st_mode)


def test_what_a_killed_push_had_under_way_is_uncertain(ledger: PushLedger) -> None:
    ledger.put(PUSH, SENT)
    ledger.put(PUSH, Entry("id 2", Status.SENDING, open="[]", attempts=1, at=6.0))

    assert 1 == ledger.abandon(PUSH, "killed", 9.0)
    (found,) = ledger.with_status(PUSH, Status.UNCERTAIN)
    assert ("id 2", "killed", 1, 9.0) == (found.key, found.reason, found.attempts, found.at)
    assert {Status.ACKNOWLEDGED: 1, Status.UNCERTAIN: 1} == ledger.counts(PUSH)


@pytest.mark.parametrize("before", [None, SENT], ids=["new", "known"])
def test_a_request_that_was_never_sent_leaves_no_trace(ledger: PushLedger, before: Entry | None) -> None:
    if before is not None:
        ledger.put(PUSH, before)
    ledger.put(PUSH, replace(SENT, status=Status.SENDING))

    ledger.take_back(PUSH, SENT.key, before)

    assert before == ledger.get(PUSH, SENT.key)


def test_the_dead_letter_table_is_told_what_changed_and_nothing_twice(ledger: PushLedger) -> None:
    ledger.put(PUSH, SENT)
    ledger.put(PUSH, replace(SENT, key="id 2", status=Status.REFUSED, reason="LookupError"))
    ledger.set_aside(PUSH, "first pass", [bad("row a"), bad("row b")])

    told = ledger.untold(PUSH)
    assert ["id 2", "row a", "row b"] == [entry.key for entry in told]
    ledger.told(PUSH, told)
    assert [] == ledger.untold(PUSH)

    ledger.put(PUSH, replace(SENT, key="id 2"))
    ledger.set_aside(PUSH, "second pass", [bad("row b")])
    ledger.forget_unseen(PUSH, "second pass")
    told = ledger.untold(PUSH)
    assert [("id 2", Status.ACKNOWLEDGED), ("row a", Status.GONE)] == [(entry.key, entry.status) for entry in told]
    ledger.told(PUSH, told)
    assert ([], None) == (ledger.untold(PUSH), ledger.get(PUSH, "row a"))


def test_a_damaged_ledger_is_refused_and_left_where_it_is(tmp_path: Path) -> None:
    """Thrown away like a page journal, it would let everything be sent again."""
    path = tmp_path / "push.sqlite"
    path.write_bytes(b"no database" * 1000)

    with pytest.raises(PushLedgerError, match=r"cannot be read.*put a backup in its place"):
        PushLedger(path)

    assert path.read_bytes().startswith(b"no database")


def test_a_ledger_of_another_version_is_refused_too(ledger: PushLedger) -> None:
    with closing(sqlite3.connect(ledger.path)) as connection:
        connection.execute("PRAGMA user_version = 99")

    with pytest.raises(PushLedgerError, match="schema version 99"):
        PushLedger(ledger.path)
