"""The promise: a page that was put is there after any death, and the journal never stops a sync by what it holds."""

import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashly_state.errors import JournalError, StateError
from dashly_state.journal import JournalPage, PageJournal

BODY = b'{"meta": {"next_after": 1447339319.900966}, "data": []}'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    return folder / "journal.sqlite"


@pytest.fixture
def open_journal(path: Path) -> Iterator[Callable[[], PageJournal]]:
    """Return a function that opens the journal, and closes all in the end."""
    opened: list[PageJournal] = []

    def open_one() -> PageJournal:
        opened.append(PageJournal(path))
        return opened[-1]

    yield open_one
    for journal in opened:
        journal.close()


Opener = Callable[[], PageJournal]


def test_a_page_comes_back_as_it_was_put(open_journal: Opener) -> None:
    journal = open_journal()
    journal.put(7, "conversations after=12.50", BODY, 1_767_225_600.25)

    assert JournalPage("conversations after=12.50", 1_767_225_600.25, BODY) == journal.get(
        7, "conversations after=12.50"
    )
    assert journal.has_pages(7)
    assert journal.count(7) == 1


def test_a_page_that_was_not_put_is_not_there(open_journal: Opener) -> None:
    journal = open_journal()
    journal.put(7, "users", BODY, 1.0)

    assert journal.get(7, "users after=1") is None
    assert journal.get(8, "users") is None
    assert not journal.has_pages(8)


def test_a_page_put_again_is_the_newer_one(open_journal: Opener) -> None:
    journal = open_journal()
    journal.put(1, "users", b"old", 1.0)
    journal.put(1, "users", b"new", 2.0)

    assert JournalPage("users", 2.0, b"new") == journal.get(1, "users")
    assert journal.count(1) == 1


@settings(max_examples=30, deadline=None)
@given(key=st.text(st.characters(exclude_categories=["Cs"])), body=st.binary(max_size=3000))
def test_any_key_and_any_bytes_come_back(tmp_path_factory: pytest.TempPathFactory, key: str, body: bytes) -> None:
    with PageJournal(tmp_path_factory.mktemp("journal") / "journal.sqlite") as journal:
        journal.put(1, key, body, 1.0)

        assert JournalPage(key, 1.0, body) == journal.get(1, key)


def test_pages_are_there_for_the_next_run(open_journal: Opener) -> None:
    first = open_journal()
    first.put(1, "users", BODY, 1.0)
    first.close()
    second = open_journal()

    assert second.get(1, "users") is not None
    assert second.discarded is None


def test_pages_of_other_slices_are_forgotten(open_journal: Opener) -> None:
    journal = open_journal()
    for slice_id in (1, 2, 3):
        journal.put(slice_id, "users", BODY, 1.0)
    journal.keep_only(2)

    assert [journal.count(slice_id) for slice_id in (1, 2, 3)] == [0, 1, 0]


def test_the_file_gets_small_again_after_a_large_slice(open_journal: Opener, path: Path) -> None:
    journal = open_journal()
    chance = random.Random(1)
    for number in range(120):
        journal.put(1, f"users {number}", chance.randbytes(50_000), 1.0)
    large = size(path)
    journal.keep_only(2)

    assert large > 6_000_000
    assert size(path) < 200_000


def test_the_file_does_not_grow_from_slice_to_slice(open_journal: Opener, path: Path) -> None:
    journal = open_journal()
    chance = random.Random(1)
    for slice_id in range(20):
        for number in range(20):
            journal.put(slice_id, f"users {number}", chance.randbytes(10_000), 1.0)
        journal.keep_only(slice_id + 1)

    assert size(path) < 2_000_000


def size(path: Path) -> int:
    """Return the bytes of the journal and its log."""
    return sum(file.stat().st_size for file in path.parent.iterdir())


