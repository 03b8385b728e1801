"""Where a secret may be besides a setting: in a file, or in the keyring of the desktop."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from dashly.errors import SettingsError

_MOST_BYTES = 65536
"""No secret is as long; a file that is was not meant."""


def find_token(token: str, file: str, keyring: str, where: str = "") -> str:
    """Returns the API token from the one of three places that is given; empty when none is.

    Args:
        token: The token itself.
        file: A file that holds it.
        keyring: `SERVICE/USER`, as in `keyring set SERVICE USER`.
        where: What the settings belong to, for the message, such as `[sources.dashly.apps.shop] `.

    Raises:
        SettingsError: More than one is given, or there is no token where it should be. Neither shows a token.
    """
    given = {"auth_token": token, "auth_token_file": file, "auth_token_keyring": keyring}
    _only_one(given, where)
    if file:
        token = read_secret(Path(file), "auth_token_file")
        if len(token.split()) > 1:
            raise SettingsError(
                f"auth_token_file: {file} holds more than one word", "Write the token into it, and nothing else"
            )
    return _from_keyring(keyring) if keyring else token


def find_key(key: str, file: str) -> str:
    """Returns the mask key, from its file when that is given; empty when there is none."""
    _only_one({"mask_key": key, "mask_key_file": file}, "")
    return read_secret(Path(file), "mask_key_file") if file else key


def read_secret(path: Path, setting: str) -> str:
    """Returns what the file holds, without blanks around it.

    Args:
        path: A file, or a pipe of the shell; `~` is the home.
        setting: Who names it, for the message.

    Raises:
        SettingsError: It cannot be read, is empty, or can be read by everybody.
    """
    path = path.expanduser()
    try:
        with path.open("rb") as file:
            status, mount = os.fstat(file.fileno()), os.fstatvfs(file.fileno())
            content = file.read(_MOST_BYTES)
    except OSError as error:
        raise SettingsError(
            f"{setting}: {path} cannot be read ({error.strerror})", "Name a file that holds it and that you may read"
        ) from None
    if is_open(status.st_mode, mount.f_flag):
        raise SettingsError(
            f"{setting}: {path} can be read by everybody on this machine", f"Keep them out: chmod 600 {path}"
        )
    try:
        secret = content.decode().strip()
    except UnicodeDecodeError:
        raise SettingsError(f"{setting}: {path} holds no text", "Write the secret into it, and nothing else") from None
    if not secret:
        raise SettingsError(f"{setting}: {path} is empty", "Write the secret into it, and nothing else")
    return secret


def is_open(mode: int, mount_flags: int) -> bool:
    """Whether everybody may read a file whose rights can be mended.

    Docker and Kubernetes hand secrets over on a mount of the container's own that nobody can write to, with mode 0444.

    Args:
        mode: The file's, as `stat` says it.
        mount_flags: As `statvfs` says them.

    Example:
        >>> is_open(0o100644, 0), is_open(0o100640, 0), is_open(0o100444, os.ST_RDONLY), is_open(0o010666, 0)
        (True, False, False, False)
    """
    return stat.S_ISREG(mode) and bool(mode & stat.S_IROTH) and not mount_flags & os.ST_RDONLY


def _only_one(given: Mapping[str, str], where: str) -> None:
    """Refuses a second secret: which of them counts would depend on what nobody has in mind."""
    named = [setting for setting, value in given.items() if value]
    if len(named) > 1:
        variables = " or ".join(f"DASHLY_{name.upper()}" for name in named)
        of_all = "" if where else f": unset {variables}, or take one out of .dlt/config.toml or .dlt/secrets.toml"
        raise SettingsError(f"{where}{' and '.join(named)} are both given", f"Keep one of them{of_all}")


def _from_keyring(entry: str) -> str:
    service, slash, user = entry.rpartition("/")
    if not (service and slash and user):
        raise SettingsError(
            f"auth_token_keyring: {entry!r} names no entry", "Write SERVICE/USER, as in `keyring set SERVICE USER`"
        )
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        raise SettingsError(
            "auth_token_keyring needs the package keyring", "Install it: pip install 'dashly-sync[keyring]'"
        ) from None
    try:
        token = keyring.get_password(service, user)
    except KeyringError as error:
        raise SettingsError(
            f"auth_token_keyring: the keyring cannot be asked ({error})",
            "Unlock it, or give the token in a file: DASHLY_AUTH_TOKEN_FILE",
        ) from None
    if not token:
        raise SettingsError(
            f"auth_token_keyring: the keyring holds nothing for {user} of {service}",
            f"Put the token there: keyring set {service} {user}",
        )
    return token
