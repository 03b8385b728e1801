"""What of a user's settings a schedule may show, and the names of what belongs into the secret place beside it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dashly_sync.settings import DEFAULT_DESTINATION, OWN_TO_AN_APP, SETTINGS, UsageError

PATHS = ("state_dir", "snapshot", "metrics_file", "auth_token_file", "mask_key_file")
"""Settings that are a path of this machine."""
TOKEN_ELSEWHERE = ("auth_token_file", "auth_token_keyring")
"""Settings that say where the token is, so that no variable has to hold it."""
ONLY_HERE = (*TOKEN_ELSEWHERE, "mask_key_file", "metrics_file")
"""Settings that name what another machine does not have."""
_DUCKDB = "duckdb:///"
_LOGIN = re.compile(r"://[^@\s]*:[^@\s]+@|password=", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Shown:
    """Settings as an artefact shows them.

    Attributes:
        environ: `DASHLY_*` variables that anybody may read. The environment, not flags: an app's own table in dlt's
            configuration comes before it.
        secrets: The names of the variables that belong into the secret place.
    """

    environ: dict[str, str]
    secrets: tuple[str, ...]

    @property
    def files(self) -> tuple[PurePosixPath, ...]:
        """The warehouse as files: the DuckDB file and its read copy."""
        destination = self.environ.get("DASHLY_DESTINATION", "")
        named = [destination.removeprefix(_DUCKDB)] if destination.startswith(_DUCKDB) else []
        return tuple(PurePosixPath(file) for file in (*named, self.environ.get("DASHLY_SNAPSHOT")) if file)


def shown_here(said: Mapping[str, str], folder: Path, state_dir: Path, *, apps: bool) -> Shown:
    """Returns what runs on this machine need: every path absolute, as a schedule starts them from elsewhere.

    Args:
        said: What is said of each setting, by key; those that have their default may be left out.
        folder: Where the relative paths begin.
        state_dir: Where commands typed by hand keep their locks and their request budget.
        apps: Whether several apps are configured, each with a token of its own.
    """
    pinned = {"destination": DEFAULT_DESTINATION, "state_dir": str(state_dir), **said}
    return _shown(pinned, lambda path: str(folder / Path(path).expanduser()), apps=apps)


def shown_elsewhere(said: Mapping[str, str], place: str, *, apps: bool) -> Shown:
    """Returns what runs on another machine need: files keep their names, in the one folder that lasts there.

    Args:
        said: As for `shown_here`.
        place: The folder with its closing slash; empty for the working directory.
        apps: As for `shown_here`.
    """
    kept = {key: value for key, value in said.items() if key not in ONLY_HERE}
    if "mask_key_file" in said:
        kept["mask_key"] = said["mask_key_file"]  # only its name is shown
    pinned = {"destination": DEFAULT_DESTINATION, **kept, "state_dir": "dashly-sync-state"}
    return _shown(pinned, lambda path: place + Path(path).name, apps=apps)


def _shown(said: Mapping[str, str], moved: Callable[[str], str], *, apps: bool) -> Shown:
    token_here = not apps and not any(said.get(key) for key in TOKEN_ELSEWHERE)
    environ, secrets = {}, ["DASHLY_AUTH_TOKEN"] if token_here else []
    for setting in SETTINGS:
        value = said.get(setting.key, "")
        if not value or setting.key == "auth_token" or (apps and setting.key in OWN_TO_AN_APP):
            continue
        if setting.secret or _LOGIN.search(value):
            secrets.append(setting.environment)
        else:
            environ[setting.environment] = _printable(setting.environment, _moved(setting.key, value, moved))
    return Shown(environ, tuple(secrets))


def _moved(key: str, value: str, moved: Callable[[str], str]) -> str:
    if key in PATHS:
        return moved(value)
    if key == "destination" and value.startswith(_DUCKDB):
        return _DUCKDB + moved(value.removeprefix(_DUCKDB))
    return value


def _printable(name: str, value: str) -> str:
    if _CONTROL.search(value):
        raise UsageError(f"{name}: a value with a line break or another control character fits into no schedule")
    return value
