-- One row per user and event type: the first time, the last time, and which step it was for the user.
with steps as (
    select
        user_id,
        type_id,
        max(event) as event,
        min(created_at) as first_at,
        max(created_at) as last_at,
        count(*) as times
    from {{ ref('user_events') }}
    where type_id is not null
    group by user_id, type_id
)

select
    user_id,
    type_id,
    event,
    first_at,
    last_at,
    times,
    row_number() over (partition by user_id order by first_at, length(type_id), type_id) as step
from steps
