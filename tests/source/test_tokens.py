"""Where a token may be: in a file that others cannot read, or in the keyring; in one place only, and never shown."""

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import keyring
import keyring.backend
import pytest
from keyring.errors import KeyringLocked

from dashly.errors import SettingsError
from dashly.tokens import find_key, find_token

TOKEN = "app.1.s3cret-of-a-file"


class Drawer(keyring.backend.KeyringBackend):
    """A keyring of one entry; locked for the service `locked`."""

    priority = 1.0  # type: ignore[assignment]

    def get_password(self, service: str, username: str) -> str | None:
        if service == "locked":
            raise KeyringLocked("nobody is there to unlock it")
        return TOKEN if (service, username) == ("dashly/sync", "shop") else None

    def set_password(self, service: str, username: str, password: str) -> None:
        raise NotImplementedError


@pytest.fixture
def drawer() -> Iterator[None]:
    before = keyring.get_keyring()
    keyring.set_keyring(Drawer())
    yield
    keyring.set_keyring(before)


def written(path: Path, content: bytes, mode: int = 0o600) -> str:
    path.write_bytes(content)
    path.chmod(mode)
    return str(path)


def test_the_token_in_a_file_is_read_without_the_line_end(tmp_path: Path) -> None:
    file = written(tmp_path / "token", f" {TOKEN}\r\n".encode())

    assert TOKEN == find_token("", file, "")
    assert TOKEN == find_key("", file)
    assert ("", TOKEN) == (find_token("", "", ""), find_token(TOKEN, "", ""))


def test_a_group_may_read_it_and_a_pipe_of_the_shell_will_do(tmp_path: Path) -> None:
    """As systemd hands a credential to a service, and `DASHLY_AUTH_TOKEN_FILE=<(pass dashly)` does."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o666)
    pipe.chmod(0o666)
    writer = threading.Thread(target=pipe.write_text, args=[TOKEN])
    writer.start()

    assert TOKEN == find_token("", written(tmp_path / "token", TOKEN.encode(), 0o440), "")
    assert TOKEN == find_token("", str(pipe), "")
    writer.join()


@pytest.mark.parametrize(
    ("content", "mode", "message"),
    [
        (TOKEN.encode(), 0o644, r"can be read by everybody on this machine\. Keep them out: chmod 600 /"),
        (b" \n", 0o600, r"token is empty\. Write the secret into it"),
        (TOKEN.encode() + b"\nother", 0o600, r"holds more than one word\. Write the token"),
        (b"\xff\xfe" + TOKEN.encode("utf-16-le"), 0o600, "holds no text"),
    ],
)
def test_a_file_that_cannot_be_right_is_refused_without_showing_it(
    tmp_path: Path, content: bytes, mode: int, message: str
) -> None:
    with pytest.raises(SettingsError, match=f"auth_token_file: .*{message}") as refused:
        find_token("", written(tmp_path / "token", content, mode), "")

    assert "s3cret" not in repr(refused.value)
    assert refused.value.__cause__ is None


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"auth_token_file: .*/none cannot be read \(No such file"):
        find_token("", str(tmp_path / "none"), "")
    with pytest.raises(SettingsError, match=r"mask_key_file: .* cannot be read \(Is a directory"):
        find_key("", str(tmp_path))


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ((TOKEN, "/token", ""), "auth_token and auth_token_file"),
        (("", "/token", "a/b"), "auth_token_file and auth_token_keyring"),
        ((TOKEN, "/token", "a/b"), "auth_token and auth_token_file and auth_token_keyring"),
    ],
)
def test_two_places_are_refused_as_nobody_would_know_which_counts(given: tuple[str, str, str], named: str) -> None:
    with pytest.raises(SettingsError, match=rf"^{named} are both given\. .*unset DASHLY_AUTH_TOKEN") as refused:
        find_token(*given)

    assert TOKEN not in repr(refused.value)


@pytest.mark.usefixtures("drawer")
def test_the_keyring_is_asked_for_service_and_user() -> None:
    assert TOKEN == find_token("", "", "dashly/sync/shop")
    with pytest.raises(SettingsError, match=r"holds nothing for blog of dashly\. .* keyring set dashly blog"):
        find_token("", "", "dashly/blog")
    with pytest.raises(SettingsError, match=r"cannot be asked \(nobody is there to unlock it\)\. .*AUTH_TOKEN_FILE"):
        find_token("", "", "locked/shop")
    with pytest.raises(SettingsError, match="Write SERVICE/USER"):
        find_token("", "", "dashly")


def test_without_the_package_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(
        SettingsError, match=r"needs the package keyring\. Install it: pip install 'dashly-sync\[keyring\]"
    ):
        find_token("", "", "dashly/shop")
