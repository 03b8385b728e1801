"""Pictures as inline SVG: bars, a line of steps, ages, spans. Pure, no script, nothing from elsewhere.

All are 360 units wide, the width of a phone, and are laid out side by side where there is room. Colours come from the
page's style sheet by class, so that light and dark are its affair; what a colour says, a shape or a word says too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 360.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 38.0, 8.0, 12.0, 20.0
_ROW = 22.0
_LABEL = 112.0
"""Room for the longest name of a table, `conversation_tags`, at 12 pixels."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar.

    Attributes:
        value: Its height.
        says: What a pointer that rests on it, or a screen reader, is told.
        is_marked: Whether it gets a cross: something went wrong there.
    """

    value: float
    says: str
    is_marked: bool = False


@dataclass(frozen=True, slots=True)
class Age:
    """How old something is.

    Attributes:
        name: Of the thing.
        seconds: None where there is nothing.
        says: The age in words.
    """

    name: str
    seconds: float | None
    says: str


@dataclass(frozen=True, slots=True)
class Track:
    """One line of spans.

    Attributes:
        name: Of the line.
        spans: From, to, kind (`read`, `gap` or `gone`) and words for each; from 0 to 1.
    """

    name: str
    spans: Sequence[tuple[float, float, str, str]]


def bars(title: str, values: Sequence[Bar], ends: tuple[str, str], height: float = 132.0) -> str:
    """Returns bars from left to right.

    Args:
        title: What they are, for who cannot see them.
        values: From left to right.
        ends: What stands below the first and the last one.
        height: Of the whole picture.
    """
    most = nice_ceiling(max((bar.value for bar in values), default=0.0))
    floor, room = height - _BOTTOM, height - _BOTTOM - _TOP
    step = (WIDTH - _LEFT - _RIGHT) / max(1, len(values))
    step = min(step, 40.0)
    drawn = [_axes(most, ends, height)]
    for number, bar in enumerate(values):
        tall = bar.value / most * room
        tall = max(tall, 1.5) if bar.value else 0.0
        x, wide = _LEFT + number * step, max(1.0, step * 0.8)
        shape = _rect(x, floor - tall, wide, tall, "bar marked" if bar.is_marked else "bar")
        cross = _text(x + wide / 2, floor - tall - 3, "×", "cross", "middle") if bar.is_marked else ""
        target = _rect(x, _TOP, step, room, "target")
        drawn.append(f"<g>{_title(bar.says)}{target}{shape}{cross}</g>")
    return _svg(title, height, drawn)


def steps(title: str, points: Sequence[tuple[float, float]], ends: tuple[str, str], height: float = 132.0) -> str:
    """Returns a line that stays at each value until the next one, and the area below it.

    Args:
        title: What it is, for who cannot see it.
        points: Place from 0 to 1, and value; in order of place.
        ends: What stands below the beginning and the end.
        height: Of the whole picture.
    """
    most = nice_ceiling(max((value for _, value in points), default=0.0))
    floor, room = height - _BOTTOM, height - _BOTTOM - _TOP
    wide = WIDTH - _LEFT - _RIGHT
    corners = [(_LEFT + place * wide, floor - value / most * room) for place, value in points]
    drawn = [_axes(most, ends, height)]
    if corners:
        path = f"M{_number(corners[0][0])} {_number(corners[0][1])}"
        path += "".join(f"H{_number(x)}V{_number(y)}" for x, y in corners[1:]) + f"H{_number(_LEFT + wide)}"
        drawn.append(f'<path class="area" d="{path}V{_number(floor)}H{_number(corners[0][0])}Z"/>')
        drawn.append(f'<path class="line" d="{path}"/>')
    return _svg(title, height, drawn)


def ages(title: str, rows: Sequence[Age]) -> str:
    """Returns a bar for each age, on a scale where each line is many times the one before: minute, hour, day."""
    marks = ((60.0, "1 min"), (3600.0, "1 h"), (86_400.0, "1 d"), (30 * 86_400.0, "30 d"))
    oldest = max((row.seconds or 0.0 for row in rows), default=0.0)
    shown = [mark for mark in marks if mark[0] <= max(oldest * 2, 7200.0)]
    longest = math.log10(1 + max(oldest, shown[-1][0])) * 1.02
    left, wide = _LABEL + 8, WIDTH - _LABEL - 8 - 74
    height = _ROW * len(rows) + 18
    drawn = []
    for seconds, name in shown:
        x = left + wide * math.log10(1 + seconds) / longest
        drawn.append(f'<path class="grid" d="M{_number(x)} 0V{_number(height - 16)}"/>')
        drawn.append(_text(x, height - 4, name, "tick", "middle"))
    for number, row in enumerate(rows):
        y = number * _ROW
        long = wide * math.log10(1 + (row.seconds or 0.0)) / longest
        drawn.append(_text(_LABEL, y + 14, row.name, "name", "end"))
        drawn.append(f"<g>{_title(f'{row.name}: {row.says}')}{_rect(left, y + 4, max(long, 2), 13, 'bar')}</g>")
        drawn.append(_text(left + max(long, 2) + 5, y + 14, row.says, "value", "start"))
    return _svg(title, height, drawn)


def tracks(title: str, rows: Sequence[Track], ends: tuple[str, str] = ("", "")) -> str:
    """Returns a line of spans for each track.

    Args:
        title: What they are, for who cannot see them.
        rows: From top to bottom.
        ends: What stands below the left and the right end.
    """
    left, wide = _LABEL + 8, WIDTH - _LABEL - 8 - _RIGHT
    height = _ROW * len(rows) + (18 if any(ends) else 4)
    drawn = []
    for number, row in enumerate(rows):
        y = number * _ROW
        drawn.append(_text(_LABEL, y + 15, row.name, "name", "end"))
        drawn.append(_rect(left, y + 4, wide, 14, "track"))
        for begins, ends_at, kind, says in row.spans:
            shape = _rect(left + begins * wide, y + 4, max(1.5, (ends_at - begins) * wide), 14, f"span {kind}")
            drawn.append(f"<g>{_title(f'{row.name}: {says}')}{shape}</g>")
    drawn.append(_text(left, height - 4, ends[0], "tick", "start"))
    drawn.append(_text(left + wide, height - 4, ends[1], "tick", "end"))
    return _svg(title, height, drawn)


def nice_ceiling(value: float) -> float:
    """Returns the next larger of 2, 4, 6, 10, 20, 40 and so on, whose halves are whole numbers.

    Example:
        >>> nice_ceiling(0), nice_ceiling(7), nice_ceiling(120), nice_ceiling(2_000)
        (2.0, 10.0, 200.0, 2000.0)
    """
    if value <= 2:
        return 2.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(power * factor for factor in (1, 2, 4, 6, 10) if power * factor >= value)


def short(value: float) -> str:
    """Returns a number as an axis has room for it.

    Example:
        >>> short(0), short(0.5), short(950), short(20_000), short(1_500_000)
        ('0', '0.5', '950', '20k', '1.5M')
    """
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:g}{name}"
    return f"{value:g}"


def _axes(most: float, ends: tuple[str, str], height: float) -> str:
    floor, room = height - _BOTTOM, height - _BOTTOM - _TOP
    drawn = []
    for share in (0.0, 0.5, 1.0):
        y = floor - share * room
        drawn.append(f'<path class="grid" d="M{_number(_LEFT)} {_number(y)}H{_number(WIDTH - _RIGHT)}"/>')
        drawn.append(_text(_LEFT - 5, y + 4, short(most * share), "tick", "end"))
    drawn.append(_text(_LEFT, height - 4, ends[0], "tick", "start"))
    drawn.append(_text(WIDTH - _RIGHT, height - 4, ends[1], "tick", "end"))
    return "".join(drawn)


def _svg(title: str, height: float, drawn: Iterable[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_number(WIDTH)} {_number(height)}" role="img" aria-label="{escape(title)}">'
        f"{''.join(drawn)}</svg>"
    )


def _title(text: str) -> str:
    return f"<title>{escape(text)}</title>"


def _rect(x: float, y: float, wide: float, tall: float, kind: str) -> str:
    place = f'x="{_number(x)}" y="{_number(y)}" width="{_number(wide)}" height="{_number(tall)}"'
    return f'<rect class="{kind}" {place}/>'


def _text(x: float, y: float, text: str, kind: str, anchor: str) -> str:
    place = f'x="{_number(x)}" y="{_number(y)}" text-anchor="{anchor}"'
    return f'<text class="{kind}" {place}>{escape(text)}</text>' if text else ""


def _number(value: float) -> str:
    """Returns it with a digit after the point at most.

    Example:
        >>> _number(12.0), _number(12.345)
        ('12', '12.3')
    """
    return f"{round(value, 1):g}"
