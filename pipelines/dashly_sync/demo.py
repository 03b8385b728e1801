"""The demo: a simulated account, two syncs into a DuckDB file, and a first look at the data. No account, no network."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from dashly.endpoints import DEFAULT_RESOURCES
from dashly_simulator import Server, Simulator, SimulatorSettings, serve
from dashly_state.budget import RateLimit
from dashly_sync.run import Run, RunLimits
from dashly_sync.run_log import RunRecord
from dashly_sync.settings import Settings
from dashly_sync.signals import StopSignal
from dashly_sync.summary import closing_sentence
from dashly_sync.talk import Talk
from dashly_sync.watch import RunWatch, watching
from dashly_warehouse.connections import connect
from dashly_warehouse.query import run_query, write_result
from dashly_warehouse.specs import parse_destination

LOOKS = (
    ("What has arrived", """
        select 'users' as "table", count(*) as rows, max(last_seen_at) as newest from users
        union all select 'events', count(*), max(created_at) from events
        union all select 'conversations', count(*), max(updated_at) from conversations
        union all select 'parts', count(*), max(created_at) from parts
        order by rows desc"""),
    ("Who answers, and how fast: minutes from a customer's first message to the first reply", """
        with first_reply as (
            select c.id, c.created_at, min(p.created_at) as replied_at
            from conversations c join parts p on p.conversation_id = c.id and p.type = 'reply_admin'
            where c.message_id is null group by all)
        select coalesce(a.name, 'default admin') as admin, count(*) as conversations,
               round(median(date_diff('second', r.created_at, r.replied_at)) / 60.0, 1) as median_minutes
        from first_reply r
        join parts p on p.conversation_id = r.id and p.created_at = r.replied_at and p.type = 'reply_admin'
        left join admins a on a.id = p.author_id
        group by all order by conversations desc, admin limit 5"""),
    ("What users do, by event", """
        select name, count(*) as events, count(distinct user_id) as users, max(created_at) as newest
        from events group by name order by events desc, name limit 5"""),
)  # fmt: skip


def run_demo(file: Path, stop: StopSignal, out: TextIO) -> str:
    """Syncs a simulated account twice into `file`, prints what it holds, and returns the closing sentence.

    Raises:
        WarehouseError: The file cannot be written.
    """
    simulator = Simulator(SimulatorSettings(users=200, conversations=120, clock="real"))
    with serve(simulator) as server, _settings(server, simulator, file) as settings:
        print(f"A simulated Dashly app answers at {server.base_url}: 200 users, 120 conversations.\n", file=out)
        first = _sync(settings, stop)
        print(f"First sync.  {closing_sentence(first)}", file=out)
        simulator.life.churn(0.05)
        second = _sync(settings, stop)
        print(f"Second sync, after 5 % of the account changed.  {closing_sentence(second)}", file=out)
    _look(file, out)
    minutes = first.requests / 60
    return (
        f"{first.requests:,} requests for the first sync, {second.requests:,} for the second; at Dashly's 60 a minute "
        f'the first takes {minutes:.0f} minutes. Go on: {_command()} query --to duckdb:///{file} "select …"'
    )


def _command() -> str:
    """Returns what to type for this command: after `make demo` it is in a virtual environment, not on the PATH."""
    started = Path(sys.argv[0])
    is_script = started.name == "dashly-sync" and shutil.which("dashly-sync") is None
    return shlex.quote(os.path.relpath(started)) if is_script else "dashly-sync"


@contextmanager
def _settings(server: Server, simulator: Simulator, file: Path) -> Iterator[Settings]:
    with tempfile.TemporaryDirectory(prefix="dashly-demo-") as state:
        yield Settings(
            auth_token=simulator.settings.auth_token,
            base_url=server.base_url,
            rate_limit=RateLimit(60_000, 60.0),
            destination=f"duckdb:///{file}",
            state_dir=Path(state),
        )


def _sync(settings: Settings, stop: StopSignal) -> RunRecord:
    watch = RunWatch(settings.rate_limit)
    with watching(watch, Talk()):
        return Run(settings, RunLimits(DEFAULT_RESOURCES), stop, watch).carry_out()


def _look(file: Path, out: TextIO) -> None:
    with connect(parse_destination(f"duckdb:///{file}"), "dashly") as warehouse:
        for title, sql in LOOKS:
            print(f"\n{title}", file=out)
            write_result(run_query(warehouse, sql), "table", out)
    print(file=out)
