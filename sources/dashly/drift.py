"""What the API sends otherwise than before: fields that no column takes, values that fit none, fields that stay away.

Nothing is lost by it: what no column takes is kept in `extra` under its original key. It is said once, because what the
warehouse has met is remembered in dlt's state, in the package of the rows that showed it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dashly.errors import SchemaChanged
from dashly.slices import State

EVOLVE, FREEZE = "evolve", "freeze"
ENOUGH_RECORDS = 50
"""Records of a run that have to lack a field which every record had before, until it counts as gone."""


class Drift:
    """What one run saw of the API's fields; keep one for a whole run.

    Nothing is new until the first load is whole, nor of a kind of record that the warehouse had not met before the run.

    Args:
        contract: `evolve` keeps what is new in `extra`; `freeze` raises `SchemaChanged` before it is loaded.
    """

    def __init__(self, contract: str = EVOLVE) -> None:
        self._frozen = contract == FREEZE
        self._begun = False
        self._known: frozenset[str] = frozenset()
        self._always_before: dict[str, frozenset[str]] = {}
        self._met: frozenset[str] = frozenset()
        self._untaken: set[str] = set()
        self._new: set[str] = set()
        self._ever: dict[str, set[str]] = {}
        self._always: dict[str, set[str]] = {}
        self._records: dict[str, int] = {}

    def begin(self, state: Mapping[str, Any]) -> None:
        """Takes up what the warehouse had met before this run; of later slices there is nothing to take up."""
        if not self._begun:
            self._begun = True
            self._known = frozenset(state.get("untaken", ()))
            self._always_before = {kind: frozenset(fields) for kind, fields in state.get("always", {}).items()}
            self._met = frozenset(self._always_before if state.get("is_whole") else ())

    def see(self, kind: str, records: Sequence[Mapping[str, Any]], untaken: Iterable[tuple[str, str, str]]) -> None:
        """Notes the fields of a page.

        Args:
            kind: The resource of the records.
            records: As the API sent them.
            untaken: Table, field and reason of what no column took, of the tables that the records became.

        Raises:
            SchemaChanged: One of them is new, and the contract is frozen. Nothing is noted then.
        """
        new = {f"{table}.{name}": why for table, name, why in untaken if f"{table}.{name}" not in self._known}
        if new and self._frozen and kind in self._met:
            raise SchemaChanged(
                "; ".join(f"{name} {why}" for name, why in sorted(new.items())),
                "Look at it, then run once with --schema-contract evolve: it goes to `extra` and is known from then on",
            )
        self._untaken.update(new)
        self._new.update(new if kind in self._met else ())
        self._records[kind] = self._records.get(kind, 0) + len(records)
        for fields in set(map(tuple, records)):  # nearly all records have the same
            self._ever.setdefault(kind, set()).update(fields)
            self._always[kind] = self._always.get(kind, set(fields)).intersection(fields)

    def remember(self, state: State, *, is_whole: bool) -> None:
        """Writes down what the warehouse will have met when this slice is loaded.

        Args:
            state: Where to.
            is_whole: Nothing is known to be missing any more.
        """
        if is_whole:
            state["is_whole"] = True
        state["untaken"] = sorted(self._known | self._untaken)
        before = {**self._always, **self._always_before}
        state["always"] = {kind: sorted(before[kind] & self._always.get(kind, before[kind])) for kind in sorted(before)}

    def notices(self) -> list[str]:
        """Returns what a person should know, a sentence for each kind of news."""
        gone = sorted(
            f"{kind}.{name}"
            for kind, fields in self._always_before.items()
            if kind in self._met and self._records.get(kind, 0) >= ENOUGH_RECORDS
            for name in fields - self._ever[kind]
        )
        news = {
            "the API sends what no column takes, kept in `extra`": sorted(self._new),
            "the API no longer sends, null from now on": gone,
        }
        return [f"{what}: {', '.join(names)}" for what, names in news.items() if names]
