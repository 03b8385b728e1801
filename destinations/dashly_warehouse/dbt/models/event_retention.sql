-- One row per event type, week in which users did it first, and week in which some of them did it again.
with typed_weeks as (
    select
        user_id,
        type_id,
        max(event) as event,
        cast(date_trunc('week', created_at at time zone 'UTC') as date) as week
    from {{ ref('user_events') }}
    where type_id is not null
    group by user_id, type_id, cast(date_trunc('week', created_at at time zone 'UTC') as date)
),

active_weeks as (
    select user_id, type_id, event, week
    from typed_weeks

    union all

    select user_id, 'any', 'any event', week
    from typed_weeks
    group by user_id, week
),

weeks_since_first as (
    select
        type_id,
        event,
        min(week) over (partition by user_id, type_id) as cohort_week,
        week
    from active_weeks
),

counts as (
    select
        type_id,
        max(event) as event,
        cohort_week,
        cast((week - cohort_week) / 7 as bigint) as weeks_since,
        count(*) as users_active
    from weeks_since_first
    group by type_id, cohort_week, week
)

select
    type_id,
    event,
    cohort_week,
    weeks_since,
    users_active,
    max(case when weeks_since = 0 then users_active end) over (partition by type_id, cohort_week) as cohort_users,
    cast(users_active as double precision)
    / max(case when weeks_since = 0 then users_active end) over (partition by type_id, cohort_week) as share_active
from counts
