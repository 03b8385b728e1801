"""When somebody answers: the setting `business_hours`, understood. Pure; the calendar itself is a view."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from zoneinfo import ZoneInfo, available_timezones

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MINUTES = 24 * 60
WEEK_MINUTES = 7 * DAY_MINUTES
EXAMPLE = "mon-fri 09:00-18:00 UTC, or mon-thu 09:00-18:00, fri 09:00-16:00 Europe/Berlin"
DEFAULT = "mon-fri 09:00-18:00 UTC"

_SPAN = re.compile(r"(?P<first>[a-z]{3})(-(?P<last>[a-z]{3}))? (?P<opens>\d\d?:\d\d)-(?P<closes>\d\d?:\d\d)")


@dataclass(frozen=True, slots=True)
class Opening:
    """One opening on one day of the week, in minutes since that day's midnight; after 24:00 is the next day."""

    weekday: int
    """1 is Monday."""
    opens: int
    closes: int


@dataclass(frozen=True, slots=True)
class BusinessHours:
    """The openings of a week, at the clock of one place."""

    openings: tuple[Opening, ...]
    time_zone: str
    written: str = field(compare=False)
    """As it was typed."""

    def __str__(self) -> str:
        return self.written

    @classmethod
    def parse(cls, text: str) -> BusinessHours:
        """Returns the hours that `DAYS HH:MM-HH:MM[, DAYS HH:MM-HH:MM …] TIMEZONE` names.

        A span that closes at or before it opens goes on into the next day.

        Raises:
            ValueError: Says what was seen, and what would be valid.

        >>> BusinessHours.parse("fri 22:00-02:00 Europe/Berlin").openings
        (Opening(weekday=5, opens=1320, closes=1560),)
        """
        spans, _, zone = text.strip().rpartition(" ")
        if not spans:
            raise ValueError(f"{text!r} is not DAYS HH:MM-HH:MM TIMEZONE, such as {EXAMPLE}")
        _check_zone(zone, text)
        openings = sorted(
            (opening for span in spans.split(",") for opening in _openings(span)),
            key=lambda one: (one.weekday, one.opens),
        )
        _check_overlaps(openings, text)
        return cls(tuple(openings), zone, text)

    def variables(self) -> dict[str, str]:
        """Returns the variables that the models take: rows for VALUES, and the time zone.

        >>> BusinessHours.parse("mon 09:00-18:00 UTC").variables()
        {'opening_hours': "(1, '09:00', '18:00')", 'time_zone': 'UTC'}
        """
        rows = [f"({one.weekday}, '{_clock(one.opens)}', '{_clock(one.closes)}')" for one in self.openings]
        return {"opening_hours": ", ".join(rows), "time_zone": self.time_zone}


def _openings(span: str) -> Iterator[Opening]:
    found = _SPAN.fullmatch(" ".join(span.lower().split()))
    if found is None:
        raise ValueError(f"{span.strip()!r} is not DAYS HH:MM-HH:MM, such as mon-fri 09:00-18:00")
    first, last = _weekday(found["first"]), _weekday(found["last"] or found["first"])
    opens, closes = _minutes(found["opens"]), _minutes(found["closes"])
    if opens == DAY_MINUTES:
        raise ValueError(f"{span.strip()!r} opens at 24:00, which is 00:00 of the next day")
    closes += DAY_MINUTES if closes <= opens else 0
    for step in range((last - first) % 7 + 1):
        yield Opening((first - 1 + step) % 7 + 1, opens, closes)


def _weekday(name: str) -> int:
    if name not in DAYS:
        raise ValueError(f"there is no day {name!r}. There are: {', '.join(DAYS)}")
    return DAYS.index(name) + 1


def _minutes(clock: str) -> int:
    hours, minutes = (int(part) for part in clock.split(":"))
    if minutes > 59 or hours * 60 + minutes > DAY_MINUTES:
        raise ValueError(f"{clock} is no time of the day: 00:00 to 24:00 are")
    return hours * 60 + minutes


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _check_zone(zone: str, text: str) -> None:
    with suppress(ValueError, OSError, KeyError):  # no key at all, a directory of the database, an unknown key
        ZoneInfo(zone)
        return
    if re.fullmatch(r"[\d:.]+-[\d:.]+", zone):
        raise ValueError(f"{text!r} ends without a time zone, such as UTC or Europe/Berlin")
    close = get_close_matches(zone, available_timezones(), 1)
    raise ValueError(f"there is no time zone {zone!r}" + (f"; did you mean {close[0]}?" if close else ""))


def _check_overlaps(openings: list[Opening], text: str) -> None:
    """Refuses minutes of the week that are named twice: they would count twice."""
    ends = 0
    starts = [(one.weekday - 1) * DAY_MINUTES + one.opens for one in openings]
    for start, one in zip(starts, openings, strict=True):
        if start < ends:
            raise ValueError(f"{text!r} names some hours twice")
        ends = start + one.closes - one.opens
    if openings and ends > starts[0] + WEEK_MINUTES:
        raise ValueError(f"{text!r} names some hours twice")
