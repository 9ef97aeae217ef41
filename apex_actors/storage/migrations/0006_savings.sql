-- What the requests of a day (UTC) come to for the levers: additive tallies, worked out behind the
-- imports, so that no question prices every request while somebody waits.
create table apex.savings_days (
    tenant text not null,
    day date not null,
    price_version text not null,
    -- Fingerprint of the settings that it was tallied with.
    settings text not null,
    -- JSON, compressed with zlib.
    tallies bytea not null,
    worked_out_at timestamptz not null default now(),
    primary key (tenant, day)
);

-- Days whose tallies are missing or old. Written by whatever changes records, in its transaction.
create table apex.savings_due (
    tenant text not null,
    day date not null,
    -- Counts changes: who has worked a day out knows whether it has changed meanwhile.
    changes bigint not null default 1,
    since timestamptz not null default now(),
    -- Until then somebody is at it.
    claimed_until timestamptz,
    primary key (tenant, day)
);
create index savings_due_since on apex.savings_due (since);

-- What is there already.
insert into apex.savings_due (tenant, day)
select distinct tenant, (bucket at time zone 'UTC')::date from apex.usage_rollups_day;
