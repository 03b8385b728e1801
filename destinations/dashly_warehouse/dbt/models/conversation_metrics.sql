-- One row per conversation: its state, who answered when, how long the user waited, and what it is made of.
with part_counts as (
    select
        conversation_id,
        count(*) as parts,
        count(*) filter (where kind = 'message') as messages,
        count(*) filter (where kind = 'message' and author = 'user') as user_messages,
        count(*) filter (where is_reply) as admin_messages,
        count(*) filter (where kind = 'message' and author = 'bot') as bot_messages,
        count(*) filter (where kind = 'note') as notes,
        count(*) filter (where kind = 'service') as service_entries,
        count(*) filter (where type = 'assigned' and assignee_id is not null) as assignments,
        min(created_at) filter (where kind = 'message' and author = 'user') as first_user_message_at,
        max(created_at) filter (where kind = 'message' and author = 'user') as last_user_message_at,
        min(created_at) filter (where asks_for_reply) as first_asked_at,
        max(created_at) filter (where is_reply) as last_reply_at,
        min(created_at) filter (where type = 'assigned' and assignee_id is not null) as first_assigned_at,
        max(created_at) filter (where type = 'assigned' and assignee_id is not null) as last_assigned_at
    from {{ ref('conversation_parts') }}
    group by conversation_id
),

first_bot_replies as (
    select parts.conversation_id, min(parts.created_at) as first_bot_reply_at
    from {{ ref('conversation_parts') }} as parts
    inner join part_counts on part_counts.conversation_id = parts.conversation_id
    where parts.kind = 'message' and parts.author = 'bot' and parts.created_at >= part_counts.first_user_message_at
    group by parts.conversation_id
),

writers as (
    select
        replies.conversation_id,
        replies.admin_id,
        admins.name,
        row_number() over (
            partition by replies.conversation_id
            order by replies.replies desc, replies.last_reply_at desc, replies.admin_id
        ) as place
    from (
        select conversation_id, admin_id, count(*) as replies, max(created_at) as last_reply_at
        from {{ ref('conversation_parts') }}
        where is_reply and admin_id is not null
        group by conversation_id, admin_id
    ) as replies
    left join {{ source('dashly', 'admins') }} as admins on admins.id = replies.admin_id
),

handlers as (
    select
        conversation_id,
        count(*) as admins,
        string_agg(coalesce(name, admin_id), ', ' order by place) as admin_names,
        max(case when place = 1 then admin_id end) as main_writer_id
    from writers
    group by conversation_id
),

tags as (
    select conversation_id, count(*) as tags_count, string_agg(tag, ', ' order by tag) as tags
    from {{ source('dashly', 'conversation_tags') }}
    where _deleted_at is null
    group by conversation_id
),

transitions as (
    select
        conversation_id,
        count(*) filter (where transition = 'closed') as closes,
        count(*) filter (where transition = 'reopened') as reopenings,
        min(changed_at) filter (where transition = 'reopened') as first_reopened_at,
        max(changed_at) filter (where transition = 'reopened') as last_reopened_at
    from {{ ref('conversation_transitions') }}
    group by conversation_id
),

durations as (
    select
        conversation_id,
        max(ended_at) filter (where kind = 'first response') as first_reply_at,
        max(admin_id) filter (where kind = 'first response') as first_reply_admin_id,
        max(seconds) filter (where kind = 'first response') as first_response_seconds,
        max(business_seconds) filter (where kind = 'first response') as first_response_business_seconds,
        max(ended_at) filter (where kind = 'first close') as first_closed_at,
        max(admin_id) filter (where kind = 'first close') as first_closed_by_admin_id,
        max(seconds) filter (where kind = 'first close') as first_close_seconds,
        max(business_seconds) filter (where kind = 'first close') as first_close_business_seconds,
        max(ended_at) filter (where kind = 'last close') as last_closed_at,
        max(admin_id) filter (where kind = 'last close') as last_closed_by_admin_id,
        max(seconds) filter (where kind = 'last close') as last_close_seconds,
        max(business_seconds) filter (where kind = 'last close') as last_close_business_seconds,
        count(*) filter (where kind = 'wait') as waits,
        sum(seconds) filter (where kind = 'wait') as waiting_seconds,
        sum(business_seconds) filter (where kind = 'wait') as waiting_business_seconds,
        max(seconds) filter (where kind = 'wait') as longest_wait_seconds,
        max(business_seconds) filter (where kind = 'wait') as longest_wait_business_seconds,
        max(started_at) filter (where kind = 'wait' and ended_at is null) as awaiting_reply_since
    from {{ ref('conversation_durations') }}
    group by conversation_id
)

