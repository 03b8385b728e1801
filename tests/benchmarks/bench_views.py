"""What a look at each analytics view costs, on DuckDB and on Postgres, with 100,000 conversations.

`.venv/bin/python -m pytest tests/benchmarks/bench_views.py -n 0 -s` prints a table of seconds. Each view is read whole,
every column of it, into a temporary table.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from tests.conftest import Warehouse
from tests.warehouse.empty_tables import build_views, make_empty_tables

from dashly_warehouse.connections import Connection, connect
from dashly_warehouse.destinations import parse_destination
from dashly_warehouse.views import read_models

CONVERSATIONS = 100_000
PARTS_EACH = 10
USERS = 100_000
EVENTS_EACH = 20
MOST_SECONDS = 60.0

FILL = (
    """
    insert into users (id, last_seen_at, _synced_at)
    select cast(i as varchar), timestamptz '2023-01-01 00:00+00' + (i % 1000) * interval '1 day', now()
    from generate_series(1, {users}) as series (i)
    """,
    """
    insert into event_types (id, name, _synced_at)
    select cast(i as varchar), 'event ' || i, now() from generate_series(0, 29) as series (i)
    """,
    """
    insert into admins (id, name, type, _synced_at)
    select cast(i as varchar), 'admin ' || i, 'admin', now() from generate_series(0, 19) as series (i)
    """,
    """
    insert into events (id, user_id, type_id, name, created_at, _synced_at)
    select
        cast(u * 100 + k as varchar), cast(u as varchar), cast((u * 31 + k * k * 17) % 30 as varchar), 'event',
        timestamptz '2023-01-01 00:00+00' + (u % 700) * interval '1 day'
            + k * ((u * 7919) % 20000) * interval '1 minute',
        now()
    from generate_series(1, {users}) as us (u) cross join generate_series(1, {events}) as ks (k)
    """,
    """
    insert into conversations (id, user_id, created_at, updated_at, closed, assignee_id, _synced_at)
    select
        cast(1000000 + c as varchar), cast(1 + c % {users} as varchar),
        timestamptz '2023-01-01 00:00+00' + c * interval '15 minutes',
        timestamptz '2023-01-01 00:00+00' + c * interval '15 minutes'
            + {parts} * ((c * 7919) % 1000 + 1) * interval '1 minute',
        c % 3 <> 0, cast(c % 20 as varchar), now()
    from generate_series(1, {conversations}) as series (c)
    """,
    """
    insert into conversation_tags (conversation_id, tag, _synced_at)
    select cast(1000000 + c as varchar), 'tag ' || (c % 20), now()
    from generate_series(1, {conversations}) as series (c)
    """,
    """
    insert into parts
        (id, conversation_id, created_at, type, author_type, author_id, assignee_id, body, is_first, _synced_at)
    select
        cast(1000000000 + c * 100 + k as varchar), cast(1000000 + c as varchar),
        timestamptz '2023-01-01 00:00+00' + c * interval '15 minutes'
            + k * ((c * 7919) % 1000 + 1) * interval '1 minute',
        type,
        case type when 'reply_user' then 'user' when 'chat_bot_admin' then 'bot' else 'admin' end,
        case type when 'reply_user' then cast(1 + c % {users} as varchar) else cast((c + k) % 20 as varchar) end,
        case type when 'assigned' then cast(c % 20 as varchar) end,
        'a message of some sixty characters, as most of them are: ok?', k = 0, now()
    from (
        select c, k, case
            when k = 0 then 'reply_user'
            when k = {parts} - 1 and c % 3 <> 0 then 'closed'
            when k = 5 and c % 10 = 1 then 'closed'
            when k = 6 and c % 10 = 1 then 'opened'
            when (c * 31 + k * 17) % 100 < 40 then 'reply_user'
            when (c * 31 + k * 17) % 100 < 75 then 'reply_admin'
            when (c * 31 + k * 17) % 100 < 85 then 'note'
            when (c * 31 + k * 17) % 100 < 92 then 'chat_bot_admin'
            else 'assigned'
        end as type
        from generate_series(1, {conversations}) as cs (c) cross join generate_series(0, {parts} - 1) as ks (k)
    ) as drawn
    """,
)


def test_every_view_is_read_in_seconds(warehouse: Warehouse) -> None:
    make_empty_tables(warehouse)
    with connect(parse_destination(warehouse.destination), warehouse.dataset, read_only=False) as connection:
        for sql in FILL:
            connection.run(sql.format(conversations=CONVERSATIONS, parts=PARTS_EACH, users=USERS, events=EVENTS_EACH))
        if warehouse.kind == "postgres":
            connection.run("analyze")
    build_views(warehouse)
    with connect(parse_destination(warehouse.destination), warehouse.dataset, read_only=False) as connection:
        measured = dict(measure(connection))

    size = f"{CONVERSATIONS:,} conversations, {CONVERSATIONS * PARTS_EACH:,} parts, {USERS * EVENTS_EACH:,} events"
    print(f"\n{warehouse.kind}: {size}")  # noqa: T201 - the result
    for name, (seconds, rows) in measured.items():
        print(f"{name:28} {seconds:7.2f} s {rows:10,} rows")  # noqa: T201
    assert max(seconds for seconds, _ in measured.values()) < MOST_SECONDS


def measure(connection: Connection) -> Iterator[tuple[str, tuple[float, int]]]:
    """Yields the seconds that each view takes, and its rows."""
    for model in read_models():
        began = time.monotonic()
        connection.run(f"create temporary table looked_{model.name} as select * from {connection.dataset}.{model.name}")
        seconds = time.monotonic() - began
        rows = connection.execute(f"select count(*) from looked_{model.name}")[0][0]
        connection.run(f"drop table looked_{model.name}")
        yield model.name, (seconds, int(rows))
