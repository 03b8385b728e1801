"""The promise: no window of the server's, of any kind, sees more requests than its limit."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from math import inf
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dashly_state.budget import BudgetUsage, Lease, RateLimit, RequestBudget, seconds_until_free
from dashly_state.clock import SystemClock, VirtualClock
from dashly_state.errors import BudgetError, StateError
from dashly_state.process import SystemProcesses, process_name

TOKEN = "app.12345.very-secret-token"
SPENDER = Path(__file__).parent / "programs" / "spend_budget.py"


class PretendedProcess:
    """A process table in which this process has a name of its choice, and in which the dead are named."""

    def __init__(self, name: str = "1@1", boot_id: str = "boot", dead: set[str] | None = None) -> None:
        self.name = name
        self.boot_id = boot_id
        self.dead = dead if dead is not None else set()

    def current(self) -> str:
        return self.name

    def is_alive(self, process: str) -> bool:
        return process not in self.dead


class TokenBucket:
    """The limiter of a server: holds `size`, refilled evenly; a request that finds less than one token is refused."""

    def __init__(self, limit: RateLimit) -> None:
        self._size = float(limit.requests)
        self._rate = limit.requests / limit.seconds
        self._tokens = self._size
        self._at: float | None = None

    def admits(self, at: float) -> bool:
        passed = 0.0 if self._at is None else at - self._at
        self._tokens = min(self._tokens + passed * self._rate, self._size) - 1
        self._at = at
        return self._tokens > -1e-6


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    return folder / "budget.sqlite"


Opener = Callable[..., RequestBudget]


@pytest.fixture
def open_budget(path: Path, clock: VirtualClock) -> Iterator[Opener]:
    """Return a function that opens the budget as one process or another, and closes all in the end."""
    opened: list[RequestBudget] = []

    def open_one(limit: str = "3/60", token: str = TOKEN, **options: object) -> RequestBudget:
        options = {"clock": clock, "safety_share": 0.0, "processes": PretendedProcess(), **options}
        opened.append(RequestBudget(path, token, RateLimit.parse(limit), **options))  # type: ignore[arg-type]
        return opened[-1]

    yield open_one
    for budget in opened:
        budget.close()


def take(budget: RequestBudget) -> Lease:
    lease = budget.try_acquire()
    assert isinstance(lease, Lease), f"refused, free in {lease} s"
    return lease


def refusal(budget: RequestBudget) -> float:
    seconds = budget.try_acquire()
    assert isinstance(seconds, float), "a request was let through"
    return seconds


def most_in_a_window(arrivals: list[float], seconds: float) -> int:
    """Return the largest number of arrivals in [x, x + seconds), for any x."""
    arrivals = sorted(arrivals)
    most = first = 0
    for last, arrival in enumerate(arrivals):
        while arrival - arrivals[first] >= seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


# ---- the limit as text


@pytest.mark.parametrize("text", ["60/60", "1/1", "30/0.5", "1000/86400", "7/2.25"])
def test_a_limit_reads_as_it_is_written(text: str) -> None:
    assert text == str(RateLimit.parse(text))


def test_a_limit_may_have_spaces() -> None:
    assert RateLimit(60, 60.0) == RateLimit.parse(" 60 / 60 ")


@pytest.mark.parametrize(
    "text", ["60", "a/b", "", "60/", "/60", "-1/60", "60/-1", "60/60/60", "1e3/60", "60/nan", "٦/60"]
)
def test_what_is_no_limit_is_answered_with_its_form(text: str) -> None:
    with pytest.raises(ValueError, match=r"a rate limit is written requests/seconds, such as 60/60, not '"):
        RateLimit.parse(text)


@pytest.mark.parametrize("text", ["0/60", "60/0", "0/0", "5/0.0"])
def test_a_limit_of_nothing_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="at least one request in more than zero seconds"):
        RateLimit.parse(text)


@pytest.mark.parametrize("seconds", [float("inf"), float("nan"), -1.0])
def test_a_limit_needs_a_length_of_time(seconds: float) -> None:
    with pytest.raises(ValueError, match="more than zero seconds"):
        RateLimit(60, seconds)


# ---- the rule


def test_a_request_counts_from_its_end(open_budget: Opener, clock: VirtualClock) -> None:
    budget = open_budget("1/60")
    lease = take(budget)
    clock.advance(0.4)
    lease.release()

    assert refusal(budget) == 60.0
    clock.advance(59.99)
    assert refusal(budget) == pytest.approx(0.01, abs=0.001)
    clock.advance(0.02)
    take(budget)


@pytest.mark.parametrize(
    ("latency_seconds", "free_after"), [(0.05, 60.0), (0.5, 60.0), (3.0, 57.5), (30.0, 30.5), (65.0, 30.0)]
)
def test_a_request_counts_from_the_end_of_its_reach_unless_it_was_faster(
    open_budget: Opener, clock: VirtualClock, latency_seconds: float, free_after: float
) -> None:
    """Of half a second; a window of which nobody has an answer in less than half of it is nothing to go by."""
    budget = open_budget("1/60")
    lease = take(budget)
    clock.advance(latency_seconds)
    lease.release()

    assert refusal(budget) == pytest.approx(free_after)
    clock.advance(free_after + 0.001)
    take(budget)


def test_what_a_request_took_longer_than_the_fastest_it_may_have_lost_on_its_way(
    open_budget: Opener, clock: VirtualClock
) -> None:
    budget = open_budget("2/60")
    lost = take(budget)
    clock.advance(8.0)
    lost.release()
    clock.advance(2.0)
    swift = take(budget)
    clock.advance(3.0)
    swift.release()

    assert refusal(budget) == pytest.approx(52.0), "at 5 s: it was 13 s ago that it started"
    clock.advance(50.0)
    assert refusal(budget) == pytest.approx(2.0)


def test_without_a_reach_every_request_counts_from_its_end(open_budget: Opener, clock: VirtualClock) -> None:
    budget = open_budget("1/60", reach_seconds=inf)
    lease = take(budget)
    clock.advance(3.0)
    lease.release()

    assert refusal(budget) == 60.0


@pytest.mark.parametrize("reach_seconds", [0.0, -1.0, float("nan")])
def test_no_request_is_counted_before_it_starts(open_budget: Opener, reach_seconds: float) -> None:
    with pytest.raises(ValueError, match="reach_seconds is more than 0"):
        open_budget(reach_seconds=reach_seconds)


@pytest.mark.parametrize("limit", ["1/60", "1/2"])
@pytest.mark.parametrize("flight_seconds", [0.5, 3.0, 59.0, 61.5, 110.0])
def test_a_request_in_flight_counts_however_long_it_takes(
    open_budget: Opener, clock: VirtualClock, limit: str, flight_seconds: float
) -> None:
    budget = open_budget(limit)
    take(budget)
    clock.advance(flight_seconds)

    assert refusal(budget) > 0
    assert budget.usage().started == 1


def test_one_that_waits_for_a_request_in_flight_asks_again_when_that_may_have_made_room(
    open_budget: Opener, clock: VirtualClock
) -> None:
    budget = open_budget("1/60")
    lease = take(budget)
    assert refusal(budget) == 60.0
    clock.advance(8.0)
    assert refusal(budget) == 60.0, "it may end now, and nobody knows a faster answer"
    lease.release()
    assert refusal(budget) == 52.5, "8 s are what an answer takes: it counts from the end of its reach"


def test_waiting_ends_at_the_instant_at_which_a_request_frees(open_budget: Opener, clock: VirtualClock) -> None:
    budget = open_budget("2/60")
    take(budget).release()
    clock.advance(10.0)
    take(budget).release()
    began = clock.monotonic()
    lease = budget.acquire()

    assert lease is not None
    assert clock.monotonic() - began == pytest.approx(50.0, abs=0.002)
    assert budget.waited_seconds == pytest.approx(50.0, abs=0.002)


def test_the_window_is_made_longer_by_the_safety_share(open_budget: Opener) -> None:
    budget = open_budget("1/60", safety_share=0.002)
    take(budget).release()

    assert refusal(budget) == pytest.approx(60.12)


def test_a_lease_ends_with_its_block_also_when_the_request_fails(open_budget: Opener) -> None:
    budget = open_budget("2/60")
    with take(budget), pytest.raises(ConnectionError):
        raise ConnectionError
    with pytest.raises(ConnectionError), take(budget):
        raise ConnectionError

    assert budget.usage() == BudgetUsage(2, 60.0, started=2, in_flight=0, closed_for_seconds=0.0)


def test_a_lease_released_twice_ends_once(open_budget: Opener, clock: VirtualClock) -> None:
    budget = open_budget("1/60")
    lease = take(budget)
    lease.release()
    clock.advance(30.0)
    lease.release()

    assert refusal(budget) == 30.0


def test_usage_says_how_much_is_left(open_budget: Opener, clock: VirtualClock) -> None:
    budget = open_budget("5/60")
    take(budget).release()
    take(budget)
    clock.advance(1.0)

    assert budget.usage() == BudgetUsage(5, 60.0, started=2, in_flight=1, closed_for_seconds=0.0)
    assert budget.usage().free == 3


def test_tokens_that_share_a_file_share_nothing_else(open_budget: Opener) -> None:
    mine, yours = open_budget("1/60"), open_budget("1/60", token="another")
    take(mine)
    mine.close_for(1000.0)

    take(yours)


def test_a_process_set_to_a_short_window_does_not_blind_one_set_to_a_long_one(
    open_budget: Opener, clock: VirtualClock
) -> None:
    paced, patient = open_budget("1/1"), open_budget("2/60")
    for _ in range(2):
        take(paced).release()
        clock.advance(2.0)

    assert refusal(patient) == 56.0


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["start", "pass", "end"] * 4 + ["die", "step", "reopen"]),
        st.integers(0, 2),
        st.sampled_from([0.0, 0.01, 0.03, 0.3, 0.5, 0.9, 1.0]) | st.floats(0, 1),
    ),
    min_size=40,
    max_size=80,
)
"""What happens, to which of three processes, and how far: in time, or between the start and the end of a request."""

REACHES = st.sampled_from([inf, 1.0, 5.0, 20.0])
"""`inf` is the rule without a condition: a request arrives anywhere. Otherwise it arrives within its reach."""


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, requests=st.integers(1, 3), reach=REACHES, rush=st.booleans(), strict=st.booleans())
def test_no_window_and_no_bucket_ever_sees_more_than_the_limit(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[str, int, float]],
    requests: int,
    reach: float,
    *,
    rush: bool,
    strict: bool,
) -> None:
    """Three processes start, end, die and come back, clocks are set; a request arrives anywhere between its ends.

    Within its reach, that is, unless there was a 429.
    """
    limit = RateLimit(requests, 60)
    simulation = Simulation(tmp_path_factory.mktemp("budget") / "budget.sqlite", limit, reach, rush=rush, strict=strict)
    for action, who, share in steps:
        simulation.do(action, who, share)
    simulation.close()

    assert most_in_a_window(simulation.arrivals, limit.seconds) <= limit.requests
    bucket = TokenBucket(limit)
    assert all(bucket.admits(arrival) for arrival in sorted(simulation.arrivals))


class Simulation:
    """Three processes on one budget in virtual time. `rush` makes each of them ask until it is refused.

    `strict` begins with a 429, so that no request needs to arrive within its reach.
    """

    def __init__(self, path: Path, limit: RateLimit, reach: float, *, rush: bool, strict: bool) -> None:
        self.arrivals: list[float] = []
        self._path, self._limit, self._reach, self._rush = path, limit, reach, rush
        self._arrives_within = inf if strict else reach
        self._clock = VirtualClock()
        self._dead: set[str] = set()
        self._names = ["", "", ""]
        self._budgets = [self._open(who) for who in range(3)]
        self._flights: list[list[tuple[float, Lease]]] = [[], [], []]
        if strict:
            self._budgets[0].close_for(0.0)

    def do(self, action: str, who: int, share: float) -> None:
        getattr(self, f"_{action}")(who, share)

    def close(self) -> None:
        for who, budget in enumerate(self._budgets):
            self._arrive(who, 1.0)
            budget.close()

    def _open(self, who: int) -> RequestBudget:
        self._names[who] = f"{who}@{len(self._dead)}"
        process = PretendedProcess(self._names[who], dead=self._dead)
        return RequestBudget(
            self._path,
            TOKEN,
            self._limit,
            self._clock,
            reach_seconds=self._reach,
            strict_seconds=1e9,
            max_flight_seconds=1e9,
            processes=process,
        )

    def _start(self, who: int, _share: float) -> None:
        while isinstance(lease := self._budgets[who].try_acquire(), Lease):
            self._flights[who].append((self._clock.monotonic(), lease))
            if not self._rush:
                break

    def _end(self, who: int, share: float) -> None:
        for lease in self._arrive(who, share):
            lease.release()

    def _arrive(self, who: int, share: float) -> list[Lease]:
        flights, self._flights[who] = self._flights[who], []
        now = self._clock.monotonic()
        self.arrivals += [started + min(now - started, self._arrives_within) * share for started, _ in flights]
        return [lease for _, lease in flights]

    def _pass(self, _who: int, share: float) -> None:
        self._clock.advance(share * self._limit.seconds * 1.1)

    def _step(self, _who: int, share: float) -> None:
        self._clock.step((share - 0.5) * 10_000)

    def _die(self, who: int, share: float) -> None:
        self._arrive(who, share)
        self._budgets[who].close()
        self._dead.add(self._names[who])
        self._budgets[who] = self._open(who)

    def _reopen(self, who: int, _share: float) -> None:
        self._budgets[who].close()


@given(st.integers(1, 70), st.lists(st.floats(0, 59.9), max_size=150).map(lambda ages: sorted(ages, reverse=True)))
def test_nothing_is_free_before_the_time_that_was_told(limit: int, ages: list[float]) -> None:
    seconds = seconds_until_free(limit, 60.0, ages)
    just_before = [age for age in ages if age + seconds - 0.01 < 60.0]

    assert (seconds == 0.0) == (len(ages) < limit)
    assert seconds == 0.0 or len(just_before) >= limit


# ---- places that are left to others


def take_and_release(budget: RequestBudget, leave: int = 0) -> bool:
    """Sends a request that is answered at once, if it may; returns whether it did."""
    lease = budget.try_acquire(leave)
    if isinstance(lease, Lease):
        lease.release()
    return isinstance(lease, Lease)


def test_who_leaves_places_takes_no_more_than_the_others(open_budget: Opener, clock: VirtualClock) -> None:
    budget = open_budget("10/60")
    taken = []
    while clock.monotonic() - VirtualClock().monotonic() < 60.0:
        taken.append(take_and_release(budget, leave=2))
        clock.advance(1.0)

    assert 8 == sum(taken)
    assert [take_and_release(budget), take_and_release(budget, leave=2)] == [True, False]


def test_who_leaves_places_takes_the_others_evenly(open_budget: Opener, clock: VirtualClock) -> None:
    """Places taken in a burst would free in one, and nobody who comes then would find any in between."""
    budget = open_budget("10/60")
    at = []
    for second in range(60):
        at += [second for _ in range(5) if take_and_release(budget, leave=2)]
        clock.advance(1.0)

    assert [0, 0, 12, 12, 24, 24, 36, 36] == at


def test_whoever_leaves_more_than_there_is_gets_what_there_is(open_budget: Opener) -> None:
    assert take_and_release(open_budget("1/60"), leave=5)


class BusyClock(VirtualClock):
    """While somebody waits, another process is at work ten times a second; who waits is in time for its own end."""

    def __init__(self) -> None:
        super().__init__()
        self.work: Callable[[], object] = bool

    def wait(self, seconds: float, stop: threading.Event | None = None) -> bool:
        ends = self.monotonic() + seconds
        while self.monotonic() < ends:
            self.work()
            super().wait(min(0.1, ends - self.monotonic()), stop)
        return stop is not None and stop.is_set()


def test_who_leaves_places_gets_one_a_window_however_much_the_others_want(open_budget: Opener) -> None:
    clock, arrivals = BusyClock(), []
    reader = open_budget("20/60", clock=clock, processes=PretendedProcess("reader@1"))
    writer = open_budget("20/60", clock=clock, processes=PretendedProcess("writer@1"))

    def read() -> None:
        if take_and_release(reader):
            arrivals.append(clock.monotonic())

    clock.work = read
    clock.wait(60.0)
    waits = []
    for _ in range(3):
        began = clock.monotonic()
        lease = writer.acquire(leave=2)
        assert lease is not None
        lease.release()
        arrivals.append(clock.monotonic())
        waits.append(clock.monotonic() - began)

    assert [60.0 <= wait < 63.1 for wait in waits] == [True] * 3, waits
    assert most_in_a_window(arrivals, 60.0) == 20


# ---- what else can happen


def test_after_a_429_no_process_starts_a_request(open_budget: Opener, clock: VirtualClock) -> None:
    one, other = open_budget(), open_budget(processes=PretendedProcess("2@1"))
    one.close_for(60.0)
    one.close_for(10.0)

    assert refusal(other) == pytest.approx(60.0)
    assert other.usage().closed_for_seconds == pytest.approx(60.0)
    assert other.usage().free == 0
    clock.advance(60.1)
    take(other)


def test_after_a_429_every_request_counts_from_its_end_for_an_hour_in_every_process(
    open_budget: Opener, clock: VirtualClock
) -> None:
    """Also those that ended before it: the 429 says that their reach was perhaps longer than believed."""
    one, other, stranger = open_budget(), open_budget(processes=PretendedProcess("2@1")), open_budget(token="another")
    leases = [take(one), take(one), take(other)]
    clock.advance(3.0)
    for lease in leases:
        lease.release()
    assert other.usage().strict_for_seconds == 0.0
    assert refusal(other) == pytest.approx(57.5)
    one.close_for(1.0)
    one.close()

    for budget in (one, other, open_budget(processes=PretendedProcess("3@1"))):
        assert refusal(budget) == pytest.approx(60.0)
        assert budget.usage().strict_for_seconds == pytest.approx(3601.0)
    assert stranger.usage().strict_for_seconds == 0.0
    clock.advance(3600.0)
    assert other.usage().strict_for_seconds == pytest.approx(1.0)
    clock.advance(1.5)
    assert other.usage().strict_for_seconds == 0.0
    lease = take(other)
    clock.advance(3.0)
    lease.release()
    assert refusal(open_budget("1/60")) == pytest.approx(57.5), "the reach is believed again"


def test_a_second_429_begins_the_hour_anew(open_budget: Opener, clock: VirtualClock) -> None:
    budget = open_budget()
    budget.close_for(61.0)
    clock.advance(1000.0)
    budget.close_for(61.0)

    assert budget.usage().strict_for_seconds == pytest.approx(3661.0)


@pytest.mark.parametrize("step", [-86_400.0, -30.0, 30.0, 86_400.0])
def test_setting_the_clock_changes_nothing(open_budget: Opener, clock: VirtualClock, step: float) -> None:
    budget = open_budget("2/60")
    take(budget).release()
    take(budget).release()
    budget.close_for(20.0)
    clock.step(step)
    clock.advance(10.0)

    assert refusal(budget) == pytest.approx(50.0)
    assert budget.usage().closed_for_seconds == pytest.approx(10.0)


def reboot(clock: VirtualClock, off_seconds: float) -> VirtualClock:
    """Return the clock of the next boot: monotonic time begins anew, the wall clock goes on."""
    booted = VirtualClock(start=5.0)
    booted.step(clock.now() + off_seconds - 5.0)
    return booted


def test_a_reboot_forgets_nothing_of_the_window(open_budget: Opener, clock: VirtualClock) -> None:
    before = open_budget("2/60")
    take(before).release()
    take(before)
    before.close_for(50.0)
    clock.advance(10.0)
    booted = reboot(clock, 20.0)
    budget = open_budget("2/60", clock=booted, processes=PretendedProcess("9@9", boot_id="next"))

    assert refusal(budget) == pytest.approx(30.0)
    assert budget.usage().started == 2
    assert budget.usage().in_flight == 0
    assert budget.usage().closed_for_seconds == pytest.approx(20.0)
    assert budget.usage().strict_for_seconds == pytest.approx(3620.0)
    booted.advance(30.1)
    take(budget)
    assert refusal(budget) == pytest.approx(29.9), "the request in flight at the reboot ends when it is found"


@pytest.mark.parametrize("boot_id", ["next", "boot"])
def test_nothing_is_waited_for_when_the_last_run_was_yesterday_before_a_reboot(
    open_budget: Opener, clock: VirtualClock, boot_id: str
) -> None:
    before = open_budget("1/60")
    take(before).release()
    booted = reboot(clock, 86_400.0)

    take(open_budget("1/60", clock=booted, processes=PretendedProcess("9@9", boot_id=boot_id)))


def test_after_a_reboot_with_the_clock_gone_back_a_window_is_waited_for_at_most(
    open_budget: Opener, clock: VirtualClock
) -> None:
    before = open_budget("1/60")
    take(before).release()
    before.close_for(100.0)
    booted = reboot(clock, -1e9)
    budget = open_budget("1/60", clock=booted, processes=PretendedProcess("9@9", boot_id="next"))

    assert refusal(budget) == 100.0
    booted.advance(100.1)
    take(budget)


def test_the_lease_of_a_dead_process_ends_when_it_is_found_and_only_once(
    open_budget: Opener, clock: VirtualClock
) -> None:
    dead: set[str] = set()
    killed, other = open_budget("1/60"), open_budget("1/60", processes=PretendedProcess("2@1", dead=dead))
    take(killed)
    clock.advance(30.0)
    dead.add("1@1")

    assert refusal(other) == 60.0
    clock.advance(20.0)
    assert refusal(other) == 40.0
    clock.advance(40.1)
    take(other)


def test_the_lease_of_a_dead_process_has_no_reach(open_budget: Opener, clock: VirtualClock) -> None:
    """What it sent may have been on its way until it was found, for all that is known."""
    dead: set[str] = set()
    killed, other = open_budget("1/60"), open_budget("1/60", processes=PretendedProcess("2@1", dead=dead))
    take(killed)
    clock.advance(3.0)
    dead.add("1@1")

    assert refusal(other) == 60.0


def test_a_waiting_process_finds_out_within_a_second_that_another_has_died(
    open_budget: Opener, clock: VirtualClock
) -> None:
    dead: set[str] = set()
    killed = open_budget("1/60")
    take(killed)
    other = open_budget("1/60", clock=clock, processes=DiesLater(dead, clock, at=clock.monotonic() + 30.5))
    began = clock.monotonic()

    assert other.acquire() is not None
    assert clock.monotonic() - began == pytest.approx(30.5 + 60.0, abs=1.1)


class DiesLater(PretendedProcess):
    """A process table in which everybody else dies at an instant."""

    def __init__(self, dead: set[str], clock: VirtualClock, at: float) -> None:
        super().__init__("2@1", dead=dead)
        self._clock, self._at = clock, at

    def is_alive(self, process: str) -> bool:
        return process == self.name or self._clock.monotonic() < self._at


def test_a_lease_that_nobody_releases_is_given_up_and_may_still_end_later(
    open_budget: Opener, clock: VirtualClock
) -> None:
    budget = open_budget("1/60", max_flight_seconds=120.0)
    forgotten = take(budget)
    clock.advance(120.1)

    assert budget.usage().in_flight == 0
    assert refusal(budget) == 60.0
    clock.advance(60.1)
    assert budget.usage().free == 1
    forgotten.release()
    assert refusal(budget) == 30.0, "it ended now, although its row was pruned; its 180 s are its own measure"


def test_a_stopped_caller_gets_nothing(open_budget: Opener) -> None:
    stop = threading.Event()
    stop.set()

    assert open_budget().acquire(stop) is None


def test_stopping_ends_the_wait_within_a_fifth_of_a_second(open_budget: Opener) -> None:
    budget = open_budget("1/60", clock=SystemClock())
    take(budget).release()
    stop = threading.Event()
    timer = threading.Timer(0.15, stop.set)
    began = time.monotonic()
    timer.start()

    assert budget.acquire(stop) is None
    assert time.monotonic() - began < 0.35
    assert 0.1 < budget.waited_seconds < 0.35
    timer.join()


def test_threads_share_one_budget(open_budget: Opener) -> None:
    budget = open_budget("40/60", clock=SystemClock())
    leases: list[Lease | float] = []
    threads = [
        threading.Thread(target=lambda: leases.extend(budget.try_acquire() for _ in range(10))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(isinstance(lease, Lease) for lease in leases) == 40
    assert budget.usage().in_flight == 40


# ---- the file


def test_the_token_is_in_no_file(open_budget: Opener, path: Path) -> None:
    budget = open_budget()
    take(budget).release()
    budget.close_for(1.0)

    for file in path.parent.iterdir():
        assert TOKEN.encode() not in file.read_bytes(), file.name
        assert TOKEN not in file.name


def test_only_the_owner_can_read_the_files(open_budget: Opener, path: Path) -> None:
    take(open_budget())

    assert {file.name: "-rw-------" for file in path.parent.iterdir()} == {
        file.name: stat.filemode(file.stat().st_mode) for file in path.parent.iterdir()
    }


def test_the_file_does_not_grow(open_budget: Opener, clock: VirtualClock, path: Path) -> None:
    budget = open_budget("60/60")
    for _ in range(1200):
        lease = budget.acquire()
        assert lease is not None
        lease.release()
        clock.advance(0.5)
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT count(*) FROM requests").fetchone()[0]

    assert rows <= 61 + 30  # those of a tenth of the minute before may still lie there
    assert sum(file.stat().st_size for file in path.parent.iterdir()) < 2_000_000


def test_tokens_of_yesterday_are_forgotten(open_budget: Opener, clock: VirtualClock, path: Path) -> None:
    old = open_budget(token="old")
    take(old)
    old.close()
    clock.advance(90_000.0)
    take(open_budget())
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT count(*) FROM requests").fetchone()[0]

    assert rows == 1


@pytest.mark.parametrize(
    ("damage", "reason"),
    [(b"this is no database at all" * 200, "cannot be read as a database"), (b"", "schema version 0")],
)
def test_a_damaged_file_is_replaced_and_a_window_is_waited_for(
    open_budget: Opener, clock: VirtualClock, path: Path, damage: bytes, reason: str
) -> None:
    path.write_bytes(damage)
    budget = open_budget()

    assert refusal(budget) == pytest.approx(60.0)
    assert reason in (budget.discarded or "")
    assert damage == path.with_name("budget.sqlite.corrupt").read_bytes()
    clock.advance(60.1)
    take(budget)


def test_a_file_of_another_version_is_replaced_and_a_window_is_waited_for(open_budget: Opener, path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 77")
    budget = open_budget()

    assert refusal(budget) == pytest.approx(60.0)
    assert budget.discarded == "it has schema version 77, this program reads 2"


def test_a_file_that_is_damaged_while_in_use_is_replaced_and_a_window_is_waited_for(
    open_budget: Opener, path: Path
) -> None:
    first = open_budget()
    take(first).release()
    first.close()  # the log is folded in
    contents = bytearray(path.read_bytes())
    contents[100:] = os.urandom(len(contents) - 100)
    second = open_budget()
    assert second.usage().started == 1
    path.write_bytes(contents)
    second.close()

    assert refusal(second) == pytest.approx(60.0)
    assert second.discarded


def test_a_file_that_is_removed_while_in_use_is_made_anew_and_a_window_is_waited_for(
    open_budget: Opener, path: Path
) -> None:
    budget = open_budget()
    lease = take(budget)
    for file in list(path.parent.iterdir()):
        file.unlink()
    lease.release()

    assert refusal(budget) == pytest.approx(60.0)
    assert budget.discarded == "it was removed or replaced while in use"


def test_a_file_that_cannot_be_opened_says_what_to_do(open_budget: Opener, path: Path) -> None:
    path.mkdir()
    with pytest.raises(BudgetError, match=r"budget.sqlite cannot be used .* See that its folder exists") as raised:
        open_budget().try_acquire()

    assert isinstance(raised.value, StateError)
    assert "wait 60 s" in raised.value.mend


def test_a_file_that_somebody_else_has_locked_is_waited_for(open_budget: Opener, path: Path) -> None:
    budget = open_budget()
    budget.usage()
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(0.2, other.execute, ["COMMIT"])
        timer.start()
        take(budget)
        timer.join()


def test_a_lease_can_be_released_when_its_file_cannot_be_written(open_budget: Opener, path: Path) -> None:
    budget = open_budget()
    lease = take(budget)
    budget.close()
    path.unlink()
    path.mkdir()
    lease.release()

    with pytest.raises(BudgetError):
        budget.usage()


def test_a_fork_needs_a_budget_of_its_own(open_budget: Opener) -> None:
    budget = open_budget()
    take(budget)
    child = os.fork()
    if child == 0:
        try:
            budget.try_acquire()
        except BudgetError:
            os._exit(7)
        os._exit(1)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


# ---- real processes


def run_spenders(
    path: Path, log: Path, limit: RateLimit, seconds: float, max_delay: float, threads: list[int]
) -> list[float]:
    """Let one process for each of `threads` spend the budget; return when each request arrived."""
    arguments = [path, limit, log, seconds, max_delay]
    children = [
        subprocess.Popen([sys.executable, SPENDER, *map(str, arguments), str(count), str(number)])
        for number, count in enumerate(threads)
    ]

    assert [0] * len(children) == [child.wait(timeout=30) for child in children]
    return sorted(float(line.split()[0]) for line in log.read_text().splitlines())


def share_of_budget_used(arrivals: list[float], limit: RateLimit) -> float:
    """Return how much of what the server allows was used: how soon each place of the window was taken again."""
    periods = [later - earlier for earlier, later in zip(arrivals, arrivals[limit.requests :], strict=False)]
    return limit.seconds * len(periods) / sum(periods)


@pytest.mark.soak  # evenly only on a machine that has time for all three
def test_three_processes_use_the_whole_budget_evenly_and_never_more(path: Path, tmp_path: Path) -> None:
    limit, log = RateLimit(30, 2), tmp_path / "arrivals"
    arrivals = run_spenders(path, log, limit, 5.0, 0.03, [1, 1, 1])
    counts = Counter(line.split()[1] for line in log.read_text().splitlines())

    assert most_in_a_window(arrivals, limit.seconds) <= limit.requests
    assert share_of_budget_used(arrivals, limit) >= 0.95
    assert len(counts) == 3
    assert min(counts.values()) >= 0.7 * len(arrivals) / 3


def test_a_process_with_eight_threads_leaves_the_others_their_part(path: Path, tmp_path: Path) -> None:
    limit, log = RateLimit(20, 1), tmp_path / "arrivals"
    arrivals = run_spenders(path, log, limit, 2.5, 0.01, [8, 1])
    counts = Counter(line.split()[1] for line in log.read_text().splitlines())

    assert most_in_a_window(arrivals, limit.seconds) <= limit.requests
    assert min(counts.values()) >= 0.5 * len(arrivals) / 9, "one thread of nine"


def test_a_killed_process_stops_nobody(path: Path, open_budget: Opener) -> None:
    script = (
        "import sys, time; from pathlib import Path; from dashly_state.budget import *\n"
        f"budget = RequestBudget(Path(sys.argv[1]), {TOKEN!r}, RateLimit(3, 1))\n"
        "leases = [budget.acquire() for _ in range(3)]\n"
        "print('in flight', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "in flight\n"
    budget = open_budget("3/1", clock=SystemClock(), processes=SystemProcesses())
    assert budget.usage().in_flight == 3

    child.send_signal(signal.SIGKILL)
    killed_at = time.monotonic()
    leases = [budget.acquire() for _ in range(3)]  # the child is a zombie until it is waited for
    waited = time.monotonic() - killed_at
    child.communicate()

    assert all(leases)
    assert 1.0 <= waited < 2.5


def test_the_process_table_knows_the_living_and_the_dead() -> None:
    table = SystemProcesses()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    name = process_name(child.pid)
    assert table.is_alive(name)
    assert table.is_alive(table.current())

    child.kill()
    time.sleep(0.1)
    zombie = table.is_alive(name)
    child.communicate()

    assert not table.is_alive(name)
    if sys.platform == "linux":
        assert not zombie
        assert not table.is_alive(f"{os.getpid()}@1"), "the pid was given to somebody else"
        assert table.boot_id
