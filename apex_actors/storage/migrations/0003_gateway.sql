-- What the gateway keeps: sessions, revoked tokens, the key of signed links; threads being deleted.

-- Where a user was: for the next connection, on any node.
create table apex.sessions (
    user_id bigint primary key references apex.users (id),
    -- No foreign key: sessions of many users are stored at once, and one thread that is deleted
    -- at that moment must not fail them all. Whoever reads it joins the thread, and finds none.
    thread_id uuid,
    -- Highest position that one of the user's clients has confirmed.
    acknowledged_seq bigint not null default 0,
    updated_at timestamptz not null default now()
) with (fillfactor = 70);
create index sessions_by_age on apex.sessions (updated_at);

-- Tokens that are no longer good: one by its id (jti), or all of a user's issued before a moment.
-- A row may go once every token it speaks of has expired.
create table apex.revocations (
    id bigint generated always as identity primary key,
    jti text,
    org text,
    sub text,
    issued_before timestamptz,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    check (
        (jti is not null and org is null and sub is null and issued_before is null)
        or (jti is null and org is not null and sub is not null and issued_before is not null))
);
create index revocations_by_age on apex.revocations (expires_at);

-- Counts the changes of that table, whoever makes them: nodes ask for this number alone while nothing
-- has changed. A sequence of ids would not do, because ids are not committed in their order.
create table apex.revocations_version (
    singleton boolean primary key default true check (singleton),
    version bigint not null default 1
) with (fillfactor = 50);
insert into apex.revocations_version default values;
create function apex.count_revocations_change() returns trigger language plpgsql as $$
begin
    update apex.revocations_version set version = version + 1;
    return null;
end
$$;
create trigger revocations_changed
    after insert or update or delete or truncate on apex.revocations
    for each statement execute function apex.count_revocations_change();

-- Signs links to reports and charts; the same for every node. 256 bits of two random UUIDs.
create table apex.link_key (
    singleton boolean primary key default true check (singleton),
    key bytea not null default uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())
);
insert into apex.link_key default values;

-- Asked to be deleted: hidden at once, removed when its running work has stopped.
alter table apex.threads add column delete_requested_at timestamptz;
create index threads_to_delete on apex.threads (delete_requested_at)
    where delete_requested_at is not null;
-- Pages of a user's threads, read backwards; ascending throughout, so that a row comparison with
-- the cursor is a range of it.
drop index apex.threads_of_user;
create index threads_of_user on apex.threads (user_id, updated_at, id)
    where delete_requested_at is null;
-- Events of a thread that belong to no run (a new title): few; the others are found by their run.
create index events_of_thread on apex.events (thread_id, seq)
    where thread_id is not null and run_id is null;

-- Runs of one message: the first, and those that tried again.
create index runs_of_message on apex.runs (message_id);
-- Runs that somebody wants stopped: looked for by every worker.
create index runs_to_cancel on apex.runs (cancel_requested_at)
    where cancel_requested_at is not null and status in ('queued', 'running');
create index error_reports_of_run on apex.error_reports (run_id) where run_id is not null;

-- json, not jsonb: kept to the letter, as in the event that tells of them. jsonb would make an
-- integer of three hundred digits out of 1e300.
alter table apex.preferences alter column preferences type json using preferences::json;

-- What the outside calls an import; the number stays inside, in each record.
alter table apex.import_batches
    add column public_id uuid not null default gen_random_uuid() unique;

-- Records of an import that were there already, by another one. They count for nothing, until the
-- import they came second to is undone: then the first of them takes the record's place.
create table apex.usage_duplicates (
    like apex.usage_records,
    primary key (tenant, record_id, import_id)
);
create index usage_duplicates_of_import on apex.usage_duplicates (import_id);
