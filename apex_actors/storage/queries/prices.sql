-- What tenants have negotiated, and re-pricing what they have used.

-- name: current_override
select version, document, created_at from apex.price_overrides
where tenant = %(tenant)s
order by version desc
limit 1

-- name: list_overrides
select version, document, created_at from apex.price_overrides
where tenant = %(tenant)s
order by version desc
limit %(limit)s

-- name: add_override
insert into apex.price_overrides (tenant, version, document)
select %(tenant)s, coalesce(max(version), 0) + 1, %(document)s::jsonb
from apex.price_overrides where tenant = %(tenant)s
returning version, document, created_at

-- name: next_counted
-- In order of time, behind the last one.
select record_id, occurred_at, grain, request_count, provider, model, processing,
    input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
    output_tokens, reasoning_tokens, computed_cost, unpriced_reason
from apex.usage_records
where tenant = %(tenant)s and (occurred_at, record_id) > (%(after)s, %(after_id)s)
order by occurred_at, record_id
limit %(limit)s

-- name: next_reconciling
select record_id, occurred_at, grain, request_count, provider, model, processing,
    input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
    output_tokens, reasoning_tokens, computed_cost, unpriced_reason
from apex.usage_reconciling
where tenant = %(tenant)s and (occurred_at, record_id) > (%(after)s, %(after_id)s)
order by occurred_at, record_id
limit %(limit)s

-- name: create_repriced
create temporary table repriced (
    record_id text primary key, computed_cost numeric, unpriced_reason text
) on commit drop

-- name: fill_repriced
insert into repriced
select * from unnest(%(ids)s::text[], %(costs)s::numeric[], %(reasons)s::text[])

-- name: unsum_counted
with changed as (
    select r.* from apex.usage_records r
    join repriced p on p.record_id = r.record_id
    where r.tenant = %(tenant)s
),
-- include: usage_sums
select count(*) as records from changed

-- name: reprice_counted
with changed as (
    update apex.usage_records r
    set computed_cost = p.computed_cost, unpriced_reason = p.unpriced_reason
    from repriced p
    where r.tenant = %(tenant)s and r.record_id = p.record_id
    returning r.*
),
-- include: usage_sums
select count(*) as records from changed

-- name: unsum_reconciling
with changed as (
    select r.* from apex.usage_reconciling r
    join repriced p on p.record_id = r.record_id
    where r.tenant = %(tenant)s
),
-- include: usage_asides
select count(*) as records from changed

-- name: reprice_reconciling
with changed as (
    update apex.usage_reconciling r
    set computed_cost = p.computed_cost, unpriced_reason = p.unpriced_reason
    from repriced p
    where r.tenant = %(tenant)s and r.record_id = p.record_id
    returning r.*
),
-- include: usage_asides
select count(*) as records from changed

-- name: next_beaten
select record_id, import_id, occurred_at, grain, request_count, provider, model, processing,
    input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
    output_tokens, reasoning_tokens, computed_cost, unpriced_reason
from apex.usage_duplicates
where tenant = %(tenant)s and (record_id, import_id) > (%(after_id)s, %(after_import)s)
order by record_id, import_id
limit %(limit)s

-- name: reprice_beaten
update apex.usage_duplicates d
set computed_cost = p.computed_cost, unpriced_reason = p.unpriced_reason
from unnest(%(ids)s::text[], %(imports)s::bigint[], %(costs)s::numeric[], %(reasons)s::text[])
    as p (record_id, import_id, computed_cost, unpriced_reason)
where d.tenant = %(tenant)s and d.record_id = p.record_id and d.import_id = p.import_id

-- name: mark_imports
update apex.import_batches set price_version = %(price_version)s
where tenant = %(tenant)s and price_version <> %(price_version)s
