-- One row per operator and UTC day on which there was something to count: work done, and how fast.
with deeds as (
    select admin_id, conversation_id, created_at as done_at, kind as deed, cast(null as double precision) as seconds,
        cast(null as double precision) as business_seconds
    from {{ ref('conversation_parts') }}
    where admin_id is not null and (is_reply or kind = 'note')

    union all

    select assignee_id, conversation_id, created_at, 'assigned', null, null
    from {{ ref('conversation_parts') }}
    where assignee_id is not null

    union all

    select admin_id, conversation_id, changed_at, transition, null, null
    from {{ ref('conversation_transitions') }}
    where admin_id is not null

    union all

    select admin_id, conversation_id, ended_at, kind, seconds, business_seconds
    from {{ ref('conversation_durations') }}
    where admin_id is not null and ended_by = 'reply'
)

select
    deeds.admin_id,
    cast(deeds.done_at at time zone 'UTC' as date) as day,
    max(admins.name) as admin_name,
    count(distinct case when deeds.deed <> 'assigned' then deeds.conversation_id end) as conversations,
    count(*) filter (where deeds.deed = 'message') as replies,
    count(*) filter (where deeds.deed = 'note') as notes,
    count(*) filter (where deeds.deed = 'closed') as closes,
    count(*) filter (where deeds.deed = 'reopened') as reopenings,
    count(distinct case when deeds.deed = 'assigned' then deeds.conversation_id end) as conversations_assigned,
    count(*) filter (where deeds.deed = 'first response') as first_responses,
    avg(case when deeds.deed = 'first response' then deeds.seconds end) as average_first_response_seconds,
    percentile_cont(0.5) within group (
        order by case when deeds.deed = 'first response' then deeds.seconds end
    ) as median_first_response_seconds,
    percentile_cont(0.5) within group (
        order by case when deeds.deed = 'first response' then deeds.business_seconds end
    ) as median_first_response_business_seconds,
    count(*) filter (where deeds.deed = 'wait') as waits_ended,
    avg(case when deeds.deed = 'wait' then deeds.seconds end) as average_wait_seconds,
    percentile_cont(0.5) within group (order by case when deeds.deed = 'wait' then deeds.seconds end) as median_wait_seconds,
    percentile_cont(0.5) within group (
        order by case when deeds.deed = 'wait' then deeds.business_seconds end
    ) as median_wait_business_seconds
from deeds
left join {{ source('dashly', 'admins') }} as admins on admins.id = deeds.admin_id
group by deeds.admin_id, cast(deeds.done_at at time zone 'UTC' as date)