select
    conversations.id as conversation_id,
    conversations.user_id,
    users.external_id as user_external_id,
    users.name as user_name,
    conversations.channel_id,
    channels.name as channel_name,
    channels.type as channel_type,
    conversations.type,
    conversations.message_id is not null as is_outbound,
    coalesce(tags.tags_count, 0) as tags_count,
    tags.tags,
    conversations.created_at,
    conversations.updated_at,

    not coalesce(conversations.closed, false) as is_open,
    durations.awaiting_reply_since is not null as is_awaiting_reply,
    durations.awaiting_reply_since,
    cast(extract(epoch from now() - durations.awaiting_reply_since) as double precision) as awaiting_reply_seconds,

    part_counts.first_user_message_at,
    part_counts.last_user_message_at,
    first_bot_replies.first_bot_reply_at,
    cast(
        extract(epoch from first_bot_replies.first_bot_reply_at - part_counts.first_user_message_at) as double precision
    ) as first_bot_reply_seconds,
    durations.first_reply_at,
    durations.first_reply_admin_id,
    durations.first_response_seconds,
    durations.first_response_business_seconds,
    part_counts.last_reply_at,

    coalesce(durations.waits, 0) as waits,
    coalesce(durations.waiting_seconds, 0) as waiting_seconds,
    coalesce(durations.waiting_business_seconds, 0) as waiting_business_seconds,
    durations.longest_wait_seconds,
    durations.longest_wait_business_seconds,

    durations.first_closed_at,
    durations.first_closed_by_admin_id,
    durations.first_close_seconds,
    durations.first_close_business_seconds,
    durations.last_closed_at,
    durations.last_closed_by_admin_id,
    durations.last_close_seconds,
    durations.last_close_business_seconds,
    coalesce(transitions.closes, 0) as closes,
    coalesce(transitions.reopenings, 0) as reopenings,
    transitions.first_reopened_at,
    transitions.last_reopened_at,

    conversations.assignee_id,
    assignees.name as assignee_name,
    coalesce(part_counts.assignments, 0) as assignments,
    part_counts.first_assigned_at,
    part_counts.last_assigned_at,
    coalesce(handlers.main_writer_id, conversations.assignee_id) as handling_admin_id,
    handling_admins.name as handling_admin_name,
    coalesce(handlers.admins, 0) as admins,
    handlers.admin_names,

    coalesce(part_counts.parts, 0) as parts,
    coalesce(part_counts.messages, 0) as messages,
    coalesce(part_counts.user_messages, 0) as user_messages,
    coalesce(part_counts.admin_messages, 0) as admin_messages,
    coalesce(part_counts.bot_messages, 0) as bot_messages,
    coalesce(part_counts.notes, 0) as notes,
    coalesce(part_counts.service_entries, 0) as service_entries
from {{ source('dashly', 'conversations') }} as conversations
left join part_counts on part_counts.conversation_id = conversations.id
left join first_bot_replies on first_bot_replies.conversation_id = conversations.id
left join handlers on handlers.conversation_id = conversations.id
left join tags on tags.conversation_id = conversations.id
left join transitions on transitions.conversation_id = conversations.id
left join durations on durations.conversation_id = conversations.id
left join {{ source('dashly', 'users') }} as users on users.id = conversations.user_id
left join {{ source('dashly', 'channels') }} as channels on channels.id = conversations.channel_id
left join {{ source('dashly', 'admins') }} as assignees on assignees.id = conversations.assignee_id
left join {{ source('dashly', 'admins') }} as handling_admins
    on handling_admins.id = coalesce(handlers.main_writer_id, conversations.assignee_id)
where conversations._deleted_at is null
