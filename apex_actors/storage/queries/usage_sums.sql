-- A part of statements: what the records in `changed`, which stands before it, do to the sums of
-- quarters, days and sources. The sign is 1 where they have come and -1 where they have gone. Whose
-- day was touched stands in `touched`.

summed as (
    select
        tenant,
        date_bin('15 minutes', occurred_at, timestamptz '2000-01-01 00:00:00Z') as quarter,
        provider, model, processing, feature, team, user_name, environment, status,
        unpriced_reason,
        %(sign)s * sum(request_count)::bigint as requests,
        %(sign)s * sum(input_tokens)::bigint as input_tokens,
        %(sign)s * sum(cache_read_tokens)::bigint as cache_read_tokens,
        %(sign)s * sum(cache_write_5m_tokens + cache_write_1h_tokens)::bigint as cache_write_tokens,
        %(sign)s * sum(output_tokens)::bigint as output_tokens,
        %(sign)s * sum(reasoning_tokens)::bigint as reasoning_tokens,
        %(sign)s * coalesce(sum(computed_cost), 0) as computed_cost,
        %(sign)s * count(latency_ms) as latency_requests,
        %(sign)s * coalesce(sum(latency_ms), 0)::bigint as latency_ms_sum,
        %(sign)s * coalesce(sum(request_count) filter (where reported), 0)::bigint
            as reported_requests,
        %(sign)s * coalesce(sum(reported_cost) filter (where reported), 0) as reported_cost,
        %(sign)s * coalesce(sum(computed_cost) filter (where reported), 0)
            as reported_computed_cost,
        %(sign)s * coalesce(sum(request_count) filter (where tags ->> 'sample' = 'true'), 0)::bigint
            as sample_requests,
        %(sign)s * count(*) as records
    from changed,
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
        requests = kept.requests + excluded.requests,
        input_tokens = kept.input_tokens + excluded.input_tokens,
        cache_read_tokens = kept.cache_read_tokens + excluded.cache_read_tokens,
        cache_write_tokens = kept.cache_write_tokens + excluded.cache_write_tokens,
        output_tokens = kept.output_tokens + excluded.output_tokens,
        reasoning_tokens = kept.reasoning_tokens + excluded.reasoning_tokens,
        computed_cost = kept.computed_cost + excluded.computed_cost,
        latency_requests = kept.latency_requests + excluded.latency_requests,
        latency_ms_sum = kept.latency_ms_sum + excluded.latency_ms_sum,
        reported_requests = kept.reported_requests + excluded.reported_requests,
        reported_cost = kept.reported_cost + excluded.reported_cost,
        reported_computed_cost = kept.reported_computed_cost + excluded.reported_computed_cost,
        sample_requests = kept.sample_requests + excluded.sample_requests,
        records = kept.records + excluded.records
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
        sum(sample_requests)::bigint,
        sum(records)::bigint
    from summed
    group by tenant, day, provider, model, processing, feature, team, user_name, environment,
        status, unpriced_reason
    on conflict (tenant, bucket, provider, model, processing, feature, team, user_name,
        environment, status, unpriced_reason)
    do update set
        requests = kept.requests + excluded.requests,
        input_tokens = kept.input_tokens + excluded.input_tokens,
        cache_read_tokens = kept.cache_read_tokens + excluded.cache_read_tokens,
        cache_write_tokens = kept.cache_write_tokens + excluded.cache_write_tokens,
        output_tokens = kept.output_tokens + excluded.output_tokens,
        reasoning_tokens = kept.reasoning_tokens + excluded.reasoning_tokens,
        computed_cost = kept.computed_cost + excluded.computed_cost,
        latency_requests = kept.latency_requests + excluded.latency_requests,
        latency_ms_sum = kept.latency_ms_sum + excluded.latency_ms_sum,
        reported_requests = kept.reported_requests + excluded.reported_requests,
        reported_cost = kept.reported_cost + excluded.reported_cost,
        reported_computed_cost = kept.reported_computed_cost + excluded.reported_computed_cost,
        sample_requests = kept.sample_requests + excluded.sample_requests,
        records = kept.records + excluded.records
), due as (
    -- What a day finds depends on the last hours of the one before it.
    insert into apex.savings_due as kept (tenant, day)
    select distinct tenant, (date_trunc('day', quarter, 'UTC') at time zone 'UTC')::date + later
    from summed, generate_series(0, 1) as later
    on conflict (tenant, day) do update set changes = kept.changes + 1
), sourced as (
    insert into apex.usage_sources as kept
    select
        c.tenant, date_trunc('day', c.occurred_at, 'UTC') as day, c.provider,
        case when c.grain = 'bucket' and b.source_kind <> 'cost_report' then 'usage_report'
            else b.source_kind end as kind,
        true,
        %(sign)s * count(*),
        %(sign)s * sum(c.request_count)::bigint,
        %(sign)s * sum(c.input_tokens + c.output_tokens)::bigint,
        %(sign)s * coalesce(sum(c.computed_cost), 0),
        %(sign)s * coalesce(sum(c.reported_cost) filter (where c.currency = 'USD'), 0)
    from changed c
    join apex.import_batches b on b.id = c.import_id
    group by c.tenant, day, c.provider, kind
    on conflict (tenant, day, provider, source_kind, is_counted)
    do update set
        records = kept.records + excluded.records,
        requests = kept.requests + excluded.requests,
        tokens = kept.tokens + excluded.tokens,
        computed_cost = kept.computed_cost + excluded.computed_cost,
        reported_cost = kept.reported_cost + excluded.reported_cost
    returning kept.provider, kept.day
), noted as (
    insert into touched select distinct provider, day from sourced
)
