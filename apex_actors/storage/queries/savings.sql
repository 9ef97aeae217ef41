-- Tallies of days for the levers, and the days that are due.

-- name: tenant_with_due_days
-- Whoever waits longest, of those that nobody is working for.
select tenant from apex.savings_due
where claimed_until is null or claimed_until < now()
order by since
limit 1

-- name: claim_due_days
-- The first due days of the tenant, as many as have so many requests together; at least one.
with due as (
    select d.day, d.changes, coalesce(r.requests, 0) as requests,
           sum(coalesce(r.requests, 0)) over (order by d.day) as so_far
    from apex.savings_due d
    left join lateral (
        select sum(requests)::bigint as requests
        from apex.usage_rollups_day
        where tenant = d.tenant and bucket = d.day::timestamp at time zone 'UTC'
    ) r on true
    where d.tenant = %(tenant)s and (d.claimed_until is null or d.claimed_until < now())
    order by d.day
    limit %(days)s
)
update apex.savings_due k
set claimed_until = now() + make_interval(secs => %(claim_s)s)
from due
where k.tenant = %(tenant)s and k.day = due.day and due.so_far - due.requests < %(requests)s
returning k.day, k.changes, due.requests::bigint as requests

-- name: forget_days
delete from apex.savings_days where tenant = %(tenant)s and day = any(%(days)s::date[])

-- name: store_day
insert into apex.savings_days (tenant, day, price_version, settings, tallies)
values (%(tenant)s, %(day)s, %(price_version)s, %(settings)s, %(tallies)s)
on conflict (tenant, day) do update set
    price_version = excluded.price_version, settings = excluded.settings,
    tallies = excluded.tallies, worked_out_at = now()

-- name: settle_days
-- Those that have not changed since they were claimed; the others are due again at once.
with done as (
    select day, changes from unnest(%(days)s::date[], %(changes)s::bigint[]) as d (day, changes)
), settled as (
    delete from apex.savings_due k using done
    where k.tenant = %(tenant)s and k.day = done.day and k.changes = done.changes
    returning k.day
)
update apex.savings_due k set claimed_until = null
where k.tenant = %(tenant)s and k.day in (select day from done except select day from settled)

-- name: release_days
update apex.savings_due set claimed_until = null
where tenant = %(tenant)s and day = any(%(days)s::date[])

-- name: due_where_prices_are_old
-- Days that were tallied with another catalogue or other settings than those of now. A tenant's own
-- prices begin with the catalogue that they stand before.
insert into apex.savings_due as kept (tenant, day)
select tenant, day from apex.savings_days
where not starts_with(price_version, %(price_version)s) or settings <> %(settings)s
on conflict (tenant, day) do nothing

-- name: all_days_due
-- The tenant pays other prices from now on.
insert into apex.savings_due as kept (tenant, day)
select tenant, day from apex.savings_days where tenant = %(tenant)s
on conflict (tenant, day) do update set changes = kept.changes + 1

-- name: tallied_days
select day, tallies, worked_out_at
from apex.savings_days
where tenant = %(tenant)s and day >= %(first)s and day <= %(last)s
  and price_version = %(price_version)s and settings = %(settings)s
order by day

-- name: untallied_requests
-- By day, of the range: requests of days that are due, or have no tallies of these prices.
select (r.bucket at time zone 'UTC')::date as day, sum(r.requests)::bigint as requests
from apex.usage_rollups_day r
where r.tenant = %(tenant)s
  and r.bucket >= %(first)s::date::timestamp at time zone 'UTC'
  and r.bucket < (%(last)s::date + 1)::timestamp at time zone 'UTC'
  and (
      exists (
          select from apex.savings_due d
          where d.tenant = r.tenant and d.day = (r.bucket at time zone 'UTC')::date)
      or not exists (
          select from apex.savings_days k
          where k.tenant = r.tenant and k.day = (r.bucket at time zone 'UTC')::date
            and k.price_version = %(price_version)s and k.settings = %(settings)s))
group by r.bucket
order by r.bucket
