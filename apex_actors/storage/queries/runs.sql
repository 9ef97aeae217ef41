-- The life of runs: accepted, waiting or queued, running, ended.

-- name: lock_user
-- Whatever follows in the transaction sees one state of the user's runs.
select 1 from apex.users where id = %(user_id)s for update

-- name: take_accept_no
-- Locks the user's row and takes the next number in the order of acceptance.
update apex.users set accepted = accepted + 1
where id = %(user_id)s
returning accepted

-- name: message_by_client_id
select m.id, m.content, m.thread_id, m.run_id
from apex.messages m
where m.user_id = %(user_id)s and m.client_message_id = %(client_message_id)s

-- name: open_runs
-- What the user has under way, and what of it stands before a new run of this priority.
select
    count(*) filter (where status in ('queued', 'running')) as active,
    count(*) filter (where thread_id = %(thread_id)s) as in_thread,
    count(*) filter (where status = 'waiting') as waiting,
    count(*) filter (where status = 'waiting' and priority <= %(priority)s) as ahead
from apex.runs
where user_id = %(user_id)s and status in ('waiting', 'queued', 'running')

-- name: count_unfinished
-- Of all users, as far as ``most``: nobody needs to know by how much it is more.
select count(*) as unfinished
from (
    select from apex.runs where status in ('waiting', 'queued', 'running') limit %(most)s
) r

-- name: stored_run
-- What has become durable under an id that only one acceptance knows.
select thread_id, message_id from apex.runs where id = %(run_id)s

-- name: users_with_startable_runs
-- Whoever has a waiting run at the head of an idle thread, and fewer at work than the cap.
select distinct w.user_id
from apex.runs w
where w.status = 'waiting'
  and not exists (
      select from apex.runs b
      where b.user_id = w.user_id and b.thread_id = w.thread_id
        and b.status in ('queued', 'running'))
  and (
      select count(*) from apex.runs a
      where a.user_id = w.user_id and a.status in ('queued', 'running')) < %(cap)s
order by w.user_id
limit %(limit)s

-- name: queue_position
-- The place of a run among the waiting ones of its user, from 1; 0 when it does not wait.
select case r.status when 'waiting' then (
    select count(*) from apex.runs w
    where w.user_id = r.user_id and w.status = 'waiting'
      and (w.priority, w.accept_no) <= (r.priority, r.accept_no)
) else 0 end as position
from apex.runs r
where r.id = %(run_id)s

-- name: run_of_user
-- A run of a thread that nobody is deleting.
select r.id as run_id, r.thread_id, r.message_id, r.pipeline, r.priority, r.accept_no, r.status,
       r.time_zone
from apex.runs r
join apex.threads t on t.id = r.thread_id and t.delete_requested_at is null
where r.id = %(run_id)s and r.user_id = %(user_id)s

-- name: later_attempt_at_message
-- The latest run after this one on the same message, if it is unfinished or has completed.
select l.id as run_id
from apex.runs r
cross join lateral (
    select id, status from apex.runs
    where message_id = r.message_id and accept_no > r.accept_no
    order by accept_no desc
    limit 1
) l
where r.id = %(run_id)s and l.status in ('waiting', 'queued', 'running', 'completed')

-- name: cancel_runs
-- The unfinished ones of these runs: a waiting one ends, any other gets the mark that its worker
-- looks for. The user's row must be locked.
update apex.runs
set cancel_requested_at = coalesce(cancel_requested_at, now()),
    status = case status when 'waiting' then 'cancelled' else status end,
    finished_at = case status when 'waiting' then now() end
where user_id = %(user_id)s and id = any(%(run_ids)s::uuid[])
  and status in ('waiting', 'queued', 'running')
returning id as run_id, thread_id, status, accept_no

-- name: unfinished_of_thread
select id as run_id, status, priority
from apex.runs
where user_id = %(user_id)s and thread_id = %(thread_id)s
  and status in ('waiting', 'queued', 'running')
order by accept_no

-- name: latest_of_thread
select id as run_id, status
from apex.runs
where user_id = %(user_id)s and thread_id = %(thread_id)s
order by accepted_at desc, accept_no desc
limit 1

-- name: runs_with_mark
-- Those of a worker's runs that somebody wants stopped.
select id as run_id
from apex.runs
where cancel_requested_at is not null and status in ('queued', 'running')
  and id = any(%(run_ids)s::uuid[])

-- name: insert_run
-- In the time zone that it asks for, else in the user's own.
insert into apex.runs
    (id, user_id, thread_id, message_id, pipeline, priority, accept_no, status, time_zone)
