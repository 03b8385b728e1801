"""Nobody but its owner reads what lies in the state directory, and nothing that is not ours is closed to anybody."""

import os
import stat
from pathlib import Path

import pytest

from dashly_state.directory import StateDirectory
from dashly_state.errors import StateDirectoryError
from dashly_state.privacy import private_files

PLACE = "pipelines/0123456789abcdef"
OURS = ("budget.sqlite", "budget.sqlite-wal", "journal-1.sqlite", "run-1.lock.holder", f"{PLACE}/dashly/state.json")
NOT_OURS = ("notes.txt", ".ssh/config", "pipelines/mine/state.json")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def fill(root: Path, *names: str) -> None:
    """Makes these files, for everybody to read and write."""
    root.mkdir()
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    for path in (root, *root.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)


def test_a_directory_of_an_older_version_is_closed_with_all_that_is_ours(tmp_path: Path) -> None:
    """Whoever keeps other things in it keeps them as they are."""
    root = tmp_path / "state"
    fill(root, *OURS, *NOT_OURS)

    directory = StateDirectory(root)

    assert directory.is_private()
    assert {0o600} == {mode(root / name) for name in OURS}
    assert {0o700} == {mode(root / folder) for folder in ("", "pipelines", PLACE, f"{PLACE}/dashly")}
    assert {0o666} == {mode(root / name) for name in NOT_OURS}


def test_an_empty_directory_is_closed(tmp_path: Path) -> None:
    root = tmp_path / "state"
    fill(root)

    StateDirectory(root)

    assert 0o700 == mode(root)


def test_a_directory_of_other_things_is_refused_with_the_mend(tmp_path: Path) -> None:
    """A home or /tmp that is suddenly closed would be worse than a run that does not begin."""
    root = tmp_path / "folder"
    fill(root, *NOT_OURS)

    with pytest.raises(
        StateDirectoryError, match=r"holds other things .* --state-dir (?s:.*)/folder/dashly-sync, or .* chmod 700"
    ):
        StateDirectory(root)

    assert 0o777 == mode(root)
    root.chmod(0o700)
    StateDirectory(root)


def test_a_link_in_it_leads_to_nothing_that_changes(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "state", tmp_path / "elsewhere"
    fill(root, "budget.sqlite")
    fill(elsewhere, "file")
    (root / "run-1.lock").symlink_to(elsewhere / "file")
    (root / PLACE).parent.mkdir()
    (root / PLACE).symlink_to(elsewhere)

    StateDirectory(root)

    assert (0o777, 0o666) == (mode(elsewhere), mode(elsewhere / "file"))


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give things away")
def test_what_belongs_to_another_user_is_refused_with_the_mend(tmp_path: Path) -> None:
    """As after one run with sudo; here it is root that finds another one's."""
    root = tmp_path / "state"
    fill(root, "budget.sqlite")
    os.chown(root, 12345, -1)
    with pytest.raises(
        StateDirectoryError, match=r"belongs to another user \(uid 12345, this is 0\)\. Run as that user"
    ):
        StateDirectory(root)


def test_files_in_the_block_are_private_and_the_umask_comes_back(tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        with private_files() as umask:
            (tmp_path / "inside").touch()
        (tmp_path / "outside").touch()
    finally:
        os.umask(before)

    assert 0o002 == umask
    assert (0o600, 0o664) == (mode(tmp_path / "inside"), mode(tmp_path / "outside"))
