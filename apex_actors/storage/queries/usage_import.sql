-- Importing usage records.

-- name: next_number
-- Known before the format is: rows are encoded with it while the batch is written.
select nextval(pg_get_serial_sequence('apex.import_batches', 'id')) as number

-- name: insert_batch
insert into apex.import_batches (
    id, tenant, name, format, reason, source_kind, price_version, started_at
)
overriding system value
values (
    %(number)s, %(tenant)s, %(name)s, %(format)s, %(reason)s, %(source_kind)s, %(price_version)s,
    %(started_at)s
)
returning public_id

-- name: create_incoming
create temporary table incoming (like apex.usage_records) on commit drop

-- name: copy_incoming
-- The order is that of the encoder.
copy incoming (
    tenant, record_id, import_id, occurred_at, request_count,
    input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
    output_tokens, reasoning_tokens, latency_ms, ttft_ms, is_deferrable,
    grain, provider, model, processing, status, finish_reason,
    user_name, team, feature, environment, session_id, request_hash, retry_of,
    prefix_block_hashes, temperature, reported_cost, currency, computed_cost, unpriced_reason, tags
) from stdin

-- name: drop_repeated_buckets
-- Of rows with the same id in one file a request counts before a bucket, and the last bucket before
-- the others, as if each row had come in a file of its own.
delete from incoming a
using incoming b
where a.grain = 'bucket' and b.tenant = a.tenant and b.record_id = a.record_id
    and (b.grain = 'request' or b.ctid > a.ctid)

-- name: has_incoming_buckets
select exists (select from incoming where grain = 'bucket') as found

-- name: find_replaced
-- Buckets that are pulled again: how many there are, and how many of them say something else now.
select
    count(*) as found,
    count(*) filter (where to_jsonb(r) - 'import_id' <> to_jsonb(i) - 'import_id') as changed
from (
    select distinct on (tenant, record_id) * from incoming order by tenant, record_id, ctid
) i
join lateral (
    select * from apex.usage_records
    where tenant = i.tenant and record_id = i.record_id and grain = 'bucket'
    union all
    select * from apex.usage_reconciling
    where tenant = i.tenant and record_id = i.record_id and grain = 'bucket'
) r on true

-- name: replace_counted
with changed as (
    delete from apex.usage_records r
    using (select distinct tenant, record_id from incoming) i
    where r.tenant = i.tenant and r.record_id = i.record_id and r.grain = 'bucket'
    returning r.*
),
-- include: usage_beaten
-- include: usage_sums
select count(*) as records from changed

-- name: replace_reconciling
with changed as (
    delete from apex.usage_reconciling r
    using (select distinct tenant, record_id from incoming) i
    where r.tenant = i.tenant and r.record_id = i.record_id and r.grain = 'bucket'
    returning r.*
),
-- include: usage_beaten
-- include: usage_asides
select count(*) as records from changed

-- name: merge_incoming
-- Records that are new become rows; only they are summed up. One statement, so that the rows are
-- read once.
with changed as (
    insert into apex.usage_records
    select i.* from incoming i
    where not exists (
        select 1 from apex.usage_reconciling r
        where r.tenant = i.tenant and r.record_id = i.record_id)
    -- In the order of the file, whatever plan looks up the others: the first of an id counts.
    order by i.ctid
    on conflict (tenant, record_id) do nothing
    returning *
),
-- include: usage_sums
select
    (select count(*) from changed) as inserted,
    coalesce(sum(requests), 0)::bigint as requests,
    coalesce(sum(requests) filter (where unpriced_reason is null), 0)::bigint as priced_requests,
    coalesce(sum(input_tokens + output_tokens), 0)::bigint as tokens,
    coalesce(sum(input_tokens + output_tokens) filter (where unpriced_reason is null), 0)::bigint
        as priced_tokens,
    coalesce(sum(computed_cost), 0) as computed_cost,
    coalesce(sum(reported_requests), 0)::bigint as reported_requests,
    coalesce(sum(reported_cost), 0) as reported_cost,
    coalesce(sum(reported_computed_cost), 0) as reported_computed_cost
from summed

-- name: keep_duplicates
-- For undo: what this import would have been without the earlier ones. Of rows with the same id the
-- first in the file, as above. The tenant is locked.
insert into apex.usage_duplicates
select distinct on (i.tenant, i.record_id) i.*
from incoming i
where exists (
    select 1 from apex.usage_records r
    where r.tenant = i.tenant and r.record_id = i.record_id and r.import_id <> i.import_id
) or exists (
    select 1 from apex.usage_reconciling r
    where r.tenant = i.tenant and r.record_id = i.record_id and r.import_id <> i.import_id
)
order by i.tenant, i.record_id, i.ctid

-- name: empty_incoming
truncate incoming

-- name: insert_rejects
insert into apex.import_rejects (import_id, line, reason)
select %(import_id)s, line, reason
from unnest(%(lines)s::bigint[], %(reasons)s::text[]) as rejected (line, reason)
on conflict (import_id, line) do nothing

-- name: count_batch
update apex.import_batches
set rows = %(rows)s, inserted = %(inserted)s, duplicates = %(duplicates)s,
    rejected = %(rejected)s
where id = %(number)s

-- name: finish_batch
update apex.import_batches set finished_at = %(finished_at)s
where public_id = %(import_id)s

-- name: unpriced_of_import
select provider, model, processing, unpriced_reason as reason,
    sum(request_count)::bigint as requests, sum(input_tokens + output_tokens)::bigint as tokens
from (
    select * from apex.usage_records where import_id = %(number)s
    union all
    select * from apex.usage_reconciling where import_id = %(number)s
) as own
where unpriced_reason is not null
group by provider, model, processing, unpriced_reason
order by tokens desc, provider, model, processing
limit 10

-- name: has_sample
select exists (
    select 1 from apex.import_batches
    where tenant = %(tenant)s and format = %(format)s and inserted > 0
) as loaded

-- name: list_rejects
select line, reason from apex.import_rejects
where import_id = (
    select id from apex.import_batches where public_id = %(import_id)s and tenant = %(tenant)s
)
order by line
