-- A part of statements: what the records in `changed`, which stands before it, do to the sums of
-- sources that only reconcile. The sign is 1 where they leave them and -1 where they come to them.
-- Whose day was touched stands in `touched`.

asides as (
    insert into apex.usage_sources as kept
    select
        c.tenant, date_trunc('day', c.occurred_at, 'UTC') as day, c.provider,
        case when c.grain = 'bucket' and b.source_kind <> 'cost_report' then 'usage_report'
            else b.source_kind end as kind,
        false,
        -(%(sign)s) * count(*),
        -(%(sign)s) * sum(c.request_count)::bigint,
        -(%(sign)s) * sum(c.input_tokens + c.output_tokens)::bigint,
        -(%(sign)s) * coalesce(sum(c.computed_cost), 0),
        -(%(sign)s) * coalesce(sum(c.reported_cost) filter (where c.currency = 'USD'), 0)
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
), aside_noted as (
    insert into touched select distinct provider, day from asides
)
