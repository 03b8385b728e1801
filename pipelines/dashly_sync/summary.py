"""The closing sentence of a run: numbers, and what is left."""

from __future__ import annotations

from dashly_sync.durations import duration_text
from dashly_sync.run_log import RunRecord

_BEGINNINGS = {
    "finished": "Done",
    "request limit": "Stopped at the request limit",
    "time limit": "Stopped at the time limit",
    "signal": "Stopped by a signal, everything read is loaded",
    "failed": "Failed, everything read is loaded",
}
_CHILDREN = {
    "events": "events of {:,} users",
    "parts": "parts of {:,} conversations",
    "user_details": "{:,} user details",
}


def closing_sentence(record: RunRecord) -> str:
    """Returns one sentence: how the run ended, requests, rows, time, what is left.

    Example:
        >>> from datetime import UTC, datetime, timedelta
        >>> start = datetime(2026, 11, 1, tzinfo=UTC)
        >>> closing_sentence(RunRecord("r", start, "finished", start + timedelta(seconds=7), 429, 0, {"users": 200}))
        'Done: 429 requests, 200 rows, 7.0 s; nothing is known to be missing.'
    """
    took = 0.0 if record.finished_at is None else (record.finished_at - record.started_at).total_seconds()
    waited = f" ({duration_text(record.waited_seconds)} of it for the rate limit)" if record.waited_seconds >= 1 else ""
    beginning = _BEGINNINGS.get(record.outcome, record.outcome)
    rows = sum(record.records.values())
    did = f"{_count(record.requests, 'request')}, {_count(rows, 'row')}, {duration_text(took)}{waited}"
    return f"{beginning}: {did}; {what_is_left(record)}."


def what_is_left(record: RunRecord) -> str:
    """Returns what the next run goes on with."""
    left = [_CHILDREN[stream].format(count) for stream, count in record.backlog.items() if count]
    left += [f"the list of {name}" for name in record.open_lists]
    return f"left for the next run: {', '.join(left)}" if left else "nothing is known to be missing"


def _count(number: int, thing: str) -> str:
    """Returns the number with its noun.

    Example:
        >>> _count(1, "request"), _count(1200, "row")
        ('1 request', '1,200 rows')
    """
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
