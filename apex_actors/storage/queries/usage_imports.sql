-- Imports as their owners see them: listed, and undone.

-- name: list_imports
select public_id as import_id, name, format, reason, price_version,
       rows, inserted, duplicates, rejected, started_at, finished_at
from apex.import_batches
where tenant = %(tenant)s
  and (%(before)s::uuid is null or id < (
      select id from apex.import_batches where public_id = %(before)s and tenant = %(tenant)s))
order by id desc
limit %(limit)s

-- name: lock_import
-- The tenant is locked: nobody else undoes it at the same time.
select id, name, inserted, duplicates, rejected
from apex.import_batches
where public_id = %(import_id)s and tenant = %(tenant)s

-- name: fill_incoming
-- Records that came second to one of the undone import: the first of each takes its place.
insert into incoming
select distinct on (d.record_id) d.*
from apex.usage_duplicates d
join apex.usage_records r on r.tenant = d.tenant and r.record_id = d.record_id
where d.tenant = %(tenant)s and r.import_id = %(number)s and d.import_id <> %(number)s
order by d.record_id, d.import_id

-- name: count_restored
-- Their imports have them as their own from now on.
with restored as (
    select import_id, count(*) as records from incoming group by import_id
)
update apex.import_batches b
set inserted = b.inserted + r.records, duplicates = b.duplicates - r.records
from restored r
where b.id = r.import_id

-- name: drop_duplicates
-- Those that became records, and those of the undone import.
delete from apex.usage_duplicates d
where d.import_id = %(number)s
   or exists (
       select from incoming i
       where i.tenant = d.tenant and i.record_id = d.record_id and i.import_id = d.import_id)

-- name: remove_records
-- The records of an import go, and with them what they added to the sums. One statement, so that the
-- rows are read once. Every sum is there already: the inserts always meet a conflict.
with removed as (
    delete from apex.usage_records
    where tenant = %(tenant)s and import_id = %(number)s
    returning *
), summed as (
    select
        tenant,
        date_bin('15 minutes', occurred_at, timestamptz '2000-01-01 00:00:00Z') as quarter,
        provider, model, processing, feature, team, user_name, environment, status,
        unpriced_reason,
        sum(request_count)::bigint as requests,
        sum(input_tokens)::bigint as input_tokens,
        sum(cache_read_tokens)::bigint as cache_read_tokens,
        sum(cache_write_5m_tokens + cache_write_1h_tokens)::bigint as cache_write_tokens,
        sum(output_tokens)::bigint as output_tokens,
        sum(reasoning_tokens)::bigint as reasoning_tokens,
        coalesce(sum(computed_cost), 0) as computed_cost,
        count(latency_ms) as latency_requests,
        coalesce(sum(latency_ms), 0)::bigint as latency_ms_sum,
        coalesce(sum(request_count) filter (where reported), 0)::bigint as reported_requests,
        coalesce(sum(reported_cost) filter (where reported), 0) as reported_cost,
        coalesce(sum(computed_cost) filter (where reported), 0) as reported_computed_cost,
        coalesce(sum(request_count) filter (where tags ->> 'sample' = 'true'), 0)::bigint
            as sample_requests
    from removed,
        lateral (
            select currency = 'USD' and reported_cost is not null and computed_cost is not null
                as reported
        ) as reconciled
    group by tenant, quarter, provider, model, processing, feature, team, user_name, environment,
        status, unpriced_reason
), quarters as (
    insert into apex.usage_rollups_quarter as kept
    select * from summed
    on conflict (tenant, bucket, provider, model, processing, feature, team, user_name,
        environment, status, unpriced_reason)
    do update set
        requests = kept.requests - excluded.requests,
        input_tokens = kept.input_tokens - excluded.input_tokens,
        cache_read_tokens = kept.cache_read_tokens - excluded.cache_read_tokens,
        cache_write_tokens = kept.cache_write_tokens - excluded.cache_write_tokens,
        output_tokens = kept.output_tokens - excluded.output_tokens,
        reasoning_tokens = kept.reasoning_tokens - excluded.reasoning_tokens,
        computed_cost = kept.computed_cost - excluded.computed_cost,
        latency_requests = kept.latency_requests - excluded.latency_requests,
        latency_ms_sum = kept.latency_ms_sum - excluded.latency_ms_sum,
        reported_requests = kept.reported_requests - excluded.reported_requests,
        reported_cost = kept.reported_cost - excluded.reported_cost,
        reported_computed_cost = kept.reported_computed_cost - excluded.reported_computed_cost,
        sample_requests = kept.sample_requests - excluded.sample_requests
), days as (
    insert into apex.usage_rollups_day as kept
    select
        tenant, date_trunc('day', quarter, 'UTC') as day,
        provider, model, processing, feature, team, user_name, environment, status,
        unpriced_reason,
        sum(requests)::bigint,
        sum(input_tokens)::bigint,
        sum(cache_read_tokens)::bigint,
        sum(cache_write_tokens)::bigint,
        sum(output_tokens)::bigint,
        sum(reasoning_tokens)::bigint,
        sum(computed_cost),
        sum(latency_requests)::bigint,
        sum(latency_ms_sum)::bigint,
        sum(reported_requests)::bigint,
        sum(reported_cost),
        sum(reported_computed_cost),
        sum(sample_requests)::bigint
    from summed
    group by tenant, day, provider, model, processing, feature, team, user_name, environment,
        status, unpriced_reason
    on conflict (tenant, bucket, provider, model, processing, feature, team, user_name,
        environment, status, unpriced_reason)
    do update set
        requests = kept.requests - excluded.requests,
        input_tokens = kept.input_tokens - excluded.input_tokens,
        cache_read_tokens = kept.cache_read_tokens - excluded.cache_read_tokens,
        cache_write_tokens = kept.cache_write_tokens - excluded.cache_write_tokens,
        output_tokens = kept.output_tokens - excluded.output_tokens,
        reasoning_tokens = kept.reasoning_tokens - excluded.reasoning_tokens,
        computed_cost = kept.computed_cost - excluded.computed_cost,
        latency_requests = kept.latency_requests - excluded.latency_requests,
        latency_ms_sum = kept.latency_ms_sum - excluded.latency_ms_sum,
        reported_requests = kept.reported_requests - excluded.reported_requests,
        reported_cost = kept.reported_cost - excluded.reported_cost,
        reported_computed_cost = kept.reported_computed_cost - excluded.reported_computed_cost,
        sample_requests = kept.sample_requests - excluded.sample_requests
)
select (select count(*) from removed) as removed, min(quarter) as first, max(quarter) as last
from summed

-- name: drop_empty_quarters
delete from apex.usage_rollups_quarter
where tenant = %(tenant)s and bucket >= %(first)s and bucket <= %(last)s and requests = 0

-- name: drop_empty_days
delete from apex.usage_rollups_day
where tenant = %(tenant)s
  and bucket >= date_trunc('day', %(first)s::timestamptz, 'UTC') and bucket <= %(last)s
  and requests = 0

-- name: delete_import
delete from apex.import_batches where id = %(number)s
