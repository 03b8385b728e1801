-- One row per event of a user who still exists, with the name of its type as it is today.
select
    events.id as event_id,
    events.user_id,
    events.type_id,
    coalesce(event_types.name, events.name) as event,
    events.created_at
from {{ source('dashly', 'events') }} as events
inner join {{ source('dashly', 'users') }} as users on users.id = events.user_id
left join {{ source('dashly', 'event_types') }} as event_types on event_types.id = events.type_id
where events._deleted_at is null and users._deleted_at is null and users.removed_at is null
