-- Costs that were reported in other currencies than US dollars, and the tenant's rates for them.

-- name: rates
select currency, day, usd from apex.currency_rates
where tenant = %(tenant)s
order by currency, day

-- name: forget_rates
delete from apex.currency_rates where tenant = %(tenant)s

-- name: add_rates
insert into apex.currency_rates (tenant, currency, day, usd)
select %(tenant)s, currency, day, usd
from unnest(%(currencies)s::text[], %(days)s::date[], %(usd)s::numeric[])
    as given (currency, day, usd)

-- name: reported
-- Each at the rate of its UTC day, which is the last one given up to that day.
select r.currency,
    sum(r.request_count)::bigint as requests,
    sum(r.reported_cost) as amount,
    coalesce(sum(r.reported_cost) filter (where rate.usd is not null), 0) as converted_amount,
    coalesce(sum(r.reported_cost * rate.usd), 0) as converted_usd
from apex.usage_records r
left join lateral (
    select c.usd from apex.currency_rates c
    where c.tenant = r.tenant and c.currency = r.currency
        and c.day <= (r.occurred_at at time zone 'UTC')::date
    order by c.day desc
    limit 1
) as rate on true
where r.tenant = %(tenant)s and r.occurred_at >= %(start)s and r.occurred_at < %(end)s
    and r.currency <> 'USD' and r.reported_cost is not null
group by r.currency
order by r.currency
