-- One row per UTC day since the first event or conversation: users, events, conversations, answers.
with deeds as (
    select user_id, cast(created_at at time zone 'UTC' as date) as day, 1 as events
    from {{ ref('user_events') }}

    union all

    select conversations.user_id, cast(parts.created_at at time zone 'UTC' as date), 0
    from {{ ref('conversation_parts') }} as parts
    inner join {{ source('dashly', 'conversations') }} as conversations on conversations.id = parts.conversation_id
    inner join {{ source('dashly', 'users') }} as users on users.id = conversations.user_id
    where
        parts.kind = 'message' and parts.author = 'user'
        and users._deleted_at is null and users.removed_at is null
),

user_days as (
    select user_id, day, cast(sum(events) as bigint) as events
    from deeds
    group by user_id, day
),

active as (
    select day, count(*) as active_users, cast(sum(events) as bigint) as events
    from user_days
    group by day
),

new as (
    select day, count(*) as new_users
    from (select min(day) as day from user_days group by user_id) as first_days
    group by day
),

messages as (
    select
        cast(created_at at time zone 'UTC' as date) as day,
        count(*) filter (where author = 'user') as user_messages,
        count(*) filter (where author = 'admin') as admin_messages,
        count(*) filter (where author = 'bot') as bot_messages
    from {{ ref('conversation_parts') }}
    where kind = 'message'
    group by cast(created_at at time zone 'UTC' as date)
),

responses as (
    select
        cast(ended_at at time zone 'UTC' as date) as day,
        count(*) as first_responses,
        percentile_cont(0.5) within group (order by seconds) as median_first_response_seconds,
        percentile_cont(0.5) within group (order by business_seconds) as median_first_response_business_seconds
    from {{ ref('conversation_durations') }}
    where kind = 'first response'
    group by cast(ended_at at time zone 'UTC' as date)
),

backlog as (
    select
        cast(hour_at at time zone 'UTC' as date) as day,
        cast(sum(opened) as bigint) as opened,
        cast(sum(closed) as bigint) as closed,
        cast(sum(reopened) as bigint) as reopened,
        max(case when place = 1 then open_at_end end) as open_at_end,
        max(case when place = 1 then awaiting_reply_at_end end) as awaiting_reply_at_end
    from (
        select
            *, row_number() over (partition by cast(hour_at at time zone 'UTC' as date) order by hour_at desc) as place
        from {{ ref('inbox_backlog_hours') }}
    ) as hours
    group by cast(hour_at at time zone 'UTC' as date)
),

days as (
    select cast(series.day as date) as day
    from (
        select
            cast(min(day) as timestamp) as first_day,
            cast(cast(now() at time zone 'UTC' as date) as timestamp) as last_day
        from (select day from active union all select day from backlog) as known_days
    ) as bounds
    cross join lateral generate_series(bounds.first_day, bounds.last_day, interval '1 day') as series (day)
)

select
    days.day,
    coalesce(new.new_users, 0) as new_users,
    coalesce(active.active_users, 0) as active_users,
    coalesce(active.events, 0) as events,
    coalesce(backlog.opened, 0) as conversations_opened,
    coalesce(backlog.closed, 0) as conversations_closed,
    coalesce(backlog.reopened, 0) as conversations_reopened,
    coalesce(backlog.open_at_end, 0) as conversations_open_at_end,
    coalesce(backlog.awaiting_reply_at_end, 0) as awaiting_reply_at_end,
    coalesce(messages.user_messages, 0) as user_messages,
    coalesce(messages.admin_messages, 0) as admin_messages,
    coalesce(messages.bot_messages, 0) as bot_messages,
    coalesce(responses.first_responses, 0) as first_responses,
    responses.median_first_response_seconds,
    responses.median_first_response_business_seconds
from days
left join new on new.day = days.day
left join active on active.day = days.day
left join backlog on backlog.day = days.day
left join messages on messages.day = days.day
left join responses on responses.day = days.day
