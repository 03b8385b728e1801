-- One row per opening, closing and reopening of a conversation, as its parts and its present state tell.
with entries as (
    select
        part_id,
        conversation_id,
        created_at,
        admin_id,
        case when type = 'opened' then 'reopened' else 'closed' end as transition,
        lag(case when type = 'opened' then 'reopened' else 'closed' end, 1, 'reopened') over (
            partition by conversation_id order by created_at, length(part_id), part_id
        ) as previous
    from {{ ref('conversation_parts') }}
    where type in ('closed', 'final_closed', 'opened')
),

changes as (
    select part_id, conversation_id, created_at, admin_id, transition
    from entries
    where transition <> previous
),

last_changes as (
    select
        conversation_id,
        max(created_at) as changed_at,
        count(*) filter (where transition = 'closed') > count(*) filter (where transition = 'reopened') as is_closed
    from changes
    group by conversation_id
),

-- where the conversation's state is another one than its parts say
unsaid as (
    select
        conversations.id as conversation_id,
        conversations.created_at,
        conversations.updated_at,
        last_changes.changed_at,
        coalesce(conversations.closed, false) as is_closed
    from {{ source('dashly', 'conversations') }} as conversations
    left join last_changes on last_changes.conversation_id = conversations.id
    where
        conversations._deleted_at is null
        and coalesce(conversations.closed, false) <> coalesce(last_changes.is_closed, false)
),

reopening_messages as (
    select unsaid.conversation_id, min(parts.created_at) as written_at
    from unsaid
    inner join {{ ref('conversation_parts') }} as parts on parts.conversation_id = unsaid.conversation_id
    where not unsaid.is_closed and parts.asks_for_reply and parts.created_at >= unsaid.changed_at
    group by unsaid.conversation_id
)

select
    id as conversation_id,
    created_at as changed_at,
    'opened' as transition,
    cast(null as varchar) as part_id,
    cast(null as varchar) as admin_id
from {{ source('dashly', 'conversations') }}
where _deleted_at is null

union all

select conversation_id, created_at, transition, part_id, admin_id
from changes

union all

select
    unsaid.conversation_id,
    case
        when unsaid.is_closed then greatest(unsaid.created_at, unsaid.updated_at, unsaid.changed_at)
        else coalesce(reopening_messages.written_at, greatest(unsaid.updated_at, unsaid.changed_at))
    end,
    case when unsaid.is_closed then 'closed' else 'reopened' end,
    null,
    null
from unsaid
left join reopening_messages on reopening_messages.conversation_id = unsaid.conversation_id
