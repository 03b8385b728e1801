-- One row per part of a conversation that still exists, with what it is and whose it is.
with live_parts as (
    select
        parts.id as part_id,
        parts.conversation_id,
        parts.created_at,
        parts.type,
        parts.author_type,
        parts.author_id,
        parts.assignee_id,
        case
            when parts.type = 'note' then 'note'
            when parts.type like 'reply%' or parts.type like 'chat_bot%' or parts.type in ('auto_reply', 'article')
                then 'message'
            else 'service'
        end as kind,
        case
            when parts.author_type = 'user' or parts.type in ('reply_user', 'chat_bot_user') then 'user'
            when
                parts.author_type = 'bot'
                or parts.type in ('auto_reply', 'chat_bot_admin')
                or parts.sent_via = 'message_auto'
                then 'bot'
            when parts.author_type in ('admin', 'default_admin') or parts.type = 'reply_admin' then 'admin'
        end as author
    from {{ source('dashly', 'parts') }} as parts
    inner join {{ source('dashly', 'conversations') }} as conversations
        on conversations.id = parts.conversation_id
    where parts._deleted_at is null and parts.removed_at is null and conversations._deleted_at is null
)

select
    part_id,
    conversation_id,
    created_at,
    type,
    kind,
    author,
    case when author = 'admin' and author_type = 'admin' then author_id end as admin_id,
    case when type = 'assigned' then assignee_id end as assignee_id,
    -- an answer to a bot's question asks nobody for a reply
    coalesce(kind = 'message' and author = 'user' and type <> 'chat_bot_user', false) as asks_for_reply,
    coalesce(kind = 'message' and author = 'admin', false) as is_reply
from live_parts
