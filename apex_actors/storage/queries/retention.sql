-- What is removed when it is old enough. Each statement takes a batch, and waits for nobody.

-- name: try_turn
-- One node at a time; held to the end of the transaction.
select pg_try_advisory_xact_lock(%(key)s) as mine

-- name: logs_to_trim
-- A page of users: where it ends, and whose log is too long or begins with something too old. The
-- first event is looked up for each user: a join could read all events there are.
with page as (
    select id, seq, trimmed_seq from apex.users
    where id > %(after_id)s
    order by id
    limit %(page)s
),
oldest as (
    select p.id, p.seq - p.trimmed_seq as events,
           case when p.seq > p.trimmed_seq then (
               select e.ts from apex.events e
               where e.user_id = p.id and e.seq = p.trimmed_seq + 1
           ) end as ts
    from page p
)
select max(id) as last_id, count(*) as users,
       coalesce(
           array_agg(id order by id) filter (where events > %(most)s or ts < %(older_than)s),
           '{}') as user_ids
from oldest

-- name: lock_log_to_trim
-- Whose user is busy now is trimmed next time.
select seq, trimmed_seq from apex.users where id = %(user_id)s for no key update skip locked

-- name: trim_log
-- From the beginning up to the first event that must stay, and no further than the batch: one of
-- an unfinished run, or one that is neither too old nor over the count.
with batch as (
    select seq, ts, run_id from apex.events
    where user_id = %(user_id)s and seq > %(trimmed_seq)s
    order by seq
    limit %(batch)s
),
unfinished as (
    select id from apex.runs
    where user_id = %(user_id)s and status in ('waiting', 'queued', 'running')
),
bound as (
    select coalesce(
        min(seq) filter (
            where (ts >= %(older_than)s and seq > %(over_count_seq)s)
               or run_id in (select id from unfinished)) - 1,
        max(seq)) as seq
    from batch
),
gone as (
    delete from apex.events
    where user_id = %(user_id)s and seq > %(trimmed_seq)s and seq <= (select seq from bound)
    returning 1
)
update apex.users u set trimmed_seq = b.seq
from bound b
where u.id = %(user_id)s and b.seq > u.trimmed_seq
returning (select count(*) from gone) as removed

-- name: delete_old_error_reports
-- The rows to go as one array: found by the index on their age, and again by their keys.
delete from apex.error_reports
where id = any(array(
    select id from apex.error_reports
    where created_at < %(older_than)s
    order by created_at
    limit %(batch)s
    for update skip locked))

-- name: delete_old_sessions
delete from apex.sessions
where user_id = any(array(
    select user_id from apex.sessions
    where updated_at < %(older_than)s
    order by updated_at
    limit %(batch)s
    for update skip locked))

-- name: clean_up_tasks
select absurd.cleanup_tasks('runs', %(life_s)s, %(batch)s) as removed
