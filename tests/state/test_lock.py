"""The promise: one run per app at a time, and a dead one is in nobody's way."""

import os
import pickle
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from dashly_state.clock import VirtualClock
from dashly_state.errors import RunLockHeld, StateDirectoryError, StateError
from dashly_state.lock import RunLock

HOLD = (
    "import sys; from pathlib import Path; from dashly_state.lock import RunLock\n"
    "lock = RunLock(Path(sys.argv[1])); lock.acquire({'command': 'dashly-sync run'})\n"
    "print('held', flush=True); input()\n"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    return folder / "run.lock"


def hold_elsewhere(path: Path) -> subprocess.Popen[str]:
    """Return a process that holds the lock until it reads a line."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def refused(path: Path) -> RunLockHeld:
    with pytest.raises(RunLockHeld) as raised:
        RunLock(path).acquire({"command": "mine"})
    return raised.value


def test_the_second_run_is_told_who_has_the_lock_and_what_to_do(path: Path) -> None:
    child = hold_elsewhere(path)
    error = refused(path)
    child.communicate("\n")

    assert error.holder["pid"] == child.pid
    assert error.holder["command"] == "dashly-sync run"
    assert str(error.holder["since"]).endswith("+00:00")
    assert f"another run is at work on this app: pid {child.pid}, since 20" in str(error)
    assert f"Wait until it is done, or stop it with `kill {child.pid}`" in error.mend
    assert isinstance(error, StateError)


def test_the_lock_is_free_after_the_other_run(path: Path) -> None:
    hold_elsewhere(path).communicate("\n")
    with RunLock(path) as lock:
        lock.acquire({"command": "mine"})


def test_the_lock_of_a_killed_run_is_free(path: Path) -> None:
    child = hold_elsewhere(path)
    child.send_signal(signal.SIGKILL)
    child.communicate()

    assert path.with_name("run.lock.holder").exists()
    with RunLock(path) as lock:
        lock.acquire({"command": "mine"})
        assert refused(path).holder["pid"] == os.getpid(), "the file of the dead is written anew"


def test_a_holder_that_is_dead_is_not_named(path: Path) -> None:
    """Between taking the lock and saying so, the file is still the one of the run before."""
    killed = hold_elsewhere(path)
    killed.kill()
    killed.communicate()
    stale = path.with_name("run.lock.holder").read_bytes()
    child = hold_elsewhere(path)
    path.with_name("run.lock.holder").write_bytes(stale)
    error = refused(path)
    child.communicate("\n")

    assert error.holder == {}
    assert str(path) in str(error)


@pytest.mark.parametrize("contents", [b"", b"{", b"[1]", b"7", b'{"process": 7}', b'{"process": "x"}', b"\xff"])
def test_a_holder_file_that_cannot_be_read_is_no_obstacle(path: Path, contents: bytes) -> None:
    child = hold_elsewhere(path)
    path.with_name("run.lock.holder").write_bytes(contents)
    error = refused(path)
    child.communicate("\n")

    assert error.holder == {}


def test_the_lock_is_one_also_within_a_process(path: Path) -> None:
    with RunLock(path, VirtualClock(start=0.0)) as lock:
        lock.acquire({"command": "first"})

        assert refused(path).holder == {"command": "first", "pid": os.getpid(), "since": "1970-01-01T00:00:00+00:00"}
        with pytest.raises(RunLockHeld):
            lock.acquire({"command": "again"})
    with RunLock(path) as other:
        other.acquire({})


def test_releasing_twice_or_for_nothing_does_no_harm(path: Path) -> None:
    lock = RunLock(path)
    lock.release()
    lock.acquire({})
    lock.release()
    lock.release()
    child = hold_elsewhere(path)
    lock.release()
    refused(path)
    child.communicate("\n")


def test_what_a_run_says_of_itself_goes_with_it(path: Path) -> None:
    with RunLock(path) as lock:
        lock.acquire({"command": "x"})
        modes = {stat.filemode(file.stat().st_mode) for file in path.parent.iterdir()}

    assert modes == {"-rw-------"}
    assert [path] == list(path.parent.iterdir())


def test_a_lock_that_cannot_be_made_says_what_to_do(path: Path) -> None:
    path.mkdir()
    with pytest.raises(StateDirectoryError, match=r"cannot be made .* yours to write\.$"):
        RunLock(path).acquire({})


def test_the_errors_survive_a_trip_between_processes() -> None:
    error = StateDirectoryError("it rains", "Take an umbrella")

    assert str(error) == "it rains. Take an umbrella."
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301 - our own bytes
    assert str(pickle.loads(pickle.dumps(RunLockHeld("held", "Wait", {"pid": 1})))) == "held. Wait."  # noqa: S301