def test_a_page_survives_a_kill_right_after_it_was_put(open_journal: Opener, path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from dashly_state.journal import PageJournal\n"
        "journal = PageJournal(Path(sys.argv[1])); number = 0\n"
        "while True:\n"
        "    journal.put(1, str(number), b'page' * 9000, 1.0); number += 1\n"
        "    print(number, flush=True)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    while child.stdout.readline() != "25\n":
        pass
    child.send_signal(signal.SIGKILL)
    put = [25, *map(int, child.communicate()[0].split())][-1]
    journal = open_journal()

    assert journal.count(1) in (put, put + 1), "one more may have been put and not been told"
    assert JournalPage(str(put - 1), 1.0, b"page" * 9000) == journal.get(1, str(put - 1))
    assert journal.discarded is None


def test_only_the_owner_can_read_the_files(open_journal: Opener, path: Path) -> None:
    open_journal().put(1, "users", BODY, 1.0)
    modes = {stat.filemode(file.stat().st_mode) for file in path.parent.iterdir()}

    assert modes == {"-rw-------"}


def test_a_second_reader_sees_what_the_first_has_put(open_journal: Opener) -> None:
    writer, reader = open_journal(), open_journal()
    writer.put(1, "users", BODY, 1.0)

    assert reader.get(1, "users") is not None
    writer.keep_only(2)
    assert reader.get(1, "users") is None


def test_threads_share_one_journal(open_journal: Opener) -> None:
    journal = open_journal()

    def put_some(thread: int) -> None:
        for number in range(20):
            journal.put(1, f"{thread} {number}", BODY, 1.0)

    threads = [threading.Thread(target=put_some, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert journal.count(1) == 80


@pytest.mark.parametrize(
    ("contents", "reason"),
    [(b"no database" * 500, "it cannot be read as a database"), (b"", "it has schema version 0")],
)
def test_a_file_that_is_no_journal_is_moved_aside(
    open_journal: Opener, path: Path, contents: bytes, reason: str
) -> None:
    path.write_bytes(contents)
    path.with_name("journal.sqlite-wal").write_bytes(b"old log")
    journal = open_journal()
    journal.put(1, "users", BODY, 1.0)

    assert (journal.discarded or "").startswith(reason)
    assert journal.count(1) == 1
    assert contents == path.with_name("journal.sqlite.corrupt").read_bytes()


@pytest.mark.parametrize("version", [0, 2, 99])
def test_a_journal_of_another_version_is_moved_aside(open_journal: Opener, path: Path, version: int) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"CREATE TABLE pages (other TEXT); PRAGMA user_version = {version}")
    journal = open_journal()

    assert journal.discarded == f"it has schema version {version}, this program reads 1"
    assert not journal.has_pages(1)


@pytest.mark.parametrize("seed", range(8))
def test_a_journal_with_garbage_in_it_stops_nothing(open_journal: Opener, path: Path, seed: int) -> None:
    """Wherever the garbage is, opening, reading and writing go on, and a page is right or not there."""
    chance = random.Random(seed)
    bodies = {f"users {number}": chance.randbytes(4000) for number in range(30)}
    first = open_journal()
    for key, body in bodies.items():
        first.put(1, key, body, 1.0)
    first.close()
    contents = bytearray(path.read_bytes())
    for _ in range(3):
        start = chance.randrange(100, len(contents) - 2000)
        contents[start : start + 2000] = chance.randbytes(2000)
    path.write_bytes(contents)
    journal = open_journal()

    for key, body in bodies.items():
        page = journal.get(1, key)
        assert page is None or page.body == body
    journal.put(2, "users", BODY, 1.0)
    journal.keep_only(2)
    assert journal.count(2) == 1


def test_a_journal_that_is_damaged_while_in_use_starts_empty(open_journal: Opener, path: Path) -> None:
    first = open_journal()
    first.put(1, "users", BODY, 1.0)
    first.close()
    journal = open_journal()
    with path.open("r+b") as file:
        file.seek(100)
        file.write(os.urandom(path.stat().st_size - 100))

    assert journal.get(1, "users") is None
    journal.put(1, "users", BODY, 1.0)
    assert journal.count(1) == 1
    assert journal.discarded


def test_a_full_disk_names_the_file_and_the_mend(path: Path) -> None:
    """The child may write files of 300 KB at most: what a full disk looks like to a program."""
    script = (
        "import os, resource, sys; from pathlib import Path\n"
        "from dashly_state.errors import JournalError; from dashly_state.journal import PageJournal\n"
        "journal = PageJournal(Path(sys.argv[1])); journal.put(1, 'first', b'', 1.0)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))\n"
        "try:\n"
        "    for number in range(40): journal.put(1, str(number), os.urandom(50_000), 1.0)\n"
        "except JournalError as error: print(error)\n"
        "print(journal.get(1, 'first') is not None)\n"
        "os._exit(0)"
    )
    said = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True).stdout

    assert said.startswith(f"{path} cannot be written: ")
    assert "files of 300 kB at most (ulimit -f). Nothing is lost: " in said
    assert "Make room on this disk" in said
    assert said.endswith("\nTrue\n"), "what was put before is still there"


def test_a_journal_that_cannot_be_opened_says_what_to_do(path: Path) -> None:
    path.mkdir()
    with pytest.raises(JournalError, match=r"cannot be used .*\. Nothing is lost: .* --state-dir\.$") as raised:
        PageJournal(path)

    assert isinstance(raised.value, StateError)
