"""Pages of a list: which parameters ask for one, and what its answer says about the next.

The user list pages in one of two dialects and nothing but its answers says which: by `after` (dashly-web-api.txt) or by
`offset` and `limit` (later pages of the documents). A request sends both spellings; a full page that names no
`next_after` at all means `offset`. All other lists page by `after`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dashly.envelope import Envelope
from dashly.errors import ApiChanged

PAGE_RECORDS = 50
"""The API's largest page; its default is 20."""
SHIFT_RECORDS = PAGE_RECORDS // 2
"""Records on the first page of a shifted walk: then its pages end in the middle of where others' do."""
OFFSET_OVERLAP = 1
"""Records read twice at the edge of two offset pages: the proof that the list did not move up in between."""
_OFFSET = "offset:"


@dataclass(frozen=True, slots=True)
class Page:
    """One answer's records, newest first, and the page token for what follows; None when nothing does."""

    records: list[Mapping[str, Any]]
    next_token: str | None
    fetched_at: float


def page_params(token: str | None, *, may_offset: bool, asked: int = PAGE_RECORDS) -> dict[str, str]:
    """Returns the parameters that ask for the `asked` records at `token`; None is the head of the list.

    Example:
        >>> page_params(None, may_offset=True)
        {'count': '50', 'limit': '50', 'offset': '0'}
        >>> page_params("1447339319.900966", may_offset=False)
        {'count': '50', 'after': '1447339319.900966'}
        >>> page_params("offset:49", may_offset=True)
        {'count': '50', 'limit': '50', 'offset': '49'}
    """
    size = {"count": str(asked)}
    if may_offset:
        size["limit"] = str(asked)
    if token is None:
        return {**size, "offset": "0"} if may_offset else size
    if is_offset(token):
        return {**size, "offset": token.removeprefix(_OFFSET)}
    return {**size, "after": token}


def is_offset(token: str | None) -> bool:
    """Whether the token is a place in the offset dialect, which moves when the list does."""
    return token is not None and token.startswith(_OFFSET)


def records_in(envelope: Envelope, name: str, where: str) -> list[Mapping[str, Any]]:
    """Returns the records of an answer whose `data` is a list, or an object that holds the list under `name`.

    Raises:
        ApiChanged: It is neither.
    """
    data = envelope.data
    if isinstance(data, Mapping):
        if name not in data and data and "id" in data:
            return [data]
        data = data.get(name, [] if not data else None)
    if data is None and envelope.data is None:
        return []
    if not isinstance(data, list):
        keys = ", ".join(sorted(envelope.data)) if isinstance(envelope.data, Mapping) else type(envelope.data).__name__
        raise ApiChanged(f"{where}: no list of {name} in the answer; `data` holds {keys}", _LOOK)
    return [record for record in data if isinstance(record, Mapping)]


def next_token(
    envelope: Envelope,
    records: int,
    token: str | None,
    where: str,
    *,
    may_offset: bool,
    asked: int = PAGE_RECORDS,
) -> str | None:
    """Returns the page token that follows the page of `asked` records at `token`; None at the end of the list.

    A page by offset that is not full ends the list, unless the API names a larger `total`: then its pages are smaller
    than what was asked for.

    Raises:
        ApiChanged: The answer repeats the token it was asked with, which would never end.
    """
    follows = envelope.next_token
    if follows is not None and follows == token:
        raise ApiChanged(f"{where}: the page token {token} leads to itself", _LOOK)
    by_offset = may_offset and not envelope.names_next_token and (token is None or is_offset(token))
    if not by_offset:
        return follows
    end = _offset(token) + records
    if records <= OFFSET_OVERLAP or (records < asked and end >= _total(envelope)):
        return None
    return f"{_OFFSET}{end - OFFSET_OVERLAP}"


def sweep_requests(records: int, *, shifted: bool) -> int:
    """Returns what it costs to read a list of so many records again; a single page is read whole by every look at it.

    Example:
        >>> [sweep_requests(records, shifted=True) for records in (50, 51, 75, 76)]
        [0, 2, 2, 3]
        >>> sweep_requests(76, shifted=False)
        2
    """
    if records <= PAGE_RECORDS:
        return 0
    return math.ceil((records + (PAGE_RECORDS - SHIFT_RECORDS if shifted else 0)) / PAGE_RECORDS)


def step_back(token: str) -> str:
    """Returns the offset token one page before `token`: the list moved up, records between the pages were missed.

    Example:
        >>> step_back("offset:98"), step_back("offset:10")
        ('offset:49', 'offset:0')
    """
    return f"{_OFFSET}{max(0, _offset(token) - PAGE_RECORDS + OFFSET_OVERLAP)}"


def _total(envelope: Envelope) -> int:
    total = envelope.data.get("total") if isinstance(envelope.data, Mapping) else None
    return total if isinstance(total, int) else 0


def _offset(token: str | None) -> int:
    return int((token or "0").removeprefix(_OFFSET))


_LOOK = "The API may have changed its paging: run `dashly-sync check`"
