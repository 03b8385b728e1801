"""Intervals as cron and systemd's calendar say them, and the intervals that cron cannot say."""

from __future__ import annotations

from itertools import pairwise

from dashly_sync.durations import interval_text
from dashly_sync.settings import UsageError

MINUTE, HOUR, DAY, WEEK = 60, 3600, 86_400, 604_800
EXPRESSIBLE = (
    *(minutes * MINUTE for minutes in (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)),
    *(hours * HOUR for hours in (1, 2, 3, 4, 6, 8, 12)),
    DAY,
    WEEK,
)
"""What divides an hour or a day without a rest, a day and a week: every other step is broken off at the hour's end."""
NIGHT = 3
"""The hour at which a daily or weekly run starts."""


def cron_expression(every: float, minute: int = 0, least: int = MINUTE) -> str:
    """Returns the five fields of a crontab.

    Args:
        every: Seconds between two runs.
        minute: The minute of the hour at which the first run starts.
        least: The shortest interval that whoever reads the expression takes.

    Raises:
        UsageError: Cron has no word for it; names the nearest intervals that it has one for.

    Example:
        >>> cron_expression(900), cron_expression(900, minute=7), cron_expression(21_600), cron_expression(86_400)
        ('*/15 * * * *', '7-59/15 * * * *', '0 */6 * * *', '0 3 * * *')
    """
    if every not in EXPRESSIBLE or every < least:
        raise UsageError(_refusal(every, least))
    if every >= DAY:
        return f"{minute} {NIGHT} * * {'*' if every == DAY else '1'}"
    if every >= HOUR:
        return f"{minute} {_step(every // HOUR)} * * *"
    offset = minute % int(every // MINUTE)
    return f"{f'{offset}-59/{every // MINUTE:.0f}' if offset else _step(every // MINUTE)} * * * *"


def calendar_expression(every: float) -> str | None:
    """Returns systemd's OnCalendar; None for an interval that only its OnUnitActiveSec can say.

    Example:
        >>> calendar_expression(900), calendar_expression(604_800), calendar_expression(5_400)
        ('*-*-* *:00/15:00', 'Mon *-*-* 03:00:00', None)
    """
    if every not in EXPRESSIBLE:
        return None
    if every >= DAY:
        return f"{'' if every == DAY else 'Mon '}*-*-* {NIGHT:02}:00:00"
    if every >= HOUR:
        return f"*-*-* 00/{every // HOUR:.0f}:00:00"
    return f"*-*-* *:00/{every // MINUTE:.0f}:00"


def _step(count: float) -> str:
    return "*" if count == 1 else f"*/{count:.0f}"


def _refusal(every: float, least: int) -> str:
    """Returns what is wrong with the interval, and the nearest ones below and above."""
    steps = [step for step in EXPRESSIBLE if step >= least]
    near = next(([low, high] for low, high in pairwise(steps) if low < every < high), [])
    near = near or [steps[0] if every < steps[0] else steps[-1]]
    return (
        f"--every {interval_text(every)}: a cron expression cannot say that here. "
        f"The nearest that it can: {' and '.join(map(interval_text, near))}. "
        "Any interval goes with `schedule systemd`, `schedule airflow`, or in the foreground without a target"
    )
