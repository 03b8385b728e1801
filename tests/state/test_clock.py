"""Time that can be stopped, and time that is only pretended."""

import signal
import subprocess
import sys
import threading
import time

from dashly_state.clock import SystemClock, VirtualClock


def test_a_wait_lasts_as_long_as_it_was_told_to() -> None:
    clock = SystemClock()
    began = clock.monotonic()

    assert not clock.wait(0.12)
    assert not clock.wait(0.12, threading.Event())

    assert 0.24 <= clock.monotonic() - began < 0.4


def test_a_wait_ends_within_a_fifth_of_a_second_when_it_is_stopped() -> None:
    stop = threading.Event()
    timer = threading.Timer(0.1, stop.set)
    began = time.monotonic()
    timer.start()

    assert SystemClock().wait(30.0, stop)

    assert time.monotonic() - began < 0.3
    timer.join()


def test_a_wait_that_was_stopped_before_it_began_is_none() -> None:
    stop = threading.Event()
    stop.set()
    virtual = VirtualClock(start=5.0)

    assert SystemClock().wait(30.0, stop)
    assert virtual.wait(30.0, stop)

    assert virtual.monotonic() == 5.0


def test_a_signal_handler_may_set_the_event_that_its_own_thread_waits_for() -> None:
    """`Event.wait` can block for ever here: the handler needs the lock that the interrupted thread holds."""
    stop, clock = threading.Event(), SystemClock()
    before = signal.signal(signal.SIGALRM, lambda *_: stop.set())
    try:
        for _ in range(300):
            stop.clear()
            signal.setitimer(signal.ITIMER_REAL, 0.0002)
            while not clock.wait(0.0001, stop):
                pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    assert stop.is_set()


def test_monotonic_time_is_the_same_in_every_process() -> None:
    script = "from dashly_state.clock import SystemClock; print(SystemClock().monotonic())"
    before = SystemClock().monotonic()
    there = float(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout)

    assert before < there < SystemClock().monotonic()


def test_the_wall_clock_is_unix_time() -> None:
    assert abs(SystemClock().now() - time.time()) < 1.0


def test_virtual_time_passes_when_somebody_waits() -> None:
    clock = VirtualClock(start=100.0)
    clock.wait(20.0)
    clock.advance(3.0)
    clock.advance(-50.0)

    assert clock.monotonic() == 123.0
    assert clock.now() == 123.0


def test_a_step_of_the_wall_clock_is_no_time_that_passed() -> None:
    clock = VirtualClock(start=100.0)
    clock.step(-40.0)
    clock.advance(1.0)

    assert clock.monotonic() == 101.0
    assert clock.now() == 61.0


def test_no_virtual_second_is_lost_between_threads() -> None:
    clock = VirtualClock(start=0.0)
    threads = [threading.Thread(target=lambda: [clock.wait(1.0) for _ in range(500)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert clock.monotonic() == 2000.0
