-- Further questions about usage: series and periods from the rollups, and what only single records
-- know, which is bounded by the range in time.

-- name: hours
-- The local hours that a range touches, each by its first moment. Where clocks are set back an hour
-- is there twice, at two moments.
select distinct date_trunc('hour', quarter, %(time_zone)s) as start
from generate_series(
    %(start)s::timestamptz, %(end)s::timestamptz - interval '15 minutes', interval '15 minutes'
) as quarter
order by start

-- name: costs_by_hour
select
    date_trunc('hour', bucket, %(time_zone)s) as start,
-- include: usage_value
    sum(computed_cost) as cost
from apex.usage_rollups_quarter
where tenant = %(tenant)s and bucket >= %(start)s and bucket < %(end)s and
-- include: usage_filters
group by 1, 2
order by 1, 2

-- name: costs_by_day_utc
select
    (bucket at time zone 'UTC')::date as day,
-- include: usage_value
    sum(computed_cost) as cost
from apex.usage_rollups_day
where tenant = %(tenant)s and bucket >= %(start)s and bucket < %(end)s and
-- include: usage_filters
group by 1, 2
order by 1, 2

-- name: costs_by_day_local
select
    (bucket at time zone %(time_zone)s)::date as day,
-- include: usage_value
    sum(computed_cost) as cost
from apex.usage_rollups_quarter
where tenant = %(tenant)s and bucket >= %(start)s and bucket < %(end)s and
-- include: usage_filters
group by 1, 2
order by 1, 2

-- name: period_sums
-- What a decomposition needs of one period: priced usage by value, and how much has no price.
with
-- include: usage_filtered
, valued as (
    select
-- include: usage_value
        usage.*
    from usage
)
select
    name,
    coalesce(sum(requests) filter (where unpriced_reason is null), 0)::bigint as requests,
    coalesce(sum(input_tokens + output_tokens) filter (where unpriced_reason is null), 0)::bigint
        as tokens,
    sum(computed_cost) as cost,
    coalesce(sum(requests) filter (where unpriced_reason is not null), 0)::bigint
        as unpriced_requests
from valued
group by name

-- name: requests_by_day
-- At least as many as there are records in each local day: what reading them would take.
select (bucket at time zone %(time_zone)s)::date as day, sum(requests)::bigint as requests
from apex.usage_rollups_quarter
where tenant = %(tenant)s and bucket >= %(start)s and bucket < %(end)s
group by day
order by day

-- name: record_breakdown
-- By session, or by the values of one tag, which the rollups don't have.
with
-- include: usage_of_records
, valued as (
    select
        case when %(tag)s::text is null then session_id else tags ->> %(tag)s::text end as name,
        usage.*
    from usage
),
-- include: usage_ranking

-- name: tag_keys
-- Which tags there are; a record may have several.
with
-- include: usage_of_records
select key, sum(requests)::bigint as requests
from usage, lateral jsonb_object_keys(tags) as key
group by key
order by requests desc, key
limit %(limit)s

-- name: record_sums
with
-- include: usage_of_records
select
    count(distinct session_id) filter (where unpriced_reason is null) as sessions,
    coalesce(sum(computed_cost) filter (where session_id is not null), 0) as session_cost,
    count(*) filter (where finish_reason = any(%(truncated)s) and grain = 'request') as truncated,
    coalesce(
        sum(computed_cost) filter (where finish_reason = any(%(truncated)s) and grain = 'request'), 0
    ) as truncated_cost
from usage

-- name: latency
-- Percentiles by value of a dimension, most requests first. A percentile is a value that occurs: the
-- first at or below which that share of the requests lies.
with
-- include: usage_of_records
, valued as (
    select
-- include: usage_value
        usage.*
    from usage
    where grain = 'request' and latency_ms is not null
)
select
    name,
    count(*) as requests,
    percentile_disc(array[0.5, 0.9, 0.95, 0.99]) within group (order by latency_ms) as latency_ms,
    count(ttft_ms) as ttft_requests,
    percentile_disc(array[0.5, 0.9, 0.95, 0.99]) within group (order by ttft_ms)
        filter (where ttft_ms is not null) as ttft_ms,
    sum(computed_cost) as cost
from valued
group by name
order by requests desc, name nulls last
limit %(limit)s
