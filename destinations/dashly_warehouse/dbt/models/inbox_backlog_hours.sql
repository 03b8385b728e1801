-- One row per hour since the first conversation: what changed in it, and what was open and unanswered at its end.
with steps as (
    select
        changed_at as moment,
        transition as step,
        case when transition = 'closed' then -1 else 1 end as open_change,
        0 as awaiting_change
    from {{ ref('conversation_transitions') }}

    union all

    select started_at, 'wait', 0, 1
    from {{ ref('conversation_durations') }}
    where kind = 'wait'

    union all

    select ended_at, 'wait', 0, -1
    from {{ ref('conversation_durations') }}
    where kind = 'wait' and ended_at is not null
),

hours_with_steps as (
    select
        date_trunc('hour', moment at time zone 'UTC') as hour,
        count(*) filter (where step = 'opened') as opened,
        count(*) filter (where step = 'closed') as closed,
        count(*) filter (where step = 'reopened') as reopened,
        sum(open_change) as open_change,
        sum(awaiting_change) as awaiting_change
    from steps
    group by date_trunc('hour', moment at time zone 'UTC')
),

hours as (
    select series.hour
    from (select min(hour) as first_hour, date_trunc('hour', now() at time zone 'UTC') as last_hour from hours_with_steps) as bounds
    cross join lateral generate_series(bounds.first_hour, bounds.last_hour, interval '1 hour') as series (hour)
)

select
    hours.hour at time zone 'UTC' as hour_at,
    coalesce(hours_with_steps.opened, 0) as opened,
    coalesce(hours_with_steps.closed, 0) as closed,
    coalesce(hours_with_steps.reopened, 0) as reopened,
    cast(sum(coalesce(hours_with_steps.open_change, 0)) over (order by hours.hour) as bigint) as open_at_end,
    cast(sum(coalesce(hours_with_steps.awaiting_change, 0)) over (order by hours.hour) as bigint) as awaiting_reply_at_end
from hours
left join hours_with_steps on hours_with_steps.hour = hours.hour
