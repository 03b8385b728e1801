"""Where the state lies on this machine."""

import os
import re
import tempfile
from hashlib import sha256
from pathlib import Path

from platformdirs import user_state_path

from .disk import disk_full, is_full
from .errors import StateDirectoryError, StateDiskFull
from .privacy import close_to_others

PRIVATE = 0o700


class StateDirectory:
    """A folder for the request budget, page journals, push ledgers, locks and dlt's working directories.

    It is made with mode 0700, and so are parents that are missing. A folder of ours that others could look into, and
    what lies in it, is closed to them; one that holds something else is refused.

    Args:
        root: The folder; `~` is the home. By default the platform's: `~/.local/state/dashly-sync` on Linux,
            `~/Library/Application Support/dashly-sync` on macOS.

    Raises:
        StateDirectoryError: It is no folder, belongs to somebody else, is open to others and not ours to close, or
            nothing can be written there.
        StateDiskFull: Its disk is full.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = state_root(root)
        try:
            _make_private(self.root)
            with tempfile.TemporaryFile(dir=self.root):  # the one test that a read-only disk, root and ACLs all pass
                pass
            close_to_others(self.root)
        except OSError as error:
            if is_full(error):
                raise StateDiskFull(*disk_full(self.root, error)) from error
            raise StateDirectoryError(
                f"the state directory {self.root} cannot be used ({error.strerror or error})",
                "Choose a folder that is yours to write with --state-dir or DASHLY_STATE_DIR, on a disk with space",
            ) from error

    @property
    def budget_path(self) -> Path:
        """Return the file of the request budget: one for all tokens."""
        return self.root / "budget.sqlite"

    @property
    def pipelines_path(self) -> Path:
        """Return the folder for dlt's working directories, which dlt makes."""
        return self.root / "pipelines"

    def journal_path(self, name: str, masks: str = "") -> Path:
        """Return the file of the page journal of `name`, such as an app id and a base URL.

        Args:
            name: Whose pages they are.
            masks: The fingerprint of what masks them; empty for nothing.
        """
        return self.root / f"journal-{safe_name(name)}{f'.mask-{masks}' if masks else ''}.sqlite"

    def remove_other_journals(self, name: str, masks: str = "") -> None:
        """Remove the journals of `name` under other masks, damaged ones too: they hold what may no longer be kept."""
        kept = self.journal_path(name, masks).name
        for file in self.root.glob(f"journal-{safe_name(name)}.*"):
            if not file.name.startswith(kept):
                file.unlink(missing_ok=True)

    def push_ledger_path(self, name: str) -> Path:
        """Return the file that knows what was sent to the app `name`."""
        return self.root / f"push-{safe_name(name)}.sqlite"

    def lock_path(self, name: str) -> Path:
        """Return the file of the run lock of `name`."""
        return self.root / f"run-{safe_name(name)}.lock"

    def is_private(self) -> bool:
        """Return whether nobody but this user (and root) can read what lies here."""
        stat = self.root.stat()
        return stat.st_uid == os.getuid() and not stat.st_mode & 0o077


def state_root(root: Path | None = None) -> Path:
    """Return where the state directory is, or would be; nothing is made.

    Raises:
        StateDirectoryError: It would be in a home, and there is none.
    """
    return _absolute(root or user_state_path("dashly-sync"))


def safe_name(name: str) -> str:
    """Return a file name for any text: what is legible of it, and enough of a hash to keep two apart.

    Examples:
        >>> safe_name("$self_app https://api.dashly.app/v1")
        'self-app-https-api-dashly-app-v1-5464094636'
    """
    legible = re.sub(r"[^a-z0-9]+", "-", name.lower(), flags=re.ASCII)[:40].strip("-")
    fingerprint = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    return f"{legible}-{fingerprint}".lstrip("-")


def _absolute(path: Path) -> Path:
    try:
        return Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 - resolve() would follow symlinks
    except RuntimeError as error:
        raise StateDirectoryError(
            f"the state directory {path} has no home to be in", "Set HOME, or --state-dir to an absolute path"
        ) from error


def _make_private(path: Path) -> None:
    """Make the folder and what is missing above it, each with mode 0700 whatever the umask says."""
    if path.is_dir():
        return
    _make_private(path.parent)
    try:
        path.mkdir(mode=PRIVATE)
    except FileExistsError:
        if not path.is_dir():
            raise NotADirectoryError(20, "a file lies there, not a folder") from None
    else:
        path.chmod(PRIVATE)
