"""What a push is asked to do, and what it did."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from dashly_activation.plan import PlanCounts
from dashly_activation.rows import Kind, RowMap
from dashly_state.push_ledger import Status
from dashly_sync.settings import UsageError


@dataclass(frozen=True)
class PushOrder:
    """What is to be sent, and how far.

    Attributes:
        kind: What rows become.
        name: Under which the ledger remembers what was sent.
        sql: Where the rows come from; None where they come from the ledger.
        mapped: Which column means what; None where no rows are read.
        retry: Rows of this status are sent again, as they were.
        accepts: Whether what is uncertain is taken to have arrived.
        limit: How many rows at most.
        max_requests: How many requests at most, retries among them.
        max_seconds: How long at most.
        is_dry: Whether nothing is sent.
        has_diff: Whether it is shown what changes.
    """

    kind: Kind
    name: str
    sql: str | None = None
    mapped: RowMap | None = None
    retry: Status | None = None
    accepts: bool = False
    limit: int | None = None
    max_requests: int | None = None
    max_seconds: float | None = None
    is_dry: bool = False
    has_diff: bool = False


@dataclass
class PushRecord:
    """What a push did.

    Attributes:
        kind: What rows became.
        name: Of the push.
        is_dry: Whether nothing was to be sent.
        counts: How the rows stood before.
        to_send: How many of them were to be sent, after `--limit`.
        seconds_needed: How long that takes at least.
        sent: Rows that were acknowledged.
        refused: Rows that the API refused now.
        requests: Requests that were sent.
        seconds: How long it took.
        uncertain: Rows of the whole push of which nobody knows.
        accepted: Rows that were taken to have arrived.
        ending: Why it ended before all was sent.
        idle: How often a property stayed as it was, by key.
        notices: What else a person should know.
    """

    kind: Kind
    name: str
    is_dry: bool = False
    counts: PlanCounts = field(default_factory=PlanCounts)
    to_send: int = 0
    seconds_needed: float = 0.0
    sent: int = 0
    refused: int = 0
    requests: int = 0
    seconds: float = 0.0
    uncertain: int = 0
    accepted: int = 0
    ending: str = ""
    idle: Mapping[str, int] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    settled: int = 0

    @property
    def left(self) -> int:
        """Rows that have to be sent and were not dealt with."""
        return self.counts.to_send - self.settled

    def to_json(self) -> dict[str, Any]:
        """Returns the record for programs."""
        return {
            "push": self.name,
            "kind": self.kind,
            "dry_run": self.is_dry,
            "rows": self.counts.rows,
            "changed": self.counts.to_send,
            "to_send": self.to_send,
            "calls": self.counts.calls,
            "seconds_needed": round(self.seconds_needed, 1),
            "unchanged": self.counts.unchanged,
            "sent": self.sent,
            "refused": self.refused,
            "refused_before": self.counts.refused,
            "unsendable": self.counts.unsendable,
            "uncertain": self.uncertain,
            "accepted": self.accepted,
            "left": self.left,
            "requests": self.requests,
            "seconds": round(self.seconds, 1),
            "outcome": self.ending or "finished",
            "notices": self.notices,
        }


def statement_of(query: str | None, table: str | None) -> str | None:
    """Returns the SQL that gives the rows.

    Example:
        >>> statement_of(None, "marts.health")
        'select * from "marts"."health"'
    """
    if query is not None and table is not None:
        raise UsageError("--query and --table both say where the rows come from: give one of them")
    if table is None:
        return query
    names = ('"' + part.replace('"', '""') + '"' for part in table.split("."))
    return f"select * from {'.'.join(names)}"  # noqa: S608 - quoted


def name_of(kind: Kind, name: str | None, query: str | None, table: str | None) -> str:
    """Returns the name of a push: the given one, else one that is the same for the same rows.

    Example:
        >>> name_of("props", None, None, "health"), name_of("events", None, "select 1", None)
        ('props health', 'events 822ae07d47')
    """
    if name is not None:
        if not re.fullmatch(r"[\w .:/-]{1,100}", name):
            raise UsageError(f"--name {name!r}: letters, digits and . : / - _ only, at most 100")
        return name
    if table is not None:
        return f"{kind} {table}"
    words = " ".join((query or "").split())
    return f"{kind} {sha256(words.encode()).hexdigest()[:10]}"
