select tag, day
from {{ ref('conversation_tag_days') }}
group by tag, day
having count(*) > 1
