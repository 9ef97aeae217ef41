-- What users have set for themselves.

-- name: preferences_of_user
select preferences from apex.preferences where user_id = %(user_id)s

-- name: store_preferences
insert into apex.preferences (user_id, preferences)
values (%(user_id)s, %(preferences)s)
on conflict (user_id) do update
set preferences = excluded.preferences, updated_at = now()

-- name: time_zone_of_user
select preferences ->> 'time_zone' as time_zone
from apex.preferences
where user_id = %(user_id)s
