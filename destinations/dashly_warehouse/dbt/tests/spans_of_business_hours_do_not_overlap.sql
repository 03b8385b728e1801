select opens_at, closes_at, next_opens_at
from (
    select opens_at, closes_at, lead(opens_at) over (order by opens_at) as next_opens_at
    from {{ ref('business_hours') }}
) as spans
where closes_at > next_opens_at
