-- What runs answered, for downloads.

-- name: report_of_run
-- Of one user, or of anybody where a signed link has been checked. `report` stays text: most of its
-- readers hand it on as it is.
select x.run_id, x.content, x.report::text as report
from apex.results x
join apex.runs r on r.id = x.run_id
join apex.threads t on t.id = r.thread_id
join apex.users u on u.id = r.user_id
where x.run_id = %(run_id)s
  and t.delete_requested_at is null
  and (%(org)s::text is null or (u.org = %(org)s and u.sub = %(sub)s))
