"""Rows on their way to dlt: the same rows in the same order, whatever they are carried as."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from dashly.batches import ENOUGH_ROWS, RowBatches
from dashly.slices import PageRows

PAGE_ROWS = 50


def pages(rows: int) -> Iterator[PageRows]:
    """Pages of tags, and one of a table that only the source's user knows."""
    tags = [{"conversation_id": "7", "tag": str(number)} for number in range(rows)]
    for first in range(0, rows, PAGE_ROWS):
        yield PageRows({"conversations": {"conversation_tags": tags[first : first + PAGE_ROWS]}})
    yield PageRows({"bookmarks": {"bookmarks": [{"stream": "users"}]}})


@pytest.mark.parametrize("as_arrow", [True, False])
@pytest.mark.parametrize(("rows", "sizes"), [(30, [30]), (ENOUGH_ROWS + 230, [ENOUGH_ROWS, 230])])
def test_rows_are_gathered_in_their_order(as_arrow: bool, rows: int, sizes: list[int]) -> None:
    batches = [batch.by_resource for batch in RowBatches(as_arrow).of(pages(rows))]
    tags: list[Any] = [one["conversations"]["conversation_tags"] for one in batches if "conversations" in one]

    assert [pa.Table if as_arrow else list] * len(sizes) == [type(batch) for batch in tags]
    assert sizes == [len(batch) for batch in tags]
    found = [row for batch in tags for row in (batch.to_pylist() if as_arrow else batch)]
    assert [str(number) for number in range(rows)] == [row["tag"] for row in found]
    assert [{"bookmarks": {"bookmarks": [{"stream": "users"}]}}] == [
        one for one in batches if "conversations" not in one
    ]
