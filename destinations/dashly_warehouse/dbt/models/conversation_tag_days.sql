-- One row per tag and UTC day on which conversations began that have the tag now.
select
    tags.tag,
    cast(metrics.created_at at time zone 'UTC' as date) as day,
    count(*) as conversations,
    count(*) filter (where metrics.is_open) as open_conversations,
    count(*) filter (where metrics.reopenings > 0) as reopened_conversations,
    percentile_cont(0.5) within group (order by metrics.first_response_seconds) as median_first_response_seconds,
    percentile_cont(0.5) within group (order by metrics.last_close_seconds) as median_last_close_seconds
from {{ source('dashly', 'conversation_tags') }} as tags
inner join {{ ref('conversation_metrics') }} as metrics on metrics.conversation_id = tags.conversation_id
where tags._deleted_at is null
group by tags.tag, cast(metrics.created_at at time zone 'UTC' as date)
