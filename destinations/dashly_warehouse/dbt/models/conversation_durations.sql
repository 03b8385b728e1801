-- One row per measured duration: each wait for a reply, the first response, the first and the last close.
with turns as (
    select
        conversation_id,
        created_at,
        part_id,
        admin_id,
        case when asks_for_reply then 'user' else 'reply' end as turn
    from {{ ref('conversation_parts') }}
    where asks_for_reply or is_reply

    union all

    select conversation_id, changed_at, part_id, admin_id, 'close'
    from {{ ref('conversation_transitions') }}
    where transition = 'closed'
),

turns_in_order as (
    select
        *,
        lag(turn) over (
            partition by conversation_id order by created_at, length(part_id) nulls last, part_id nulls last
        ) as previous_turn,
        min(case when turn = 'user' then created_at end) over (partition by conversation_id) as first_asked_at
    from turns
),

-- a wait begins with the first of the user's messages in a row, and ends with what follows the last of them
bounds as (
    select
        *,
        lead(created_at) over w as ended_at,
        lead(turn) over w as ended_by,
        lead(admin_id) over w as ended_by_admin_id
    from turns_in_order
    where (turn = 'user') <> coalesce(previous_turn = 'user', false)
    window w as (partition by conversation_id order by created_at, length(part_id) nulls last, part_id nulls last)
),

first_responses as (
    select distinct on (conversation_id)
        conversation_id, first_asked_at, created_at, admin_id
    from turns_in_order
    where turn = 'reply' and created_at >= first_asked_at
    order by conversation_id, created_at, length(part_id), part_id
),

closes as (
    select
        transitions.conversation_id,
        transitions.changed_at,
        transitions.admin_id,
        conversations.created_at,
        row_number() over (
            partition by transitions.conversation_id order by transitions.changed_at, transitions.part_id nulls last
        ) as number_from_first,
        row_number() over (
            partition by transitions.conversation_id order by transitions.changed_at desc, transitions.part_id desc nulls first
        ) as number_from_last
    from {{ ref('conversation_transitions') }} as transitions
    inner join {{ source('dashly', 'conversations') }} as conversations on conversations.id = transitions.conversation_id
    where transitions.transition = 'closed'
),

durations as (
    select
        'wait ' || bounds.part_id as duration_id,
        'wait' as kind,
        bounds.conversation_id,
        bounds.created_at as started_at,
        bounds.ended_at,
        bounds.ended_by,
        bounds.ended_by_admin_id as admin_id
    from bounds
    inner join {{ source('dashly', 'conversations') }} as conversations on conversations.id = bounds.conversation_id
    -- nobody waits for a reply to what was written into a closed conversation
    where bounds.turn = 'user' and (bounds.ended_at is not null or not coalesce(conversations.closed, false))

    union all

    select
        'first response ' || conversation_id,
        'first response',
        conversation_id,
        first_asked_at,
        created_at,
        'reply',
        admin_id
    from first_responses

    union all

    select 'first close ' || conversation_id, 'first close', conversation_id, created_at, changed_at, 'close', admin_id
    from closes
    where number_from_first = 1

    union all

    select 'last close ' || conversation_id, 'last close', conversation_id, created_at, changed_at, 'close', admin_id
    from closes
    where number_from_last = 1
),

-- Business seconds between two moments are those until the one, less those until the other. All moments and spans go
-- through one sort, in which each moment takes up the span that opened last: no moment is held against every span.
moments as (
    select cast(null as varchar) as duration_id, opens_at as moment, 0 as sign, closes_at, seconds_by_close
    from {{ ref('business_hours') }}

    union all

    select duration_id, started_at, -1, null, null
    from durations
    where ended_at is not null

    union all

    select duration_id, ended_at, 1, null, null
    from durations
    where ended_at is not null
),

moments_in_spans as (
    select
        duration_id,
        moment,
        sign,
        max(closes_at) over (order by moment rows unbounded preceding) as closes_at,
        max(seconds_by_close) over (order by moment rows unbounded preceding) as seconds_by_close
    from moments
),

business as (
    select
        duration_id,
        -- in whole microseconds, as the difference of two sums of seconds would be a little off
        cast(
            sum(
                sign * (
                    seconds_by_close * 1000000
                    - cast(extract(epoch from greatest(closes_at - moment, interval '0 seconds')) * 1000000 as bigint)
                )
            ) as double precision
        ) / 1000000 as business_seconds
    from moments_in_spans
    where duration_id is not null
    group by duration_id
)

select
    durations.duration_id,
    durations.kind,
    durations.conversation_id,
    durations.started_at,
    durations.ended_at,
    durations.ended_by,
    durations.admin_id,
    cast(extract(epoch from durations.ended_at - durations.started_at) as double precision) as seconds,
    -- before the first span there is nothing to count
    case when durations.ended_at is not null then coalesce(business.business_seconds, 0) end as business_seconds
from durations
left join business on business.duration_id = durations.duration_id
