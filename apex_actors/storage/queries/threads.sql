-- Threads and their messages. A thread that is asked to be deleted is there for nobody.

-- name: thread_of_user
select id, title from apex.threads
where id = %(thread_id)s and user_id = %(user_id)s and delete_requested_at is null

-- name: insert_thread
-- The moment of the statement and not of the transaction: the user's row is locked by now, so
-- that what is stored later stands later in the list.
insert into apex.threads (id, user_id, title, updated_at)
values (%(thread_id)s, %(user_id)s, %(title)s, clock_timestamp())

-- name: touch_thread
update apex.threads set updated_at = greatest(updated_at, clock_timestamp())
where id = %(thread_id)s

-- name: rename_thread
update apex.threads set title = %(title)s where id = %(thread_id)s

-- name: threads_before
-- Behind a cursor, which need not be a thread any more. The first page has one too, which stands
-- before all threads: with an "or" the plan would read all that stands before the cursor.
with page as (
    select id, title, created_at, updated_at
    from apex.threads
    where user_id = %(user_id)s and delete_requested_at is null
      and (updated_at, id) < (%(updated_at)s, %(id)s)
    order by updated_at desc, id desc
    limit %(limit)s
),
active as (
    select distinct on (thread_id) thread_id, id
    from apex.runs
    where user_id = %(user_id)s and status in ('waiting', 'queued', 'running')
    order by thread_id, status = 'waiting', priority, accept_no
)
select p.id as thread_id, p.title, p.created_at, p.updated_at,
       left(m.content, 500) as latest, a.id as active_run_id
from page p
left join active a on a.thread_id = p.id
left join lateral (
    select content from apex.messages
    where thread_id = p.id
    order by created_at desc, id desc
    limit 1
) m on true
order by p.updated_at desc, p.id desc

-- name: insert_message
insert into apex.messages
    (id, user_id, thread_id, run_id, role, content, client_message_id, created_at)
values
    (%(message_id)s, %(user_id)s, %(thread_id)s, %(run_id)s, %(role)s, %(content)s,
     %(client_message_id)s, %(created_at)s)

-- name: latest_messages
select id, role, content, created_at, run_id
from apex.messages
where thread_id = %(thread_id)s
order by created_at desc, id desc
limit %(limit)s

-- name: place_of_message
select created_at, id from apex.messages
where id = %(message_id)s and thread_id = %(thread_id)s

-- name: messages_before
select id, role, content, created_at, run_id
from apex.messages
where thread_id = %(thread_id)s and (created_at, id) < (%(created_at)s, %(id)s)
order by created_at desc, id desc
limit %(limit)s

-- name: runs_of_messages
-- All runs on these messages, those that tried again too, and those that they come from.
select id as run_id, thread_id, message_id, status, partial, accepted_at, started_at, finished_at,
       error
from apex.runs
where message_id = any(%(message_ids)s::uuid[]) or id = any(%(run_ids)s::uuid[])
order by accepted_at, id

-- name: run_of_user
select r.id as run_id, r.thread_id, r.message_id, r.status, r.partial, r.accepted_at,
       r.started_at, r.finished_at, r.error
from apex.runs r
join apex.threads t on t.id = r.thread_id
where r.id = %(run_id)s and r.user_id = %(user_id)s and t.delete_requested_at is null

-- name: events_of_runs
select run_id, seq, event_id, type, ts, thread_id, agent, attempt, payload
from apex.events
where run_id = any(%(run_ids)s::uuid[])
order by seq

-- name: end_of_log
select seq from apex.users where id = %(user_id)s

-- name: request_deletion
update apex.threads set delete_requested_at = now()
where id = %(thread_id)s and user_id = %(user_id)s and delete_requested_at is null
returning id

-- name: threads_to_delete
-- Those whose work has stopped; the ones that failed here a moment ago are left for later.
select t.id as thread_id, t.user_id
from apex.threads t
where t.delete_requested_at is not null
  and not t.id = any(%(left_out)s::uuid[])
  and not exists (
      select from apex.runs r
      where r.user_id = t.user_id and r.thread_id = t.id
        and r.status in ('waiting', 'queued', 'running'))
order by t.delete_requested_at
limit %(limit)s

-- name: deletion_is_due
-- Whether the thread waits to be removed and nothing runs in it. The user's row must be locked.
select 1 from apex.threads t
where t.id = %(thread_id)s and t.user_id = %(user_id)s and t.delete_requested_at is not null
  and not exists (
      select from apex.runs r
      where r.user_id = t.user_id and r.thread_id = t.id
        and r.status in ('waiting', 'queued', 'running'))

-- name: redact_events
-- Numbers and ids stay, all else goes. Found by their runs and, where they have none, by their
-- thread: each by an index. What has been redacted has neither, and is not found again.
with of_run as (
    select e.seq
    from apex.events e
    where e.run_id = any(%(run_ids)s::uuid[])
    limit %(limit)s
),
of_thread as (
    select e.seq
    from apex.events e
    where e.thread_id = %(thread_id)s and e.run_id is null
    limit %(limit)s
)
update apex.events
set type = 'event_redacted', payload = '{}', agent = null, thread_id = null, run_id = null,
    attempt = 0
where user_id = %(user_id)s
  and seq = any(array(select seq from of_run union all select seq from of_thread))

-- name: doomed_runs
select id as run_id, task_id from apex.runs where thread_id = %(thread_id)s limit %(limit)s

-- name: delete_error_reports
delete from apex.error_reports where run_id = any(%(run_ids)s::uuid[])

-- name: delete_tasks
-- The durable tasks of these runs, where they have ended, with all that hangs on them. A locked
-- one is being cleaned up by retention, which takes all of it.
with task as (
    select task_id from absurd.t_runs
    where task_id = any(%(task_ids)s::uuid[]) and state in ('completed', 'failed', 'cancelled')
    for update skip locked
),
waits as (delete from absurd.w_runs w using task t where w.task_id = t.task_id),
checkpoints as (delete from absurd.c_runs c using task t where c.task_id = t.task_id),
attempts as (delete from absurd.r_runs r using task t where r.task_id = t.task_id)
delete from absurd.t_runs d using task t where d.task_id = t.task_id

-- name: delete_runs
-- Their step results and results go with them.
delete from apex.runs where id = any(%(run_ids)s::uuid[])

-- name: delete_messages
delete from apex.messages
where id = any(array(
    select id from apex.messages where thread_id = %(thread_id)s limit %(limit)s))

-- name: delete_thread
delete from apex.threads where id = %(thread_id)s
