-- A part of statements: the records of a range that pass the filters, with the columns of the rollups
-- and what only records have.
usage as (
    select
        provider, model, processing, feature, team, user_name, environment, status,
        unpriced_reason,
        request_count as requests,
        input_tokens, cache_read_tokens,
        cache_write_5m_tokens + cache_write_1h_tokens as cache_write_tokens,
        output_tokens, reasoning_tokens,
        coalesce(computed_cost, 0) as computed_cost,
        grain, finish_reason, session_id, tags, latency_ms, ttft_ms
    from apex.usage_records
    where tenant = %(tenant)s and occurred_at >= %(start)s and occurred_at < %(end)s and
-- include: usage_filters
)
