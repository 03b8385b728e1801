"""The search index behind the user list: an order by last activity that may lag behind the users themselves."""

from __future__ import annotations

from array import array
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace

from .ranking import Ranking
from .records import User


class UserIndex:
    """Which users the list shows, in which order and in which version.

    A change becomes visible `lag_us` after it was made; without a lag, at once.
    """

    def __init__(self, times: array[int], lag_us: int, read: Callable[[int], User | None]) -> None:
        self.order = Ranking(times)
        self._lag_us = lag_us
        self._read = read
        self._stale: dict[int, User | None] = {}
        self._due: deque[tuple[int, int]] = deque()
        self._waiting: Counter[int] = Counter()

    def about_to_change(self, index: int) -> None:
        """Keep the version that the list goes on showing until the change arrives."""
        if self._lag_us and index not in self._stale:
            self._stale[index] = _snapshot(self._read(index))

    def changed(self, index: int, now_us: int) -> None:
        """Take note that the user is different (or new, or gone) as of `now_us`."""
        if not self._lag_us:
            self._arrive(index)
            return
        self._due.append((now_us + self._lag_us, index))
        self._waiting[index] += 1

    def catch_up(self, now_us: int) -> None:
        """Let every change arrive that is due by `now_us`."""
        while self._due and self._due[0][0] <= now_us:
            _, index = self._due.popleft()
            self._waiting[index] -= 1
            self._arrive(index)
            if self._waiting[index]:
                self._stale[index] = _snapshot(self._read(index))
            else:
                self._stale.pop(index, None)

    def shown(self, index: int) -> User | None:
        """The user as the list shows it."""
        return self._stale[index] if index in self._stale else self._read(index)

    def _arrive(self, index: int) -> None:
        user = self._read(index)
        if user is None:
            self.order.remove(index)
        else:
            self.order.place(index, user.last_seen_us or 0)


def _snapshot(user: User | None) -> User | None:
    if user is None:
        return None
    return replace(user, props=dict(user.props), props_custom=dict(user.props_custom))
