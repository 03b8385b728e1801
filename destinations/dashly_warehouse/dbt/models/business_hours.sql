-- One row per opening span of the calendar that business seconds are counted by, from the first conversation to tomorrow.
with days as (
    select series.day
    from (
        select
            -- two days early: where it is yesterday still, a night shift may have begun the day before
            cast(cast(min(created_at) at time zone 'UTC' as date) - 2 as timestamp) as first_day,
            cast(cast(now() at time zone 'UTC' as date) + 1 as timestamp) as last_day
        from {{ source('dashly', 'conversations') }}
    ) as bounds
    cross join lateral generate_series(bounds.first_day, bounds.last_day, interval '1 day') as series (day)
),

spans as (
    select
        -- clock times of the place become moments, so that a day that gains or loses an hour is counted right
        (days.day + cast(hours.opens as interval)) at time zone '{{ var('time_zone') }}' as opens_at,
        (days.day + cast(hours.closes as interval)) at time zone '{{ var('time_zone') }}' as closes_at
    from days
    inner join (values {{ var('opening_hours') }}) as hours (weekday, opens, closes)
        on hours.weekday = extract(isodow from days.day)
)

select
    opens_at,
    closes_at,
    cast(extract(epoch from closes_at - opens_at) as bigint) as seconds,
    cast(
        sum(extract(epoch from closes_at - opens_at)) over (order by opens_at, closes_at rows unbounded preceding) as bigint
    ) as seconds_by_close
from spans
where closes_at > opens_at
