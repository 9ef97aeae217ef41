-- The event log: one a user, numbered without a gap.

-- name: open_log
-- Makes the user's row where there is none; the returned position is where the log ends now.
with inserted as (
    insert into apex.users (org, sub) values (%(org)s, %(sub)s)
    on conflict (org, sub) do nothing
    returning id, seq, trimmed_seq
)
select id, seq, trimmed_seq from inserted
union all
select id, seq, trimmed_seq from apex.users where org = %(org)s and sub = %(sub)s
limit 1

-- name: log_epoch
select l.id::text || '/' || s.system_identifier::text || '/' || c.timeline_id::text as epoch
from apex.log_incarnation l, pg_control_system() s, pg_control_checkpoint() c

-- name: log_incarnation
-- For servers whose administrator has withdrawn the pg_control_* functions.
select l.id::text as epoch from apex.log_incarnation l

-- name: append_events
-- Locks the user's row first and numbers from it: the order of numbers is the order of commits.
with numbered as (
    update apex.users set seq = seq + %(count)s
    where id = %(user_id)s
    returning seq - %(count)s as base
)
insert into apex.events
    (user_id, seq, event_id, type, ts, thread_id, run_id, agent, attempt, payload)
select %(user_id)s, n.base + e.ordinal, e.event_id, e.type, e.ts,
       e.thread_id, e.run_id, e.agent, e.attempt, e.payload
from numbered n,
     unnest(%(event_ids)s::uuid[], %(types)s::text[], %(moments)s::timestamptz[],
            %(thread_ids)s::uuid[], %(run_ids)s::uuid[], %(agents)s::text[],
            %(attempts)s::integer[], %(payloads)s::json[])
     with ordinality
     as e (event_id, type, ts, thread_id, run_id, agent, attempt, payload, ordinal)
returning seq

-- name: read_events
select seq, event_id, type, ts, thread_id, run_id, agent, attempt, payload
from apex.events
where user_id = %(user_id)s and seq > %(after)s
order by seq
limit %(limit)s

-- name: read_run_events
select seq, event_id, type, ts, thread_id, run_id, agent, attempt, payload
from apex.events
where run_id = %(run_id)s
order by seq

-- name: log_positions
select id, seq from apex.users where id = any(%(user_ids)s::bigint[])

-- name: lock_log
-- Waits for whoever is appending: a statement after this one sees what they have committed.
select 1 from apex.users where id = %(user_id)s for update

-- name: events_by_id
-- Whether a commit whose outcome was not heard of has happened: it can only stand near the end.
with recent as (
    select seq, event_id, type, ts, thread_id, run_id, agent, attempt, payload
    from apex.events
    where user_id = %(user_id)s
    order by seq desc
    limit 10000
)
select * from recent where event_id = any(%(event_ids)s::uuid[]) order by seq
