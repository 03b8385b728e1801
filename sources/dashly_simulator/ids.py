"""Ids: 64-bit ones that grow with creation time, and the short ones of rows from before December 2017.

Public samples suggest `created_ms = (id >> 23) + 1512108000000`. The low 23 bits hold the index of the row's
owner (the user of an event, the conversation of a part, the row itself otherwise), which makes ids unique
and lets an id be found without a table.
"""

from __future__ import annotations

ID_EPOCH_MS = 1_512_108_000_000
LOW_BITS = 23
LOW_MASK = (1 << LOW_BITS) - 1
FIRST_LEGACY_ID = 1_000_000


def make_id(milliseconds: int, index: int, legacy_count: int, ordinal: int = 0) -> int:
    """The id of the `ordinal`-th row of owner `index`, created at `milliseconds`.

    Rows from before the epoch get short ids, unique and growing with `ordinal`.

    >>> make_id(ID_EPOCH_MS + 1, 5, 10)
    8388613
    >>> make_id(ID_EPOCH_MS - 1, 5, 10, ordinal=2)
    1000025
    """
    if milliseconds < ID_EPOCH_MS:
        return FIRST_LEGACY_ID + ordinal * legacy_count + index
    return ((milliseconds - ID_EPOCH_MS) << LOW_BITS) | index


def owner_index(identifier: int, legacy_count: int) -> int:
    """The owner's index that `make_id` was given; meaningless for an id that it never made.

    >>> owner_index(make_id(ID_EPOCH_MS + 10**9, 77, 10), 10)
    77
    >>> owner_index(make_id(ID_EPOCH_MS - 1, 5, 10, ordinal=2), 10)
    5
    """
    if identifier < 1_000_000_000 and legacy_count:
        return (identifier - FIRST_LEGACY_ID) % legacy_count
    return identifier & LOW_MASK
