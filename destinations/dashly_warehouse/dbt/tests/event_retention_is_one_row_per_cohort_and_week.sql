select type_id, cohort_week, weeks_since
from {{ ref('event_retention') }}
group by type_id, cohort_week, weeks_since
having count(*) > 1
