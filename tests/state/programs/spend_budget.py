"""Spends a request budget from a process of its own: each request arrives somewhere between its start and its end.

spend_budget.py FILE LIMIT LOG SECONDS MAX_DELAY THREADS SEED
"""

import os
import random
import sys
import threading
import time
from pathlib import Path

from dashly_state.budget import RateLimit, RequestBudget


def spend(budget: RequestBudget, log: int, until: float, max_delay: float, chance: random.Random) -> None:
    while time.monotonic() < until and (lease := budget.acquire()):
        with lease:
            time.sleep(chance.uniform(0, max_delay))
            os.write(log, f"{time.monotonic()!r} {os.getpid()}\n".encode())  # appended in one piece
            time.sleep(chance.uniform(0, max_delay))


def main(path: str, limit: str, log_path: str, seconds: str, max_delay: str, threads: str, seed: str) -> None:
    budget = RequestBudget(Path(path), "secret-token", RateLimit.parse(limit))
    log = os.open(log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    until = time.monotonic() + float(seconds)
    spenders = [
        threading.Thread(target=spend, args=(budget, log, until, float(max_delay), random.Random(f"{seed}.{number}")))
        for number in range(int(threads))
    ]
    for spender in spenders:
        spender.start()
    for spender in spenders:
        spender.join()
    budget.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
