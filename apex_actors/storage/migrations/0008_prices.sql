-- What tenants have negotiated, and the rates by which they convert what is reported in other
-- currencies.

-- Every version that there ever was; the last one holds. document null: list prices again.
create table apex.price_overrides (
    tenant text not null,
    version integer not null check (version > 0),
    document jsonb,
    created_at timestamptz not null default now(),
    primary key (tenant, version)
);

-- US dollars for one unit of the currency, from that day of UTC on, until the next rate.
create table apex.currency_rates (
    tenant text not null,
    currency text not null check (currency ~ '^[A-Z]{3}$' and currency <> 'USD'),
    day date not null,
    usd numeric not null check (usd > 0),
    primary key (tenant, currency, day)
);

-- Whose word counts where several sources tell of the same spend: for each provider and UTC day one
-- kind of source. What the others say is kept apart, and only reconciles.

alter table apex.import_batches
    add column source_kind text not null default 'requests'
        check (source_kind in ('requests', 'usage_report', 'cost_report', 'trace'));
update apex.import_batches set source_kind = 'trace'
where format in ('azure-2023-trace', 'mooncake-trace');

-- Records whose source does not count on their day; a record stands here or in usage_records.
create table apex.usage_reconciling (
    like apex.usage_records,
    primary key (tenant, record_id)
);
create index usage_reconciling_in_time on apex.usage_reconciling (tenant, occurred_at);
create index usage_reconciling_of_import on apex.usage_reconciling (import_id);

-- What each source says of a provider's day. is_counted: the records stand in usage_records.
create table apex.usage_sources (
    tenant text not null,
    day timestamptz not null,
    provider text not null,
    source_kind text not null,
    is_counted boolean not null,
    records bigint not null,
    requests bigint not null,
    tokens bigint not null,
    computed_cost numeric not null,
    -- In US dollars; other currencies are not in it.
    reported_cost numeric not null,
    primary key (tenant, day, provider, source_kind, is_counted)
);

-- What a tenant has chosen instead of the default order; provider '*': all without one of its own.
create table apex.source_choices (
    tenant text not null,
    provider text not null,
    source_kind text not null
        check (source_kind in ('requests', 'usage_report', 'cost_report', 'trace')),
    primary key (tenant, provider)
);

-- A source may not tell how many requests a bucket had, so that 0 requests can be something: whether
-- a sum is of nothing is told by its records.
alter table apex.usage_rollups_quarter add column records bigint not null default 0;
alter table apex.usage_rollups_day add column records bigint not null default 0;

create index usage_records_in_other_currencies on apex.usage_records (tenant, occurred_at)
    where currency <> 'USD' and reported_cost is not null;

update apex.usage_rollups_quarter q
set records = counted.records
from (
    select tenant,
        date_bin('15 minutes', occurred_at, timestamptz '2000-01-01 00:00:00Z') as quarter,
        provider, model, processing, feature, team, user_name, environment, status,
        unpriced_reason, count(*) as records
    from apex.usage_records
    group by tenant, quarter, provider, model, processing, feature, team, user_name, environment,
        status, unpriced_reason
) as counted
where q.tenant = counted.tenant and q.bucket = counted.quarter
    and q.provider = counted.provider and q.model = counted.model
    and q.processing = counted.processing and q.status = counted.status
    and (q.feature, q.team, q.user_name, q.environment, q.unpriced_reason)
        is not distinct from (counted.feature, counted.team, counted.user_name,
            counted.environment, counted.unpriced_reason);
update apex.usage_rollups_day d
set records = counted.records
from (
    select tenant, date_trunc('day', bucket, 'UTC') as day,
        provider, model, processing, feature, team, user_name, environment, status,
        unpriced_reason, sum(records)::bigint as records
    from apex.usage_rollups_quarter
    group by tenant, day, provider, model, processing, feature, team, user_name, environment,
        status, unpriced_reason
) as counted
where d.tenant = counted.tenant and d.bucket = counted.day
    and d.provider = counted.provider and d.model = counted.model
    and d.processing = counted.processing and d.status = counted.status
    and (d.feature, d.team, d.user_name, d.environment, d.unpriced_reason)
        is not distinct from (counted.feature, counted.team, counted.user_name,
            counted.environment, counted.unpriced_reason);

insert into apex.usage_sources
select r.tenant, date_trunc('day', r.occurred_at, 'UTC') as day, r.provider,
    case when r.grain = 'bucket' and b.source_kind <> 'cost_report' then 'usage_report'
        else b.source_kind end as kind,
    true, count(*), sum(r.request_count)::bigint,
    sum(r.input_tokens + r.output_tokens)::bigint,
    coalesce(sum(r.computed_cost), 0),
    coalesce(sum(r.reported_cost) filter (where r.currency = 'USD'), 0)
from apex.usage_records r
join apex.import_batches b on b.id = r.import_id
group by r.tenant, day, r.provider, kind;
