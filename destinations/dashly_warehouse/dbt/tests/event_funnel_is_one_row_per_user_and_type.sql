select user_id, type_id
from {{ ref('event_funnel') }}
group by user_id, type_id
having count(*) > 1
