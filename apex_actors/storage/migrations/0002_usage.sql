-- Usage of AI models: records, what is summed up from them, imports.

-- Whoever owns usage. data_version counts the transactions that changed the tenant's records: it
-- stands in the keys of caches. Locked first by whatever changes usage of the tenant.
create table apex.tenants (
    tenant text primary key,
    data_version bigint not null default 0
);

create table apex.import_batches (
    id bigint generated always as identity primary key,
    tenant text not null,
    name text not null,
    format text not null,
    reason text not null,
    price_version text not null,
    rows bigint not null default 0,
    inserted bigint not null default 0,
    duplicates bigint not null default 0,
    rejected bigint not null default 0,
    started_at timestamptz not null,
    finished_at timestamptz
);
create index import_batches_of_tenant on apex.import_batches (tenant, id desc);

create table apex.import_rejects (
    import_id bigint not null references apex.import_batches (id) on delete cascade,
    line bigint not null,
    reason text not null,
    primary key (import_id, line)
);

-- One row a request, or a provider's bucket. Absent attributes are null.
create table apex.usage_records (
    tenant text not null,
    record_id text not null,
    -- No foreign key: checking it for each of millions of rows would cost a fifth of an import, and
    -- only an import that has just written its batch writes records.
    import_id bigint not null,
    occurred_at timestamptz not null,
    request_count bigint not null,
    input_tokens bigint not null,
    cache_read_tokens bigint not null,
    cache_write_5m_tokens bigint not null,
    cache_write_1h_tokens bigint not null,
    output_tokens bigint not null,
    reasoning_tokens bigint not null,
    latency_ms integer,
    ttft_ms integer,
    is_deferrable boolean,
    grain text not null check (grain in ('request', 'bucket')),
    provider text not null,
    model text not null,
    processing text not null check (processing in ('standard', 'batch', 'flex', 'priority')),
    status text not null check (status in ('ok', 'error')),
    finish_reason text,
    user_name text,
    team text,
    feature text,
    environment text,
    session_id text,
    request_hash text,
    retry_of text,
    -- Signed 64-bit numbers, little-endian, one after the other: a third of bigint[] in the pool's
    -- copy and read without parsing.
    prefix_block_hashes bytea,
    temperature numeric,
    reported_cost numeric,
    currency text not null,
    -- US dollars, from the price catalogue at import; null with the reason beside it.
    computed_cost numeric,
    unpriced_reason text,
    tags jsonb not null,
    primary key (tenant, record_id),
    check ((computed_cost is null) = (unpriced_reason is not null))
);
-- What needs single requests reads them in order of time.
create index usage_records_in_time on apex.usage_records (tenant, occurred_at, record_id);
create index usage_records_of_import on apex.usage_records (import_id);

-- Sums by quarter hour, so that days are right in every time zone. Kept in the same transaction as
-- the records. unpriced_reason null: all of the row is priced.
create table apex.usage_rollups_quarter (
    tenant text not null,
    bucket timestamptz not null,
    provider text not null,
    model text not null,
    processing text not null,
    feature text,
    team text,
    user_name text,
    environment text,
    status text not null,
    unpriced_reason text,
    requests bigint not null,
    input_tokens bigint not null,
    cache_read_tokens bigint not null,
    cache_write_tokens bigint not null,
    output_tokens bigint not null,
    reasoning_tokens bigint not null,
    computed_cost numeric not null,
    latency_requests bigint not null,
    latency_ms_sum bigint not null,
    reported_requests bigint not null,
    reported_cost numeric not null,
    reported_computed_cost numeric not null,
    sample_requests bigint not null
);
create unique index usage_rollups_quarter_key on apex.usage_rollups_quarter
    (tenant, bucket, provider, model, processing, feature, team, user_name, environment, status,
     unpriced_reason) nulls not distinct;

-- The same by day in UTC: for the whole days of long ranges.
create table apex.usage_rollups_day (like apex.usage_rollups_quarter);
create unique index usage_rollups_day_key on apex.usage_rollups_day
    (tenant, bucket, provider, model, processing, feature, team, user_name, environment, status,
     unpriced_reason) nulls not distinct;
