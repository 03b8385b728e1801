select admin_id, day
from {{ ref('admin_days') }}
group by admin_id, day
having count(*) > 1