values
    (%(run_id)s, %(user_id)s, %(thread_id)s, %(message_id)s, %(pipeline)s, %(priority)s,
     %(accept_no)s, 'waiting',
     coalesce(
         %(time_zone)s,
         (select p.preferences ->> 'time_zone' from apex.preferences p
          where p.user_id = %(user_id)s),
         'UTC'))

-- name: spawn_run
-- Gives a waiting run its durable task.
with task as (
    select task_id
    from absurd.spawn_task('runs', 'run', jsonb_build_object('run_id', %(run_id)s::uuid))
)
update apex.runs set status = 'queued', task_id = task.task_id
from task
where id = %(run_id)s and status = 'waiting'

-- name: startable_runs
-- Heads of idle threads, in the order of priority and acceptance, as many as the cap allows.
with open_run as (
    select id, thread_id, status, priority, accept_no
    from apex.runs
    where user_id = %(user_id)s and status in ('waiting', 'queued', 'running')
),
head as (
    select distinct on (thread_id) id, priority, accept_no
    from open_run w
    where status = 'waiting'
      and not exists (
          select from open_run o
          where o.thread_id = w.thread_id and o.status in ('queued', 'running'))
    order by thread_id, priority, accept_no
)
select id from head
order by priority, accept_no
limit greatest(
    %(cap)s - (select count(*) from open_run where status in ('queued', 'running')), 0)

-- name: claim_tasks
-- The lease: until it ends or is extended, nobody else gets these tasks. Counts the leases on each
-- that ended by themselves.
select c.run_id as fence_id, (c.params ->> 'run_id')::uuid as run_id,
       (select count(*) from absurd.r_runs e
        where e.task_id = c.task_id and e.failure_reason ->> 'name' = '$ClaimTimeout') as lost
from absurd.claim_task('runs', %(worker)s, %(lease_s)s, %(quantity)s) c

-- name: load_runs
select r.id as run_id, r.user_id, u.org, u.sub, r.thread_id, r.message_id, m.content as question,
       r.pipeline, r.time_zone, r.status, r.attempt, r.accepted_at, r.started_at,
       r.cancel_requested_at is not null as cancel_requested
from apex.runs r
join apex.users u on u.id = r.user_id
join apex.messages m on m.id = r.message_id
where r.id = any(%(run_ids)s::uuid[])

-- name: users_of_runs
select id as run_id, user_id from apex.runs where id = any(%(run_ids)s::uuid[])

-- name: release_task
-- Gives a task back so that the next claim gets it at once, and under another fence: whatever its
-- last holder has still on the way to the server is refused there. No lease has ended by itself.
select absurd.fail_run(
    'runs', %(fence_id)s, '{"name": "HandedOver", "message": "given back by its worker"}',
    absurd.current_time())

-- name: extend_leases
update absurd.r_runs
set claim_expires_at = absurd.current_time() + make_interval(secs => %(lease_s)s)
where run_id = any(%(fence_ids)s::uuid[]) and state = 'running'
returning run_id as fence_id

-- name: hold_fence
-- Row-locks the claim: whoever has lost it gets no row and must stop.
select 1 from absurd.r_runs
where run_id = %(fence_id)s and state = 'running'
for update

-- name: start_attempt
update apex.runs
set status = 'running', attempt = %(attempt)s, started_at = coalesce(started_at, now())
where id = %(run_id)s

-- name: insert_step_result
insert into apex.step_results (run_id, step, agent, attempt, status, result, duration_ms)
values (%(run_id)s, %(step)s, %(agent)s, %(attempt)s, %(status)s, %(result)s, %(duration_ms)s)

-- name: step_results
select step, agent, attempt, status, result, duration_ms
from apex.step_results
where run_id = any(%(run_ids)s::uuid[])
order by run_id, step

-- name: insert_result
insert into apex.results (run_id, content, report)
values (%(run_id)s, %(content)s, %(report)s)

-- name: end_run
update apex.runs
set status = %(status)s, partial = %(partial)s, error = %(error)s, finished_at = now()
where id = %(run_id)s

-- name: complete_task
select absurd.complete_run('runs', %(fence_id)s, null)

-- name: insert_error_report
insert into apex.error_reports (id, user_id, run_id, kind, message, stack, context)
values (%(id)s, %(user_id)s, %(run_id)s, %(kind)s, %(message)s, %(stack)s, %(context)s)

-- name: result_of_run
select r.id as run_id, r.thread_id, r.status, r.partial, r.finished_at,
       x.content, x.report
from apex.runs r
left join apex.results x on x.run_id = r.id
where r.id = %(run_id)s and r.user_id = %(user_id)s
