"""The simulated accounts that are compared on, and what happens in them between two runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from dashly_simulator import Simulator, SimulatorSettings
from dashly_simulator.answers import Answer

SEED = 14
AT_REST_SECONDS = 86_400.0
"""Nothing has happened for so long when an account is first loaded."""
BEHIND_SECONDS = 150.0
"""What happens next takes a virtual 1.4 s a deed, up to a hundred of them. It begins so long before the first load, so
that nothing comes from the future: a cursor that ends now would leave it out."""
SIZES = {
    "usual": {"users": 200, "conversations": 120},
    "limited": {"users": 60, "conversations": 40, "events_per_user": 20.0, "parts_per_conversation": 8.0},
    "large": {"users": 10_300, "conversations": 20, "events_per_user": 1.0, "parts_per_conversation": 2.0},
}
"""By name, how large. `usual` has about 11,700 events and 1,400 parts."""
LIMIT = "60/60"


class WatchedSimulator(Simulator):
    """A simulator that does something at its n-th request, after the request took effect and before its answer leaves.

    All its users were seen: the page tokens among those who never were are so small that whoever reads them as numbers
    writes them as `7.4e-12`, which the simulator does not take for a token. What the API does is not documented.
    """

    def __init__(self, settings: SimulatorSettings) -> None:
        super().__init__(settings)
        for user in [row["id"] for row in self.truth.rows("users") if row["last_seen_at"] is None]:
            self.life.user_visits(user)
        self.clock.catch_up(settings.start_time.timestamp() + AT_REST_SECONDS - BEHIND_SECONDS)
        self._at: int | None = None
        self._deed: Callable[[], None] = lambda: None

    def at_request(self, number: int, deed: Callable[[], None]) -> None:
        """Does the deed once, at this request of all since the start."""
        self._at, self._deed = number, deed

    def answer(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        now: float | None = None,
    ) -> Answer:
        """What the API answers."""
        found = super().answer(method, path, params, headers, now)
        if self._at is not None and self.requests.total >= self._at:
            self._at = None
            self._deed()
        return found


def settings_of(size: str, began: datetime) -> SimulatorSettings:
    """An account of this size, which was at rest when the comparison began; equal for equal times.

    Without rows that tie across the end of a page: how the API tells their pages apart is not documented, and in the
    simulator it is by digits of the page token that only a token kept as text still has.
    """
    start = began - timedelta(seconds=AT_REST_SECONDS)
    usual = SimulatorSettings(seed=SEED, ties=0, start_time=start, **SIZES[size])  # type: ignore[arg-type]
    return replace(usual, clock="real", rate_limit=LIMIT) if size == "limited" else usual


def now() -> datetime:
    """This moment, in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)


# ---- what happens


def churn(simulator: Simulator) -> None:
    """A while of ordinary life: 5 % of the users and conversations are active, and some are new."""
    simulator.life.churn(0.05)


def backdated(simulator: Simulator) -> None:
    """Five users come by, and with each an event that is older than others of theirs: from an offline app, say."""
    for user in seen_users(simulator)[10:160:30]:
        simulator.life.backdated_event(user, days=400)
        simulator.life.user_visits(user)


def edited_and_answered(simulator: Simulator) -> None:
    """In five conversations somebody corrects an older message, and then there is a reply."""
    for talk, part in older_messages(simulator, 5):
        simulator.life.edit_part(part)
        simulator.life.reply(talk)


def edited(simulator: Simulator) -> None:
    """In five conversations somebody corrects an older message, and nothing else happens."""
    for _talk, part in older_messages(simulator, 5):
        simulator.life.edit_part(part)


def silent_events(simulator: Simulator) -> None:
    """A server tracks an event for each of five users, who do not come by."""
    for user in seen_users(simulator)[10:160:30]:
        simulator.life.silent_event(user)


def deletions(simulator: Simulator) -> None:
    """A user and two conversations of others are erased, with all that belongs to them."""
    owners = {row["user_id"] for row in simulator.truth.rows("conversations")}
    events: dict[str, int] = {}
    for row in simulator.truth.rows("events"):
        events[row["user_id"]] = events.get(row["user_id"], 0) + 1
    user = min(sorted(events.keys() - owners), key=lambda one: abs(events[one] - 50))
    simulator.life.delete_user(user)
    for talk, _part in older_messages(simulator, 2):
        simulator.life.delete_conversation(talk)


def late_events(simulator: Simulator) -> None:
    """Twenty users who were away for a month come by, and their app hands in an event of the day before."""
    month = datetime.fromtimestamp(simulator.clock.now(), UTC) - timedelta(days=30)
    away = [row["id"] for row in simulator.truth.rows("users") if row["last_seen_at"] and row["last_seen_at"] < month]
    for user in away[:: len(away) // 20][:20]:
        simulator.life.backdated_event(user, days=1)
        simulator.life.user_visits(user)


def seen_users(simulator: Simulator) -> list[str]:
    """Users in the order of the list, without those who were never seen."""
    seen = [row for row in simulator.truth.rows("users") if row["last_seen_at"] is not None]
    return [row["id"] for row in sorted(seen, key=lambda row: (row["last_seen_at"], row["id"]), reverse=True)]


def older_messages(simulator: Simulator, count: int) -> list[tuple[str, str]]:
    """(conversation, part) of messages that are not the newest of theirs, each of another conversation."""
    newest = {row["id"]: row["part_last_id"] for row in simulator.truth.rows("conversations")}
    found: dict[str, str] = {}
    for part in simulator.truth.rows("parts"):
        talk = part["conversation_id"]
        if part["body"] and talk not in found and part["id"] != newest[talk] and not part["removed_at"]:
            found[talk] = part["id"]
    return list(islice(list(found.items())[3::11], count))
