"""The setting `business_hours`: what it means, and what it is told when it means nothing."""

import re

import pytest

from dashly_warehouse.business_hours import DEFAULT, BusinessHours


def openings(text: str) -> list[tuple[int, int, int]]:
    return [(one.weekday, one.opens, one.closes) for one in BusinessHours.parse(text).openings]


def test_the_default_is_the_working_week() -> None:
    assert [(day, 540, 1080) for day in range(1, 6)] == openings(DEFAULT)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sat 10:00-14:00, mon 9:00-18:00 Europe/Berlin", [(1, 540, 1080), (6, 600, 840)]),
        ("Sat-Mon 10:00-11:00 UTC", [(1, 600, 660), (6, 600, 660), (7, 600, 660)]),
        ("sun 22:00-06:00 UTC", [(7, 1320, 1800)]),
        ("mon-sun 00:00-24:00 UTC", [(day, 0, 1440) for day in range(1, 8)]),
        ("mon 08:00-12:00, mon 12:00-16:00 UTC", [(1, 480, 720), (1, 720, 960)]),
    ],
)
def test_spans_days_and_nights(text: str, expected: list[tuple[int, int, int]]) -> None:
    assert expected == openings(text)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "'' is not DAYS HH:MM-HH:MM TIMEZONE"),
        ("UTC", "'UTC' is not DAYS HH:MM-HH:MM TIMEZONE"),
        ("mon-fri 09:00-18:00", "ends without a time zone, such as UTC or Europe/Berlin"),
        ("mon-fri 09:00-18:00 Europe/Berlinn", "there is no time zone 'Europe/Berlinn'; did you mean Europe/Berlin?"),
        ("mon-fri 09:00-18:00 ../etc", "there is no time zone '../etc'"),
        ("mon-fry 09:00-18:00 UTC", "there is no day 'fry'. There are: mon, tue, wed, thu, fri, sat, sun"),
        ("mon-fri 9-18 UTC", "'mon-fri 9-18' is not DAYS HH:MM-HH:MM, such as mon-fri 09:00-18:00"),
        ("mon 09:00-25:00 UTC", "25:00 is no time of the day: 00:00 to 24:00 are"),
        ("mon 24:00-01:00 UTC", "opens at 24:00, which is 00:00 of the next day"),
        ("mon-fri 09:00-18:00, wed 17:00-20:00 UTC", "names some hours twice"),
        ("sun 20:00-10:00, mon 09:00-18:00 UTC", "names some hours twice"),
    ],
)
def test_what_makes_no_sense_is_told_what_would(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)):
        BusinessHours.parse(text)
