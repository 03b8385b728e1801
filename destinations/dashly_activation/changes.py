"""What of a row has to be sent, held against what the ledger knows of it. Pure."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dashly_activation.rows import REPEATABLE, Kind, Request, canonical
from dashly_state.push_ledger import Entry, Status

Content = dict[str, Any]


class Change(enum.StrEnum):
    """What is to be done about a row."""

    SEND = "send"
    NOTHING = "unchanged"
    SETTLE = "settle"
    """Nothing has to be sent any more; the ledger does not know yet."""
    REFUSED = "refused"
    """It is as it was when the API refused it."""
    UNCERTAIN = "uncertain"
    """It may have taken effect, and twice would be wrong."""
    CONFLICT = "conflict"
    """Another row has the same key and wants something else."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done, and what is to be sent."""

    change: Change
    content: Content = field(default_factory=dict)


def decide(kind: Kind, entry: Entry | None, request: Request) -> Decision:
    """Returns what has to be sent.

    Properties are compared one by one with what was acknowledged. What may have taken effect is sent again when twice
    is as good as once (`update_or_create`, `set_once`, `union`, `exclude`, `delete`), and held back otherwise. An event
    or a message that was acknowledged is done, whatever became of its row.
    """
    if entry is None:
        return Decision(Change.SEND if request.content else Change.NOTHING, request.content)
    if entry.digest == request.digest and entry.status in (Status.REFUSED, Status.ACKNOWLEDGED):
        return Decision(Change.REFUSED if entry.status == Status.REFUSED else Change.NOTHING)
    if kind != "props":
        change = {Status.REFUSED: Change.SEND, Status.ACKNOWLEDGED: Change.NOTHING}.get(entry.status, Change.UNCERTAIN)
        return Decision(change, request.content)
    return _left_of(entry, request)


def _left_of(entry: Entry, request: Request) -> Decision:
    sent, doubts = sent_of(entry), doubts_of(entry)
    left, held_back = {}, False
    for key, operation in request.content.items():
        if key in doubts and operation[0] not in REPEATABLE:
            held_back = True
        elif key in doubts or sent.get(key) != operation:
            left[key] = operation
    if left:
        return Decision(Change.SEND, left)
    return Decision(Change.UNCERTAIN if held_back or doubts else Change.SETTLE)


def sent_of(entry: Entry | None) -> Content:
    """Returns the properties that were acknowledged: operation and value by key."""
    return json.loads(entry.sent) if entry is not None and entry.sent else {}


def open_of(entry: Entry) -> Content:
    """Returns the content of what is under way, in doubt or refused."""
    return Request.from_json(entry.key, entry.open).content if entry.open else {}


def doubts_of(entry: Entry | None) -> Content:
    """Returns the properties of which nobody knows whether they arrived."""
    if entry is None:
        return {}
    earlier: Content = json.loads(entry.doubt) if entry.doubt else {}
    return {**earlier, **open_of(entry)} if entry.status == Status.UNCERTAIN else earlier


def request_of(entry: Entry, kind: Kind) -> Request:
    """Returns what a retry sends: all that is open of the row."""
    if kind != "props":
        return Request.from_json(entry.key, entry.open or "")
    return Request.of_props(entry.key, doubts_of(entry) if entry.status == Status.UNCERTAIN else open_of(entry))


def accepted(entry: Entry, kind: Kind, at: float) -> Entry:
    """Returns the entry of an uncertain row that is taken to have arrived."""
    sent = canonical({**sent_of(entry), **doubts_of(entry)}) if kind == "props" else entry.sent
    return Entry(entry.key, Status.ACKNOWLEDGED, sent=sent, at=at)


def under_way(entry: Entry, request: Request, call: Mapping[str, Any], at: float) -> Entry:
    """Returns the entry while a call is under way; what was in doubt of other keys stays so."""
    doubts = {key: operation for key, operation in doubts_of(entry).items() if key not in call}
    return replace(
        entry,
        status=Status.SENDING,
        digest="",
        open=request.to_json(call),
        doubt=canonical(doubts) if doubts else None,
        attempts=entry.attempts + 1,
        at=at,
    )
