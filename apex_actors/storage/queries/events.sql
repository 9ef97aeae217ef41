-- The event log: one a user, numbered without a gap.

-- name: open_logs
-- Makes the rows of users that have none; the positions are where the logs end now, with what the
-- users' sessions know. A user whose row another connection makes at this moment is in neither
-- part: asked again, this statement finds it. In one order, so that two of them never wait for
-- each other; and without a try for rows that are there, each of which would cost a number.
with asked as (
    select org, sub, ordinal
    from unnest(%(orgs)s::text[], %(subs)s::text[]) with ordinality as a (org, sub, ordinal)
),
inserted as (
    insert into apex.users (org, sub)
    select distinct a.org, a.sub from asked a
    where not exists (select from apex.users u where u.org = a.org and u.sub = a.sub)
    order by a.org, a.sub
    on conflict (org, sub) do nothing
    returning id, org, sub, seq, trimmed_seq
)
select a.ordinal, i.id, i.seq, i.trimmed_seq, null::uuid as thread_id, 0::bigint as acknowledged_seq
from asked a
join inserted i on i.org = a.org and i.sub = a.sub
union all
select a.ordinal, u.id, u.seq, u.trimmed_seq, t.id, coalesce(s.acknowledged_seq, 0)
from asked a
join apex.users u on u.org = a.org and u.sub = a.sub
left join apex.sessions s on s.user_id = u.id
left join apex.threads t
    on t.id = s.thread_id and t.user_id = u.id and t.delete_requested_at is null
order by 1

-- name: log_epoch
select l.id::text || '/' || s.system_identifier::text || '/' || c.timeline_id::text as epoch
from apex.log_incarnation l, pg_control_system() s, pg_control_checkpoint() c

-- name: log_incarnation
-- For servers whose administrator has withdrawn the pg_control_* functions.
select l.id::text as epoch from apex.log_incarnation l

-- name: append_events
-- Locks the user's row first and numbers from it: the order of numbers is the order of commits.
-- Payloads go in binary (b): as text, each quotation mark in them would be escaped one by one, which
-- takes the event loop 16 ms for a report of 100 KB, and 0.1 ms so.
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
            %(attempts)s::integer[], %(payloads)b::text[]::json[])
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

-- name: sum_of_positions
-- Numbers only grow: as long as their sum is the known one, no log of these has grown.
select coalesce(sum(seq), 0)::bigint as total from apex.users where id = any(%(user_ids)s::bigint[])

-- name: advanced_logs
-- Those that end behind what is known of them. The second condition reads the users' rows from
-- their index; the join alone could read them all.
select u.id, u.seq
from unnest(%(user_ids)s::bigint[], %(seqs)s::bigint[]) as known (id, seq)
join apex.users u on u.id = known.id
where u.seq > known.seq and u.id = any(%(user_ids)s::bigint[])

-- name: lock_log
-- Waits for whoever is appending: a statement after this one sees what they have committed. Rows
-- that only refer to the user may be written meanwhile.
select 1 from apex.users where id = %(user_id)s for no key update

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
