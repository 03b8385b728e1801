"""What `push` says: what it would send, what it sent, what is uncertain and what to do about it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dashly_activation.changes import sent_of
from dashly_activation.plan import Item
from dashly_activation.rows import Kind
from dashly_activation.sender import Tally
from dashly_state.push_ledger import Entry
from dashly_state.waits import Wait, Waits
from dashly_sync.durations import duration_text
from dashly_sync.push_order import PushRecord

_ENDED = {
    "signal": "Stopped by a signal",
    "request limit": "Stopped at the request limit",
    "time limit": "Stopped at the time limit",
    "failed": "Ended by the API",
}
WORTH_TELLING_SECONDS = 5.0


class PushWatch:
    """How far a push is.

    Args:
        waits: Where it says what it waits for.
    """

    def __init__(self, waits: Waits) -> None:
        self._waits = waits
        self.total = 0
        self.tally = Tally()

    @property
    def share_done(self) -> float:
        """From 0 to 1."""
        return self.tally.settled / self.total if self.total else 0.0

    def sentence(self) -> str:
        """Returns how many rows are dealt with, and what is waited for."""
        tally, wait = self.tally, self._wait()
        bad = "".join(f", {count:,} {what}" for what, count in self._bad().items() if count)
        waiting = f"; waiting {wait.cause}, {duration_text(wait.seconds)} so far" if wait else ""
        return f"{tally.sent:,} of {self.total:,} rows sent{bad}{waiting}"

    def numbers(self) -> dict[str, Any]:
        """Returns the same for programs."""
        return {"rows": self.total, "sent": self.tally.sent, "calls": self.tally.calls, **self._bad()}

    def _bad(self) -> dict[str, int]:
        return {"refused": self.tally.refused, "uncertain": self.tally.uncertain}

    def _wait(self) -> Wait | None:
        wait = self._waits.longest()
        return wait if wait is not None and wait.seconds > WORTH_TELLING_SECONDS else None


def would_do(record: PushRecord) -> str:
    """Returns what a push is about to do, in numbers."""
    calls = record.counts.calls if record.to_send == record.counts.to_send else record.to_send
    takes = f", at least {duration_text(record.seconds_needed)}" if record.seconds_needed else ""
    what = {"props": "the properties of", "events": "an event for each of", "messages": "a message for each of"}
    return (
        f"Push {record.name!r} would send {what[record.kind]} {_rows(record.to_send)}: {_some(calls, 'request')}{takes}"
        f"{_beside(record)}."
    )


def closing_sentence(record: PushRecord) -> str:
    """Returns what was done, what was not, and what is left."""
    if record.is_dry:
        return f"{would_do(record)} Nothing was sent."
    begins = _ENDED.get(record.ending, "Done")
    left = f"; left for the next push: {record.left:,}" if record.left > 0 else ""
    refused = f", {record.refused:,} refused" if record.refused else ""
    accepted = f", {_rows(record.accepted)} taken to have arrived" if record.accepted else ""
    return (
        f"{begins}: {_rows(record.sent)} sent in {_some(record.requests, 'request')}, {duration_text(record.seconds)}"
        f"{refused}{accepted}{_beside(record)}{left}."
    )


def hints(record: PushRecord) -> Iterator[str]:
    """Yields what a person should know besides, and what to do about it."""
    yield from record.notices
    for key, count in record.idle.items():
        yield f"{key}: {count:,} times the API did nothing: it is there already, or the operation does not fit it"
    again = f"dashly-sync push {record.kind} --name {record.name!r}"
    if record.uncertain:
        yield (
            f"{_rows(record.uncertain)} may be in Dashly or not (push_dead_letters, status uncertain). Look at some, "
            f"then send them again ({again} --retry uncertain) or take them to be there ({again} --accept-uncertain)"
        )
    if record.is_dry:
        return
    if record.refused or record.counts.refused:
        yield f"why rows were refused is in push_dead_letters; {again} --retry sends them again"
    if record.counts.unsendable:
        yield f"why {_rows(record.counts.unsendable)} cannot be sent is in push_dead_letters; mend the query"


def differences(kind: Kind, item: Item, before: Entry | None) -> Iterator[tuple[str, Any, Any]]:
    """Yields what changes on the user's card: name, what was sent before, and what is sent now."""
    content = item.request.content
    if kind != "props":
        yield from ((name, None, value) for name, value in content.items())
        return
    sent = sent_of(before)
    for key, operation in content.items():
        yield key, _shown(sent.get(key)), _shown(operation)


def difference_line(kind: Kind, item: Item, before: Entry | None) -> str:
    """Returns the same on one line."""
    changes = (
        f"{name}: {new}" if old is None else f"{name}: {old} -> {new}"
        for name, old, new in differences(kind, item, before)
    )
    return f"{item.request.user}  {', '.join(changes)}"


def _shown(operation: list[Any] | None) -> Any:
    """Returns the value that is set, or the operation with its value; None for nothing."""
    if operation is None:
        return None
    name, value = operation
    return value if name == "update_or_create" else name if value is None else f"{name} {value}"


def _beside(record: PushRecord) -> str:
    counts = record.counts
    parts = {
        "unchanged": counts.unchanged,
        "refused before": counts.refused,
        "not sendable": counts.unsendable,
        "uncertain": record.uncertain or counts.uncertain,
    }
    said = "".join(f", {count:,} {what}" for what, count in parts.items() if count)
    return f"; {said.removeprefix(', ')}" if said else ""


def _rows(count: int) -> str:
    return _some(count, "row")


def _some(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
