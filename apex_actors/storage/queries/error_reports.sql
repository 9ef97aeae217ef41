-- What went wrong, as an operator reads it.

-- name: latest_error_reports
-- The latest first; of one organisation or user, and not before a moment, where these are given.
select e.id, e.created_at, e.kind, e.message, e.stack, e.context, e.run_id, u.org, u.sub
from apex.error_reports e
left join apex.users u on u.id = e.user_id
where (%(org)s::text is null or u.org = %(org)s)
  and (%(sub)s::text is null or u.sub = %(sub)s)
  and (%(since)s::timestamptz is null or e.created_at >= %(since)s)
order by e.created_at desc, e.id desc
limit %(limit)s

-- name: error_reports_between
-- Those whose id begins alike: a range of the primary key.
select e.id, e.created_at, e.kind, e.message, e.stack, e.context, e.run_id, u.org, u.sub
from apex.error_reports e
left join apex.users u on u.id = e.user_id
where e.id between %(first)s and %(last)s
order by e.id
limit %(limit)s
