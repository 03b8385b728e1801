"""Durations as people type and read them."""

from __future__ import annotations

import re

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def parse_duration(written: str) -> float:
    """Returns seconds.

    Raises:
        ValueError: It is no duration, or none at all.

    Example:
        >>> parse_duration("14m"), parse_duration("1h30m"), parse_duration("90")
        (840.0, 5400.0, 90.0)
    """
    compact = written.strip().lower().replace(" ", "")
    match = _DURATION.fullmatch(compact)
    seconds = float(compact) if compact.isdecimal() else 0.0
    if match is not None:
        seconds += sum(int(number) * unit for number, unit in zip(match.groups("0"), (86400, 3600, 60, 1), strict=True))
    if seconds <= 0:
        raise ValueError(f"{written!r} is no duration: write it like 90s, 14m or 1h30m")
    return seconds


def duration_text(seconds: float) -> str:
    """Returns the two largest units.

    Example:
        >>> duration_text(0.4), duration_text(75), duration_text(70_600), duration_text(885_600)
        ('0.4 s', '1 min 15 s', '19 h 36 min', '10 d 6 h')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for large, small, name, next_name in ((86400, 3600, "d", "h"), (3600, 60, "h", "min"), (60, 1, "min", "s")):
        if whole >= large:
            rest = whole % large // small
            return f"{whole // large} {name}" + (f" {rest} {next_name}" if rest else "")
    return f"{whole} s"


def interval_text(seconds: float) -> str:
    """Returns whole seconds as `parse_duration` reads them, so that they fit on a command line.

    Example:
        >>> interval_text(840), interval_text(5_400), interval_text(86_399), interval_text(604_800)
        ('14m', '1h30m', '23h59m59s', '7d')
    """
    left, text = round(seconds), ""
    for unit, name in ((86400, "d"), (3600, "h"), (60, "m"), (1, "s")):
        count, left = divmod(left, unit)
        text += f"{count}{name}" if count else ""
    return text
