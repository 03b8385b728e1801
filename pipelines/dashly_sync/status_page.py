"""`status --html`: one page that needs nothing else. No script, no request, readable on a phone, light and dark."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from dashly_state.budget import RateLimit
from dashly_sync.answers import whole_file
from dashly_sync.charts import Age, Bar, Track, ages, bars, steps, tracks
from dashly_sync.durations import duration_text
from dashly_sync.run_log import RUNNING
from dashly_sync.settings import Settings
from dashly_sync.status import Status
from dashly_sync.status_detail import DAY_OF, DAYS, ChildCounts, Detail, ListSpan, read_detail
from dashly_sync.verdict import Level, judge

TABLE_RUNS, DRAWN_RUNS = 20, 60
_SIGNS = {Level.WELL: "✓", Level.BEHIND: "…", Level.FAILING: "✗", Level.STUCK: "■", Level.EMPTY: "○"}
_MARGIN = 0.08
"""Of a line, for what is older than anything that was seen: nobody knows how much it is."""


def write_page(status: Status, settings: Settings, file: Path) -> None:
    """Reads what is drawn and writes the page; `file` holds what it held before until all is written.

    Raises:
        UsageError: The file cannot be written.
        WarehouseError: The warehouse cannot be opened.
    """
    page = render_page(status, read_detail(settings, status.read_at), settings.rate_limit)
    with whole_file(file) as opened:
        opened.write(page.encode())


def render_page(status: Status, detail: Detail, limit: RateLimit) -> str:
    """Returns the page: HTML that is well-formed XML too.

    Args:
        status: What `status` prints.
        detail: What is drawn.
        limit: The API's budget.
    """
    body = "".join((_head(status), _tiles(status, limit), _pictures(status, detail), _runs(status)))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>"
        f"<title>{judge(status).level.value.capitalize()}: {escape(status.destination)}</title>"
        f"<style>{_style()}</style>"
        f"</head><body><main>{body}</main></body></html>\n"
    )


def _style() -> str:
    """Returns the style sheet, which lies beside this module."""
    return resources.files(__package__).joinpath("status_page.css").read_text(encoding="utf-8")


def _head(status: Status) -> str:
    verdict = judge(status)
    read_at, sign = _moment(status.read_at), _SIGNS[verdict.level]
    return (
        f'<header class="{verdict.level.value}"><h1><span aria-hidden="true">{sign}</span> '
        f"{verdict.level.value.capitalize()}</h1><p>{escape(verdict.sentence)}</p>"
        f'<p class="where">dashly-sync into <b>{escape(status.destination)}</b>, as of {read_at} UTC</p></header>'
    )


def _tiles(status: Status, limit: RateLimit) -> str:
    a_day = limit.requests / limit.seconds * 86_400
    since = "never" if status.last_success is None else _ago(status, status.last_success)
    tiles = [
        ("rows", f"{sum(rows for _, rows, _ in status.tables):,}", f"in {len(status.tables)} tables"),
        ("last good run", since, "" if status.last_success is None else f"ended {_moment(status.last_success)} UTC"),
        ("still to be read", f"{sum(status.backlog.values()):,}", _by_stream(status.backlog)),
        ("requests, last 24 h", f"{status.day_requests:,}", f"{status.day_requests / a_day:.1%} of {a_day:,.0f}"),
    ]
    if status.budget is not None:
        tiles.append(("budget now", f"{status.budget.started:,}", f"of {status.budget.limit:,} are used"))
    cells = (
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}<small>{escape(note)}</small></dd></div>"
        for name, value, note in tiles
    )
    return f"<dl>{''.join(cells)}</dl>"


def _pictures(status: Status, detail: Detail) -> str:
    if not status.runs:
        return ""
    runs = status.runs[:DRAWN_RUNS]
    cards = [
        _card("Freshness", "Age of each table's newest row: when the API last said it", _freshness(status), "tall"),
        _card("Lists", "What has been read of each list, by the time of its records", _lists(status, detail.lists)),
        _card("Children", "Parents whose events, parts and details were read whole", _children(detail.children)),
        _card("Backlog", "Parents with children known to be missing, after each run", _backlog(runs)),
        _card("Requests a run", "× marks a run that failed or was cut off", _requests(runs)),
        *_days(status, detail.days),
    ]
    recheck = "" if status.recheck is None else f"<p>{escape(status.recheck.sentence(status.read_at))}</p>"
    return f'<section class="cards">{"".join(cards)}</section>{recheck}'


def _card(name: str, note: str, picture: str, height: str = "short") -> str:
    caption = f"<figcaption><h2>{escape(name)}</h2><p>{escape(note)}</p></figcaption>"
    return f'<figure class="{height}">{caption}{picture}</figure>'


def _freshness(status: Status) -> str:
    rows = [
        Age(name, None, "no rows") if newest is None else _age(name, (status.read_at - newest).total_seconds())
        for name, _, newest in status.tables
    ]
    return ages("Age of the newest row of each table", rows)


def _age(name: str, seconds: float) -> Age:
    return Age(name, max(0.0, seconds), duration_text(max(0.0, seconds)))


def _lists(status: Status, lists: Sequence[ListSpan]) -> str:
    begins = min((moment for span in lists for moment in _seen(span)), default=status.read_at)
    whole = (status.read_at - begins).total_seconds() or 1.0
    margin = _MARGIN if any(until is None for span in lists for _, until in span.gaps) else 0.0

    def place(moment: datetime | None) -> float:
        return 0.0 if moment is None else margin + (1 - margin) * (moment - begins).total_seconds() / whole

    rows = [Track(span.name, [*_read(span, place), *_gaps(span, place)]) for span in lists]
    return tracks("What has been read of each list", rows, (f"{begins:%Y-%m-%d}", "now")) + _legend(
        "read", "gap", "none"
    )


def _seen(span: ListSpan) -> list[datetime]:
    known = [span.oldest, span.newest, *(moment for gap in span.gaps for moment in gap)]
    return [moment for moment in known if moment is not None]


def _read(span: ListSpan, place: Any) -> Iterator[tuple[float, float, str, str]]:
    if span.newest is not None and span.oldest is not None:
        words = f"held from {_moment(span.oldest)} to {_moment(span.newest)} UTC"
        yield place(span.oldest), place(max(span.newest, span.oldest)), "read", words


def _gaps(span: ListSpan, place: Any) -> Iterator[tuple[float, float, str, str]]:
    for begins, until in span.gaps:
        down_to = "the end of the list" if until is None else f"{_moment(until)} UTC"
        yield place(until), place(begins), "gap", f"not read yet, from {_moment(begins)} UTC down to {down_to}"


def _children(children: Sequence[ChildCounts]) -> str:
    rows = []
    for one in children:
        total, place, spans = max(1, one.whole + one.missing + one.gone), 0.0, []
        for count, kind, words in (
            (one.whole, "read", "read whole"),
            (one.missing, "gap", "with some missing"),
            (one.gone, "gone", "gone"),
        ):
            if count:
                spans.append((place, place + count / total, kind, f"{count:,} {words}"))
                place += count / total
        rows.append(Track(one.stream, spans))
    counts = "; ".join(
        f"{one.stream}: {one.whole:,} whole, {one.missing:,} missing, {one.gone:,} gone" for one in children
    )
    return tracks(f"Parents by child resource: {counts}", rows) + f'<p class="note">{escape(counts)}</p>'


def _backlog(runs: Sequence[Mapping[str, Any]]) -> str:
    oldest, newest = runs[-1]["started_at"], _end(runs[0])
    whole = (newest - oldest).total_seconds() or 1.0
    points = [((_end(run) - oldest).total_seconds() / whole, float(run["backlog"] or 0)) for run in reversed(runs)]
    title = f"Backlog after each of the last {len(runs)} runs; {points[-1][1]:,.0f} now"
    return steps(title, points, (_day_and_hour(oldest), _day_and_hour(newest)))


def _requests(runs: Sequence[Mapping[str, Any]]) -> str:
    values = [
        Bar(
            float(run["requests"] or 0),
            f"{_moment(run['started_at'])}: {run['requests']:,} requests, {run['records']:,} rows, {run['outcome']}",
            run["outcome"] in ("failed", RUNNING),
        )
        for run in reversed(runs)
    ]
    ends = (_day_and_hour(runs[-1]["started_at"]), _day_and_hour(runs[0]["started_at"]))
    return bars(f"Requests of each of the last {len(runs)} runs", values, ends)


def _days(status: Status, days: Mapping[str, Sequence[int]]) -> Iterator[str]:
    today = status.read_at.date()
    for table, counts in days.items():
        dates = [today - timedelta(days=back) for back in reversed(range(DAYS))]
        values = [Bar(float(count), f"{day}: {count:,}") for day, count in zip(dates, counts, strict=True)]
        title = f"Rows of {table} a day, {sum(counts):,} in the last {DAYS} days"
        picture = bars(title, values, (f"{dates[0]:%d %b}", "today"), height=96.0)
        yield _card(f"{table} a day", f"{sum(counts):,} in {DAYS} days, by {DAY_OF[table]}", picture)


def _runs(status: Status) -> str:
    names = ("began", "took", "outcome", "requests", "rows", "left", "error")
    head = "".join(f'<th scope="col"{_numeric(name)}>{name}</th>' for name in names)
    rows = "".join(_run_row(run) for run in status.runs[:TABLE_RUNS])
    if not rows:
        return ""
    return (
        '<section class="runs"><h2>Last runs</h2><div class="scroll" tabindex="0" role="region" aria-label="Last runs">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></section>"
    )


def _numeric(name: str) -> str:
    return ' class="number"' if name in ("requests", "rows", "left") else ""


def _run_row(run: Mapping[str, Any]) -> str:
    took = duration_text((run["finished_at"] - run["started_at"]).total_seconds()) if run["finished_at"] else ""
    texts = (_moment(run["started_at"]), took, run["outcome"])
    numbers = (run["requests"], run["records"], run["backlog"])
    cells = [f"<td>{escape(str(text))}</td>" for text in texts]
    cells += [f'<td class="number">{number or 0:,}</td>' for number in numbers]
    cells += [f'<td class="error">{escape(run["error"] or "")}</td>']
    return f'<tr class="{"failed" if run["outcome"] == "failed" else "ended"}">{"".join(cells)}</tr>'


def _legend(*kinds: str) -> str:
    words = {"read": "read", "gap": "not read yet", "none": "no records"}
    return '<p class="note">' + " ".join(f'<i class="{kind}"></i> {words[kind]}' for kind in kinds) + "</p>"


def _by_stream(backlog: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {stream}" for stream, count in backlog.items()) or "nothing is known to be missing"


def _end(run: Mapping[str, Any]) -> datetime:
    end: datetime = run["finished_at"] or run["started_at"]
    return end


def _ago(status: Status, moment: datetime) -> str:
    return f"{duration_text(max(0.0, (status.read_at - moment).total_seconds()))} ago"


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _day_and_hour(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%d %b %H:%M}"
