-- Threads and their messages.

-- name: thread_of_user
select id, title from apex.threads where id = %(thread_id)s and user_id = %(user_id)s

-- name: insert_thread
insert into apex.threads (id, user_id, title) values (%(thread_id)s, %(user_id)s, %(title)s)

-- name: touch_thread
update apex.threads set updated_at = now() where id = %(thread_id)s

-- name: insert_message
insert into apex.messages
    (id, user_id, thread_id, run_id, role, content, client_message_id, created_at)
values
    (%(message_id)s, %(user_id)s, %(thread_id)s, %(run_id)s, %(role)s, %(content)s,
     %(client_message_id)s, %(created_at)s)

-- name: recent_messages
-- The latest messages before a given one (or at all), newest first.
select m.id, m.role, m.content, m.created_at, m.run_id
from apex.messages m
where m.thread_id = %(thread_id)s
  and (%(before)s::uuid is null or (m.created_at, m.id) < (
      select b.created_at, b.id from apex.messages b
      where b.id = %(before)s and b.thread_id = %(thread_id)s))
order by m.created_at desc, m.id desc
limit %(limit)s

-- name: runs_of_messages
select id as run_id, status, partial, attempt
from apex.runs
where id = any(%(run_ids)s::uuid[])
order by accepted_at, id

-- name: events_of_runs
select run_id, seq, event_id, type, ts, thread_id, agent, attempt, payload
from apex.events
where run_id = any(%(run_ids)s::uuid[])
order by seq

-- name: latest_thread
select id from apex.threads where user_id = %(user_id)s order by updated_at desc, id limit 1
