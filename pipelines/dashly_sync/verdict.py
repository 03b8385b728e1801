"""Whether the sync is well, in one sentence: from what the warehouse, and this machine, say of its runs."""

from __future__ import annotations

import enum
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dashly_sync.backlog import stands_since, usual_gap
from dashly_sync.durations import duration_text
from dashly_sync.run_log import RUNNING
from dashly_sync.status import Status

LATE_AFTER_GAPS = 3.0
"""A run may be left out, as the one before took longer; three gaps without one mean that nobody starts them."""
FEWEST_RUNS = 4
"""From which on their rhythm says when the next one is late."""
AT_WORK_SECONDS = 3600.0
"""A run that goes on loads every twenty minutes; in thrice that, the slowest load is over."""

Runs = Sequence[Mapping[str, Any]]


class Level(enum.Enum):
    """How it is."""

    WELL = "well"
    BEHIND = "behind"
    FAILING = "failing"
    STUCK = "stuck"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How it is, and why."""

    level: Level
    sentence: str

    def line(self) -> str:
        """Returns the first line that whoever is on call reads."""
        return f"{self.level.name}: {self.sentence}"


def judge(status: Status) -> Verdict:
    """Returns the verdict: the first of these that holds, as each makes the ones after it meaningless."""
    verdicts = (rule(status) for rule in (_failing, _empty, _late, _stuck, _at_work, _behind, _well))
    return next(verdict for verdict in verdicts if verdict is not None)


def what_stands(status: Status) -> str:
    """Returns what does not move although runs are fine; empty when everything may."""
    seconds = stands_since(status.runs, status.whole_since, status.read_at)
    if seconds is not None:
        left = sum(status.backlog.values())
        return (
            f"Runs end well, but the backlog does not shrink: {left:,} lists are still to be read, "
            f"no fewer than {duration_text(seconds)} ago."
        )
    for one in status.silences:
        if one.is_unusual:
            usual = duration_text(one.longest_before)
            return (
                f"Runs end well, but nothing new has come into {one.table} for {duration_text(one.seconds)}; "
                f"the longest pause of the four weeks before was under {usual}."
            )
    return ""


def lateness(runs: Runs, now: datetime) -> float | None:
    """Returns how often runs usually begin, in seconds, when the next one is late; None when it is not.

    Args:
        runs: Newest first.
        now: When this is asked.
    """
    recent = runs[:60]
    if len(recent) < FEWEST_RUNS or _is_at_work(recent[0], now):
        return None
    usual, longest = usual_gap(recent), max((_took(run) for run in recent), default=0.0)
    silent = (now - recent[0]["started_at"]).total_seconds()
    return usual if silent > LATE_AFTER_GAPS * max(usual, longest, 60.0) else None


def _failing(status: Status) -> Verdict | None:
    runs, now = status.runs, status.read_at
    here, failing = status.failed_here, status.told.failing
    if here is not None and failing is not None:
        ago = duration_text(max(0.0, now.timestamp() - failing.last_at))
        return Verdict(Level.FAILING, f"The last run failed {ago} ago{_before(failing.times)}: {here}")
    failed = sum(1 for _ in itertools.takewhile(lambda run: run["outcome"] == "failed", runs))
    if not failed:
        return None
    return Verdict(Level.FAILING, f"The last run failed {_ago(runs[0], now)}{_before(failed)}: {runs[0]['error']}")


def _empty(status: Status) -> Verdict | None:
    if status.runs:
        return None
    return Verdict(Level.EMPTY, f"Nothing has been synced into {status.destination} yet: start with `dashly-sync run`.")


def _late(status: Status) -> Verdict | None:
    usual = lateness(status.runs, status.read_at)
    if usual is None:
        return None
    began = _began(status.runs[0], status.read_at)
    return Verdict(Level.BEHIND, f"{began}; they used to come every {duration_text(usual)}.")


def _stuck(status: Status) -> Verdict | None:
    stands = what_stands(status)
    return Verdict(Level.STUCK, stands) if stands else None


def _at_work(status: Status) -> Verdict | None:
    run, now = status.runs[0], status.read_at
    if run["outcome"] != RUNNING:
        return None
    at = run.get("loaded_at")
    loaded = "" if at is None else f", last loaded {duration_text((now - at).total_seconds())} ago"
    return Verdict(Level.BEHIND, f"{_began(run, now)}{loaded}, and goes on or was cut off{_missing(status)}.")


def _behind(status: Status) -> Verdict | None:
    missing, run = _missing(status), status.runs[0]
    if not missing or _left_out(status):
        return None
    done = "" if status.outlook is None else f", {status.outlook.done}"
    return Verdict(Level.BEHIND, f"The last run ended {_ago(run, status.read_at)}{missing}{done}.")


def _well(status: Status) -> Verdict:
    ended = f"The last run ended {_ago(status.runs[0], status.read_at)}"
    if _left_out(status):
        return Verdict(Level.WELL, f"{ended} and read all that it may{_missing(status, 'left out')}.")
    return Verdict(Level.WELL, f"{ended}, and nothing is known to be missing.")


def _left_out(status: Status) -> bool:
    """Whether what is missing is none of the last run's business: older than `--since`, or refused by the API."""
    run = status.runs[0]
    return run["outcome"] == "finished" and bool(_missing(status)) and bool(run["backlog"] or status.unread)


def _missing(status: Status, words: str = "still to be read") -> str:
    lists = sum(status.backlog.values())
    parts = [f"the children of {lists:,} {'parent' if lists == 1 else 'parents'}"] if lists else []
    parts += [f"a part of the list of {name}" for name in status.unread]
    return f"; {words}: {', '.join(parts)}" if parts else ""


def _before(failed: int) -> str:
    return f", as did {failed - 1:,} before it" if failed > 1 else ""


def _is_at_work(run: Mapping[str, Any], now: datetime) -> bool:
    loaded = run.get("loaded_at") or run["started_at"]
    return bool(run["outcome"] == RUNNING and (now - loaded).total_seconds() < AT_WORK_SECONDS)


def _took(run: Mapping[str, Any]) -> float:
    return (run["finished_at"] - run["started_at"]).total_seconds() if run["finished_at"] else 0.0


def _began(run: Mapping[str, Any], now: datetime) -> str:
    return f"The last run began {duration_text((now - run['started_at']).total_seconds())} ago"


def _ago(run: Mapping[str, Any], now: datetime) -> str:
    return f"{duration_text((now - (run['finished_at'] or run['started_at'])).total_seconds())} ago"
