"""Pages of answers on disk: recorded from the simulator beforehand, played to a run afterwards.

So what is measured is what a run does with an answer, and not how fast a server renders it.
"""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import requests

if TYPE_CHECKING:
    from dashly_simulator import SimulatorSettings

BASE_URL = "http://tape.invalid/v1"
PAGE = "50"


@dataclass(frozen=True, slots=True)
class List:
    """A list of parents and their children, as the API reads them."""

    path: str
    params: Mapping[str, str]
    child_path: str


LISTS = {
    "users": List("/apps/$self_app/users", {}, "/users/{}/events"),
    "conversations": List("/apps/$self_app/conversations", {"include_not_assigned": "true"}, "/conversations/{}/parts"),
}


@dataclass(frozen=True, slots=True)
class Tape:
    """The pages of one list, and where asked for of all its children.

    Attributes:
        lists: Bodies of the list, one a line.
        children: Bodies of the children, one a line.
        index: JSON: which page is where, by request.
        now: When the account is read, unix seconds.
    """

    lists: Path
    children: Path
    index: Path
    now: float


def record(account: SimulatorSettings, name: str, folder: Path, rows: int, *, with_children: bool) -> Tape:
    """Returns a tape of the account's list of that name; costs about a millisecond a page.

    The list ends, as if the account had no more, when there are so many rows: records of the list or, with children,
    children. Only the last parent's children may be a few more.

    Raises:
        ValueError: The account has not so many.
    """
    folder.mkdir(parents=True)
    now, found = account.start_time.timestamp(), LISTS[name]
    tape = Tape(folder / "lists.ndjson", folder / "children.ndjson", folder / "index.json", now)
    with tape.lists.open("wb") as lists, tape.children.open("wb") as children:
        recorder, have = _Recorder(account), 0
        for after, body in recorder.pages(found.path, found.params):
            parents: list[str] = []
            for one in _ids(body):
                if have >= rows:
                    break
                have += recorder.copy(children, found.child_path.format(one)) if with_children else 1
                parents.append(one)
            recorder.write(lists, found.path, after, _cut(body, len(parents)) if have >= rows else body)
            if have >= rows:
                tape.index.write_text(json.dumps(recorder.places))
                return tape
    raise ValueError(f"{account.users} users and {account.conversations} conversations have {have} rows, not {rows}")


class _Recorder:
    """Asks a simulator, and writes answers down."""

    def __init__(self, account: SimulatorSettings) -> None:
        from dashly_simulator import Simulator  # its libraries take memory, and who plays a tape does without

        self._simulator = Simulator(account)
        self.places: dict[str, tuple[str, int, int]] = {}

    def pages(self, path: str, params: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
        """Yields page token and body of all pages, the first one's token empty."""
        asked = {"auth_token": self._simulator.settings.auth_token, "id_as_string": "true", "count": PAGE, **params}
        after = ""
        while True:
            body = self._simulator.answer("GET", f"/v1{path}", asked | ({"after": after} if after else {})).body
            yield after, body
            after = str(json.loads(body, parse_float=str)["meta"]["next_after"] or "")
            if not after:
                return

    def copy(self, file: BinaryIO, path: str) -> int:
        """Writes all pages down and returns how many records they have."""
        have = 0
        for after, body in self.pages(path, {}):
            self.write(file, path, after, body)
            have += len(_ids(body))
        return have

    def write(self, file: BinaryIO, path: str, after: str, body: bytes) -> None:
        """Writes a page down, one a line."""
        self.places[_key(path, after)] = (Path(file.name).name, file.tell(), len(body))
        file.write(body + b"\n")


def _ids(body: bytes) -> list[str]:
    data = json.loads(body)["data"]
    return [one["id"] for one in (data["users"] if isinstance(data, dict) else data)]


def _cut(body: bytes, records: int) -> bytes:
    """Returns the page as the last of its list, with so many records."""
    page = json.loads(body)
    data = page["data"]
    del (data["users"] if isinstance(data, dict) else data)[records:]
    page["meta"]["next_after"] = None
    return json.dumps(page, ensure_ascii=False).encode()


def _key(path: str, after: str) -> str:
    return f"{path}?{after}"


class Player:
    """A session that answers from a tape.

    Attributes:
        cpu_seconds: What that took by itself.
        pages: How many it has answered.
    """

    def __init__(self, tape: Tape) -> None:
        self._places: dict[str, tuple[str, int, int]] = json.loads(tape.index.read_text())
        self._files = {file.name: os.open(file, os.O_RDONLY) for file in (tape.lists, tape.children)}
        self.cpu_seconds, self.pages = 0.0, 0

    def request(
        self,
        method: str,  # noqa: ARG002 - the session's signature
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        **_: Any,
    ) -> requests.Response:
        """Returns the page that was recorded for this request."""
        began = time.thread_time()
        name, offset, length = self._places[_key(url.removeprefix(BASE_URL), (params or {}).get("after", ""))]
        response = requests.Response()
        response.status_code = 200
        response.raw = io.BytesIO(os.pread(self._files[name], length, offset))
        self.pages += 1
        self.cpu_seconds += time.thread_time() - began
        return response
