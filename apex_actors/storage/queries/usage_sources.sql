-- Which source counts: for each provider and UTC day one kind. Everything here runs while the tenant
-- is locked, after what has come or gone stands in `touched`.

-- name: create_touched
create temporary table touched (provider text not null, day timestamptz not null) on commit drop

-- name: create_misplaced
create temporary table misplaced (
    provider text not null, day timestamptz not null, source_kind text not null,
    is_counted boolean not null, authority text not null
) on commit drop

-- name: touch_all
insert into touched
select distinct provider, day from apex.usage_sources
where tenant = %(tenant)s and (%(provider)s::text is null or provider = %(provider)s)

-- name: has_buckets
select exists (
    select 1 from apex.usage_sources
    where tenant = %(tenant)s and source_kind in ('usage_report', 'cost_report') and records > 0
) as found

-- name: find_misplaced
-- What stands on the wrong side: first the tenant's choice counts, then requests, usage reports, cost
-- reports, and traces, which are nobody's spend, last.
with present as (
    select s.provider, s.day, s.source_kind, s.is_counted,
        first_value(s.source_kind) over (
            partition by s.provider, s.day
            order by s.source_kind = chosen.source_kind desc nulls last,
                array_position(
                    array['requests', 'usage_report', 'cost_report', 'trace'], s.source_kind)
        ) as authority
    from (select distinct provider, day from touched) t
    join apex.usage_sources s
        on s.tenant = %(tenant)s and s.day = t.day and s.provider = t.provider and s.records > 0
    left join lateral (
        select c.source_kind from apex.source_choices c
        where c.tenant = %(tenant)s and c.provider in (s.provider, '*')
        order by c.provider = '*'
        limit 1
    ) as chosen on true
)
insert into misplaced
select * from present where is_counted <> (source_kind = authority)

-- name: move_aside
with changed as (
    delete from apex.usage_records r
    using misplaced m, apex.import_batches b
    where r.tenant = %(tenant)s and m.is_counted
        and r.occurred_at >= m.day and r.occurred_at < m.day + interval '24 hours'
        and r.provider = m.provider and b.id = r.import_id
        and m.source_kind = case
            when r.grain = 'bucket' and b.source_kind <> 'cost_report' then 'usage_report'
            else b.source_kind end
    returning r.*
), moved as (
    insert into apex.usage_reconciling select * from changed
),
-- include: usage_asides
,
-- include: usage_sums
select count(*) as moved from changed

-- name: move_back
with changed as (
    delete from apex.usage_reconciling r
    using misplaced m, apex.import_batches b
    where r.tenant = %(tenant)s and not m.is_counted
        and r.occurred_at >= m.day and r.occurred_at < m.day + interval '24 hours'
        and r.provider = m.provider and b.id = r.import_id
        and m.source_kind = case
            when r.grain = 'bucket' and b.source_kind <> 'cost_report' then 'usage_report'
            else b.source_kind end
    returning r.*
), moved as (
    insert into apex.usage_records select * from changed
),
-- include: usage_asides
,
-- include: usage_sums
select count(*) as moved from changed

-- name: drop_empty_quarters
delete from apex.usage_rollups_quarter q
using (select distinct provider, day from touched) t
where q.tenant = %(tenant)s and q.bucket >= t.day and q.bucket < t.day + interval '24 hours'
    and q.provider = t.provider and q.records = 0

-- name: drop_empty_days
delete from apex.usage_rollups_day d
using (select distinct provider, day from touched) t
where d.tenant = %(tenant)s and d.bucket = t.day and d.provider = t.provider and d.records = 0

-- name: drop_empty_sources
delete from apex.usage_sources s
using (select distinct provider, day from touched) t
where s.tenant = %(tenant)s and s.day = t.day and s.provider = t.provider and s.records = 0

-- name: covered
-- Of an import, what only reconciles, and which source counts instead.
select r.provider, s.source_kind, count(distinct s.day) as days, count(*) as records
from apex.usage_reconciling r
join apex.usage_sources s
    on s.tenant = r.tenant and s.provider = r.provider and s.is_counted
    and s.day = date_trunc('day', r.occurred_at, 'UTC')
where r.tenant = %(tenant)s and r.import_id = %(number)s
group by r.provider, s.source_kind
order by r.provider, s.source_kind

-- name: overlaps
-- Days of a provider that more than one kind of source tells of.
select s.provider, (s.day at time zone 'UTC')::date as day, s.source_kind, s.is_counted,
    s.records, s.requests, s.tokens, s.computed_cost, s.reported_cost
from apex.usage_sources s
where s.tenant = %(tenant)s and s.records > 0
    and s.day >= %(start)s and s.day < %(end)s
    and exists (
        select 1 from apex.usage_sources a
        where a.tenant = s.tenant and a.day = s.day and a.provider = s.provider
            and not a.is_counted and a.records > 0)
order by s.day, s.provider, s.is_counted desc, s.source_kind

-- name: choices
select provider, source_kind from apex.source_choices
where tenant = %(tenant)s
order by provider

-- name: choose
insert into apex.source_choices (tenant, provider, source_kind)
values (%(tenant)s, %(provider)s, %(source_kind)s)
on conflict (tenant, provider) do update set source_kind = excluded.source_kind

-- name: unchoose
delete from apex.source_choices where tenant = %(tenant)s and provider = %(provider)s

-- name: forget_quarters
delete from apex.usage_rollups_quarter where tenant = %(tenant)s

-- name: forget_days
delete from apex.usage_rollups_day where tenant = %(tenant)s

-- name: forget_sources
delete from apex.usage_sources where tenant = %(tenant)s

-- name: sum_records
-- Not materialized: two passes over the table cost less than a copy of all records.
with changed as not materialized (
    select * from apex.usage_records where tenant = %(tenant)s
),
-- include: usage_sums
select coalesce(sum(records), 0)::bigint as records from summed

-- name: sum_reconciling
with changed as not materialized (
    select * from apex.usage_reconciling where tenant = %(tenant)s
),
-- include: usage_asides
select count(*) as sources from asides
