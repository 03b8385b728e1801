"""What was once visible and no longer is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

Key = str | tuple[str, str]


class Graves:
    """Keys of vanished rows, by table; a key that comes back leaves."""

    def __init__(self) -> None:
        self._keys: dict[str, set[Key]] = defaultdict(set)

    def bury(self, table: str, keys: Iterable[Key]) -> None:
        """Remember that rows of `table` are gone."""
        self._keys[table].update(keys)

    def raise_again(self, table: str, key: Key) -> None:
        """A row is back (a tag that was taken off and put on again)."""
        self._keys[table].discard(key)

    def of(self, table: str) -> set[Key]:
        """The keys of `table` that are gone, as a set of its own."""
        return set(self._keys.get(table, ()))
