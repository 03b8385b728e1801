"""Where the state lies, and who can read it."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashly_state.directory import StateDirectory, safe_name
from dashly_state.errors import StateDirectoryError


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def open_umask() -> Iterator[None]:
    """Let files be readable by everyone unless the program says otherwise."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_umask")
def test_a_new_directory_is_private_and_so_are_its_new_parents(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path / "a" / "b")

    assert directory.is_private()
    assert [mode(tmp_path / "a"), mode(tmp_path / "a" / "b")] == [0o700, 0o700]
    assert not list(directory.root.iterdir())


def test_a_directory_is_private_whatever_a_strict_umask_says(tmp_path: Path) -> None:
    before = os.umask(0o777)
    try:
        StateDirectory(tmp_path / "a")
    finally:
        os.umask(before)

    assert mode(tmp_path / "a") == 0o700


def test_the_default_is_the_platforms(isolated_home: Path) -> None:
    assert StateDirectory().root.is_relative_to(isolated_home)
    assert StateDirectory().root.name == "dashly-sync"


def test_a_tilde_is_the_home(isolated_home: Path) -> None:
    assert isolated_home / "here" == StateDirectory(Path("~/here")).root


def test_a_relative_directory_stays_the_same_when_the_program_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    directory = StateDirectory(Path("state"))
    monkeypatch.chdir("/")

    assert tmp_path / "state" / "budget.sqlite" == directory.budget_path


def test_a_file_in_its_place_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(StateDirectoryError, match=r"state cannot be used \(.*folder\)\. Choose .* --state-dir"):
        StateDirectory(tmp_path / "state")

    with pytest.raises(StateDirectoryError):
        StateDirectory(tmp_path / "state" / "below")


def test_a_directory_that_cannot_be_written_is_refused() -> None:
    """/proc cannot be written by root either."""
    root = Path("/proc/self") if Path("/proc/self").exists() else Path("/dev/fd")
    with pytest.raises(StateDirectoryError, match=r"cannot be used .* --state-dir or DASHLY_STATE_DIR"):
        StateDirectory(root)


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_directory_without_permission_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "state"
    root.mkdir(mode=0o500)
    with pytest.raises(StateDirectoryError, match="Permission denied"):
        StateDirectory(root)


def test_everything_lies_below_the_directory_in_files_of_its_own(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path)
    names = ["$self_app https://api.dashly.app/v1", "$self_app https://api.carrotquest.io/v1", "1", "../../etc/passwd"]
    paths = [directory.budget_path, directory.pipelines_path]
    paths += [directory.journal_path(name) for name in names] + [directory.lock_path(name) for name in names]

    assert len(set(paths)) == len(paths)
    assert {tmp_path} == {path.parent for path in paths}


def test_only_journals_under_other_masks_are_removed(tmp_path: Path) -> None:
    """With all that lies beside them; neither those of another app, nor other files."""
    directory, other = StateDirectory(tmp_path / "state"), "0f" * 8
    kept = directory.journal_path("1", "ab" * 8)
    gone = [directory.journal_path("1"), directory.journal_path("1", other)]
    stay = [kept, kept.with_name(f"{kept.name}-wal"), directory.journal_path("10"), directory.lock_path("1")]
    gone += [path.with_name(f"{path.name}{suffix}") for path in gone for suffix in ("-wal", ".corrupt", ".opening")]
    for path in (*gone, *stay):
        path.touch()

    directory.remove_other_journals("1", "ab" * 8)

    assert sorted(stay) == sorted(directory.root.iterdir())


@settings(max_examples=40)
@given(st.text(max_size=100), st.text(max_size=100))
def test_names_are_safe_and_differ_where_their_texts_do(one: str, other: str) -> None:
    assert set(safe_name(one)) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert 10 <= len(safe_name(one)) <= 51
    assert not safe_name(one).startswith("-")
    assert (one == other) == (safe_name(one) == safe_name(other))


def test_names_that_differ_in_letters_that_are_left_out_differ() -> None:
    assert safe_name("План") != safe_name("план")
    assert safe_name("App") != safe_name("app")
    assert safe_name("\ud800")
