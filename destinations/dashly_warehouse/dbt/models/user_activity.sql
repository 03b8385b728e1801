-- One row per user who still exists: first and last sign of life, events, conversations.
with event_totals as (
    select
        user_id,
        min(first_at) as first_event_at,
        max(last_at) as last_event_at,
        cast(sum(times) as bigint) as events,
        count(*) as event_types
    from {{ ref('event_funnel') }}
    group by user_id
),

conversation_totals as (
    select
        user_id,
        min(created_at) as first_conversation_at,
        max(created_at) as last_conversation_at,
        count(*) as conversations,
        count(*) filter (where not coalesce(closed, false)) as open_conversations
    from {{ source('dashly', 'conversations') }}
    where _deleted_at is null
    group by user_id
),

days as (
    select user_id, cast(created_at at time zone 'UTC' as date) as day
    from {{ ref('user_events') }}

    union

    select conversations.user_id, cast(parts.created_at at time zone 'UTC' as date)
    from {{ ref('conversation_parts') }} as parts
    inner join {{ source('dashly', 'conversations') }} as conversations on conversations.id = parts.conversation_id
    where parts.kind = 'message' and parts.author = 'user'
),

day_totals as (
    select user_id, count(*) as active_days
    from days
    group by user_id
)

select
    users.id as user_id,
    users.external_id,
    users.name,
    users.email,
    least(event_totals.first_event_at, conversation_totals.first_conversation_at, users.last_seen_at) as first_seen_at,
    greatest(event_totals.last_event_at, users.last_seen_at) as last_seen_at,
    event_totals.first_event_at,
    event_totals.last_event_at,
    coalesce(event_totals.events, 0) as events,
    coalesce(event_totals.event_types, 0) as event_types,
    coalesce(day_totals.active_days, 0) as active_days,
    coalesce(conversation_totals.conversations, 0) as conversations,
    coalesce(conversation_totals.open_conversations, 0) as open_conversations,
    conversation_totals.first_conversation_at,
    conversation_totals.last_conversation_at
from {{ source('dashly', 'users') }} as users
left join event_totals on event_totals.user_id = users.id
left join conversation_totals on conversation_totals.user_id = users.id
left join day_totals on day_totals.user_id = users.id
where users._deleted_at is null and users.removed_at is null
