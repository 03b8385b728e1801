"""Sends what a plan says, call by call, and writes down what is under way before and what became of it after.

Killed at any instant, the ledger knows of every row that it was acknowledged, that it was not sent, or that its request
was under way.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from dashly_activation.changes import sent_of, under_way
from dashly_activation.plan import Item
from dashly_activation.rows import Kind, Request, calls, canonical
from dashly_state.clock import Clock, SystemClock
from dashly_state.push_ledger import Entry, PushLedger, Status

MOST_FAILURES = 3
"""So many calls in a row without a usable answer end a push: the API is not well."""


class Outcome(enum.Enum):
    """What became of a call."""

    TAKEN = enum.auto()
    REFUSED = enum.auto()
    """Without any effect, and for this row alone."""
    UNCERTAIN = enum.auto()
    """It may have taken effect."""
    UNREACHED = enum.auto()
    """It never got there."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What the API made of a call.

    Attributes:
        outcome: Whether it took it.
        reason: Why not.
        ignored: Properties of which it took nothing although it took the call.
        error: What stood behind it.
    """

    outcome: Outcome
    reason: str = ""
    ignored: frozenset[str] = frozenset()
    error: Exception | None = None


class Api(Protocol):
    """What sends a call."""

    most_operations: int
    """Of one call."""

    def send(self, kind: Kind, request: Request, content: Mapping[str, Any]) -> Answered:
        """Sends the part of a request that has this content.

        Raises:
            NotSent: It had no effect, nor would anything else that is sent now.
        """
        ...


class NotSent(Exception):
    """A call had no effect, for a reason that concerns all others.

    Attributes:
        cause: The reason.
    """

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


@dataclass
class Tally:
    """What a push has done so far.

    Attributes:
        sent: Rows that were acknowledged.
        calls: Calls that were answered, or may have been.
        refused: Rows that the API refused.
        uncertain: Rows of which nobody knows.
        postponed: Rows that were not sent, as the API was not reached.
        ending: Why it ended before all was sent; empty when all was.
        error: What ended it, if it was an error.
    """

    sent: int = 0
    calls: int = 0
    refused: int = 0
    uncertain: int = 0
    postponed: int = 0
    ending: str = ""
    error: Exception | None = field(default=None, repr=False)

    @property
    def settled(self) -> int:
        """Rows that were dealt with."""
        return self.sent + self.refused + self.uncertain + self.postponed


class Sender:
    """Sends the rows of one push.

    Args:
        kind: What rows become.
        push: The name of the push.
        ledger: Where it is written down.
        api: Sends a call.
        why_stop: Asked before each call; a text ends the push.
        clock: What time it is.
        tally: Where it counts.
    """

    def __init__(
        self,
        kind: Kind,
        push: str,
        ledger: PushLedger,
        api: Api,
        why_stop: Callable[[], str] = lambda: "",
        clock: Clock | None = None,
        tally: Tally | None = None,
    ) -> None:
        self._kind, self._push, self._ledger, self._api = kind, push, ledger, api
        self._why_stop, self._clock = why_stop, clock or SystemClock()
        self._failures = 0
        self.tally = tally or Tally()

    def send_all(self, items: Iterable[Item]) -> Tally:
        """Sends rows until all are dealt with, `why_stop` says why not, or the API is not well.

        Raises:
            Exception: What stood behind a `NotSent`.
        """
        for item in items:
            last = self._send(item)
            if last is not None and self._failures >= MOST_FAILURES:
                self.tally.ending, self.tally.error = "failed", last.error
            if self.tally.ending:
                break
        return self.tally

    def _send(self, item: Item) -> Answered | None:
        """Sends one row; returns what became of its last call, None when none was sent."""
        row = _Row(item, self._ledger.get(self._push, item.request.key))
        for call in calls(self._kind, item.request.content, self._api.most_operations):
            if why := self._why_stop():
                self.tally.ending = why
                return None
            answered = self._call(row, call)
            if answered.outcome is not Outcome.TAKEN:
                return answered
        self._finish(row)
        return answered

    def _call(self, row: _Row, call: Mapping[str, Any]) -> Answered:
        """Sends one call, and writes down before that it is under way, and then what became of it."""
        sending = under_way(row.entry, row.request, call, self._clock.now())
        self._ledger.put(self._push, sending)
        try:
            answered = self._api.send(self._kind, row.request, call)
        except NotSent as error:
            self._take_back(row)
            raise error.cause from None
        self._count(answered)
        if answered.outcome is Outcome.UNREACHED:
            self._take_back(row)
        elif answered.outcome is Outcome.UNCERTAIN:
            digest = "" if self._kind == "props" else row.item.digest
            self._write(row, replace(sending, status=Status.UNCERTAIN, digest=digest, reason=answered.reason))
        elif answered.outcome is Outcome.REFUSED:
            still_open = row.request.to_json(row.left)
            refused = replace(sending, status=Status.REFUSED, digest=row.item.digest, open=still_open)
            self._write(row, replace(refused, reason=answered.reason))
        else:
            self._take_note(row, sending, call, answered)
        return answered

    def _take_note(self, row: _Row, sending: Entry, call: Mapping[str, Any], answered: Answered) -> None:
        """Writes down what was acknowledged, unless it was the last of the row, which `_finish` does."""
        taken = {key: value for key, value in call.items() if key not in answered.ignored}
        status = Status.UNCERTAIN if sending.doubt else Status.ACKNOWLEDGED
        sent = canonical({**sent_of(sending), **taken}) if self._kind == "props" else sending.sent
        row.take(call, answered)
        row.entry = replace(sending, status=status, open=None, sent=sent)
        if row.left.keys() - row.ignored.keys():
            self._write(row, row.entry)

    def _finish(self, row: _Row) -> None:
        """Writes down how a row stands of which every call was taken."""
        if row.ignored:
            self.tally.refused += 1
            still_open = row.request.to_json(row.ignored)
            entry = replace(row.entry, status=Status.REFUSED, digest=row.item.digest, open=still_open)
            self._write(row, replace(entry, reason="; ".join(row.reasons)))
            return
        self.tally.sent += 1
        if row.entry.status == Status.ACKNOWLEDGED:
            self._write(row, replace(row.entry, digest=row.item.digest, reason="", attempts=0))
        else:
            self._write(row, row.entry)

    def _count(self, answered: Answered) -> None:
        outcome, tally = answered.outcome, self.tally
        is_failure = outcome in (Outcome.UNCERTAIN, Outcome.UNREACHED)
        self._failures = self._failures + 1 if is_failure else 0
        tally.calls += outcome is not Outcome.UNREACHED
        tally.postponed += outcome is Outcome.UNREACHED
        tally.uncertain += outcome is Outcome.UNCERTAIN
        tally.refused += outcome is Outcome.REFUSED

    def _write(self, row: _Row, entry: Entry) -> None:
        row.entry = replace(entry, at=self._clock.now())
        self._ledger.put(self._push, row.entry)

    def _take_back(self, row: _Row) -> None:
        is_new = not row.entry.at
        self._ledger.take_back(self._push, row.entry.key, None if is_new else row.entry)


class _Row:
    """One row while it is sent.

    Attributes:
        entry: What the ledger has of it.
        left: What was not taken yet.
        ignored: What was, and had no effect.
        reasons: Why not.
    """

    def __init__(self, item: Item, before: Entry | None) -> None:
        self.item, self.request = item, item.request
        self.entry = before or Entry(item.request.key)
        self.left = dict(item.request.content)
        self.ignored: dict[str, Any] = {}
        self.reasons: list[str] = []

    def take(self, call: Mapping[str, Any], answered: Answered) -> None:
        """Notes that a call was taken; what of it was ignored is left."""
        for key in call:
            if key in answered.ignored:
                self.ignored[key] = self.left[key]
            else:
                del self.left[key]
        if answered.ignored:
            self.reasons.append(answered.reason)
