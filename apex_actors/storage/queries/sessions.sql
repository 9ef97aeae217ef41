-- Where each user was last: thread, and the position that a client has confirmed.

-- name: sessions_of_users
-- The thread only while it is there, the user's own, and not asked to be deleted.
select s.user_id, t.id as thread_id, s.acknowledged_seq
from apex.sessions s
left join apex.threads t
    on t.id = s.thread_id and t.user_id = s.user_id and t.delete_requested_at is null
where s.user_id = any(%(user_ids)s::bigint[])

-- name: store_sessions
-- In the order of users, so that two nodes that store the same ones do not wait for each other.
-- Nobody has received more than there is, whatever a client says.
insert into apex.sessions as s (user_id, thread_id, acknowledged_seq)
select c.user_id, c.thread_id, least(c.acknowledged_seq, u.seq)
from unnest(%(user_ids)s::bigint[], %(thread_ids)s::uuid[], %(acknowledged_seqs)s::bigint[])
    as c (user_id, thread_id, acknowledged_seq)
join apex.users u on u.id = c.user_id
order by c.user_id
on conflict (user_id) do update
set thread_id = coalesce(excluded.thread_id, s.thread_id),
    acknowledged_seq = greatest(excluded.acknowledged_seq, s.acknowledged_seq),
    updated_at = now()
returning user_id, thread_id, acknowledged_seq

-- name: leave_thread
update apex.sessions set thread_id = null
where user_id = %(user_id)s and thread_id = %(thread_id)s
