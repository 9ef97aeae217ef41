-- Importing usage records.

-- name: wait_for_other_imports
-- An import may hold its tenant for minutes; the pool's lock_timeout is for short transactions.
set local lock_timeout = '10min'

-- name: next_number
-- Known before the format is: rows are encoded with it while the batch is written.
select nextval(pg_get_serial_sequence('apex.import_batches', 'id')) as number

-- name: insert_batch
insert into apex.import_batches (id, tenant, name, format, reason, price_version, started_at)
overriding system value
values (
    %(number)s, %(tenant)s, %(name)s, %(format)s, %(reason)s, %(price_version)s, %(started_at)s
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

-- name: ensure_tenant
insert into apex.tenants (tenant) values (%(tenant)s) on conflict (tenant) do nothing

-- name: lock_tenant
-- Taken before the first rollup row: imports of one tenant follow each other, so that two of them
-- never wait for each other's rollup rows.
select data_version from apex.tenants where tenant = %(tenant)s for update

-- name: bump_data_version
update apex.tenants set data_version = data_version + 1
where tenant = %(tenant)s
returning data_version

-- name: merge_incoming
-- Records that are new become rows; only they are summed up. One statement, so that the rows are
-- read once.
with changed as (
    insert into apex.usage_records
    select * from incoming
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
join apex.usage_records r on r.tenant = i.tenant and r.record_id = i.record_id
where r.import_id <> i.import_id
order by i.tenant, i.record_id, i.ctid

-- name: empty_incoming
truncate incoming

-- name: insert_rejects
insert into apex.import_rejects (import_id, line, reason)
select %(import_id)s, line, reason
from unnest(%(lines)s::bigint[], %(reasons)s::text[]) as rejected (line, reason)
on conflict (import_id, line) do nothing

-- name: finish_batch
update apex.import_batches
set rows = %(rows)s, inserted = %(inserted)s, duplicates = %(duplicates)s,
    rejected = %(rejected)s, finished_at = %(finished_at)s
where public_id = %(import_id)s

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
