-- A part of statements: the sums of each `name` in `valued`, which stands before it, most expensive
-- first. Those after the limit are summed up in one row with is_other.
named as (
    select
        name,
        sum(requests) as requests,
        sum(requests) filter (where unpriced_reason is null) as priced_requests,
        sum(input_tokens) as input_tokens,
        sum(cache_read_tokens) as cache_read_tokens,
        sum(cache_write_tokens) as cache_write_tokens,
        sum(output_tokens) as output_tokens,
        sum(reasoning_tokens) as reasoning_tokens,
        sum(input_tokens + output_tokens) filter (where unpriced_reason is null) as priced_tokens,
        sum(computed_cost) as cost,
        sum(requests) filter (where status = 'error') as errors,
        sum(computed_cost) filter (where status = 'error') as error_cost
    from valued
    group by 1
), ranked as (
    select *, row_number() over (
        order by cost desc, input_tokens + output_tokens desc, name nulls last
    ) as rank
    from named
)
select
    case when rank <= %(limit)s then name end as name,
    rank > %(limit)s as is_other,
    count(*) as names,
    sum(requests)::bigint as requests,
    coalesce(sum(priced_requests), 0)::bigint as priced_requests,
    sum(input_tokens)::bigint as input_tokens,
    sum(cache_read_tokens)::bigint as cache_read_tokens,
    sum(cache_write_tokens)::bigint as cache_write_tokens,
    sum(output_tokens)::bigint as output_tokens,
    sum(reasoning_tokens)::bigint as reasoning_tokens,
    coalesce(sum(priced_tokens), 0)::bigint as priced_tokens,
    sum(cost) as cost,
    coalesce(sum(errors), 0)::bigint as errors,
    coalesce(sum(error_cost), 0) as error_cost
from ranked
group by least(rank, %(limit)s + 1), 1, 2
order by least(rank, %(limit)s + 1)
