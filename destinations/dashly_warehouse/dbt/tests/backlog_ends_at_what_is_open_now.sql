-- The hours add up: what is open at the end of the last one is what the conversations themselves say.
select last_hour.open_at_end, last_hour.awaiting_reply_at_end, state.open_now, state.awaiting_now
from (
    select open_at_end, awaiting_reply_at_end
    from {{ ref('inbox_backlog_hours') }}
    order by hour_at desc
    limit 1
) as last_hour
cross join (
    select
        count(*) filter (where is_open) as open_now,
        count(*) filter (where is_awaiting_reply) as awaiting_now
    from {{ ref('conversation_metrics') }}
) as state
where last_hour.open_at_end <> state.open_now or last_hour.awaiting_reply_at_end <> state.awaiting_now
