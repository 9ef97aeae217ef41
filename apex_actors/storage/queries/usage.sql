-- Questions about usage. All but the last are answered from the rollups: the whole UTC days of a
-- range from the rows by day, what is left at its two ends from the rows by quarter hour.

-- name: data_version
select data_version from apex.tenants where tenant = %(tenant)s

-- name: extent
-- The first and the last record; the counts come from the days.
select
    (select occurred_at from apex.usage_records where tenant = %(tenant)s
     order by occurred_at, record_id limit 1) as first,
    (select occurred_at from apex.usage_records where tenant = %(tenant)s
     order by occurred_at desc, record_id desc limit 1) as last,
    coalesce(sum(requests), 0)::bigint as requests,
    coalesce(sum(sample_requests), 0)::bigint as sample_requests
from apex.usage_rollups_day
where tenant = %(tenant)s

-- name: totals
with
-- include: usage_filtered
select
    coalesce(sum(requests), 0)::bigint as requests,
    coalesce(sum(requests) filter (where unpriced_reason is null), 0)::bigint as priced_requests,
    coalesce(sum(input_tokens), 0)::bigint as input_tokens,
    coalesce(sum(cache_read_tokens), 0)::bigint as cache_read_tokens,
    coalesce(sum(cache_write_tokens), 0)::bigint as cache_write_tokens,
    coalesce(sum(output_tokens), 0)::bigint as output_tokens,
    coalesce(sum(reasoning_tokens), 0)::bigint as reasoning_tokens,
    coalesce(sum(input_tokens + output_tokens) filter (where unpriced_reason is null), 0)::bigint
        as priced_tokens,
    coalesce(sum(computed_cost), 0) as cost,
    coalesce(sum(requests) filter (where status = 'error'), 0)::bigint as errors,
    coalesce(sum(computed_cost) filter (where status = 'error'), 0) as error_cost,
    coalesce(sum(latency_requests), 0)::bigint as latency_requests,
    coalesce(sum(latency_ms_sum), 0)::bigint as latency_ms_sum,
    coalesce(sum(reported_requests), 0)::bigint as reported_requests,
    coalesce(sum(reported_cost), 0) as reported_cost,
    coalesce(sum(reported_computed_cost), 0) as reported_computed_cost
from usage

-- name: breakdown
-- The values of one dimension, most expensive first. Those after the limit are summed up in one
-- row with is_other.
with
-- include: usage_filtered
, valued as (
    select
-- include: usage_value
        usage.*
    from usage
),
-- include: usage_ranking

-- name: daily_utc
select
    (bucket at time zone 'UTC')::date as day,
    sum(requests)::bigint as requests,
    sum(input_tokens + output_tokens)::bigint as tokens,
    sum(computed_cost) as cost,
    coalesce(sum(requests) filter (where status = 'error'), 0)::bigint as errors
from apex.usage_rollups_day
where tenant = %(tenant)s and bucket >= %(start)s and bucket < %(end)s and
-- include: usage_filters
group by day
order by day

-- name: daily_local
select
    (bucket at time zone %(time_zone)s)::date as day,
    sum(requests)::bigint as requests,
    sum(input_tokens + output_tokens)::bigint as tokens,
    sum(computed_cost) as cost,
    coalesce(sum(requests) filter (where status = 'error'), 0)::bigint as errors
from apex.usage_rollups_quarter
where tenant = %(tenant)s and bucket >= %(start)s and bucket < %(end)s and
-- include: usage_filters
group by day
order by day

-- name: unpriced
with
-- include: usage_filtered
select
    provider, model, processing, unpriced_reason as reason,
    sum(requests)::bigint as requests,
    sum(input_tokens + output_tokens)::bigint as tokens
from usage
-- Amounts of cost reports have neither tokens nor requests: they are no usage without a price.
where unpriced_reason is not null and (requests > 0 or input_tokens > 0 or output_tokens > 0)
group by provider, model, processing, unpriced_reason
order by tokens desc, provider, model, processing

-- name: watch_client
-- Until the end of the transaction, look so often whether the client is still there.
select set_config('client_connection_check_interval', %(interval)s, true)

-- name: requests
-- Single requests in order of time, with what the levers look at and nothing else.
select
    occurred_at, provider, model, processing,
    input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
    output_tokens, reasoning_tokens, is_deferrable, prefix_block_hashes,
    record_id, status, finish_reason, feature, session_id, request_hash, temperature, retry_of,
    coalesce(reported_cost = 0, false) as is_unbilled
from apex.usage_records
where tenant = %(tenant)s and occurred_at >= %(start)s and occurred_at < %(end)s
    and grain = 'request'
order by occurred_at, record_id
