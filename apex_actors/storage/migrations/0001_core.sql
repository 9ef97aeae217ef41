-- Threads, messages, runs, results and the event log of every user.
--
-- A user is the pair (org, sub); users.id is its short form inside this database.
-- Lock order, everywhere: the user's row first, then the durable-task row (the fence).

-- The log's incarnation: a part of the epoch that clients resume with.
create table apex.log_incarnation (
    singleton boolean primary key default true check (singleton),
    id uuid not null default gen_random_uuid()
);
insert into apex.log_incarnation default values;

create table apex.users (
    id bigint generated always as identity primary key,
    org text not null,
    sub text not null,
    -- Number of the last event of the user's log: counted here and not by a sequence, because
    -- the order of numbers must be the order of commits.
    seq bigint not null default 0,
    -- Events up to this number are no longer retained.
    trimmed_seq bigint not null default 0,
    -- Counts accepted runs: the order in which waiting runs of equal priority start.
    accepted bigint not null default 0,
    created_at timestamptz not null default now(),
    unique (org, sub)
) with (fillfactor = 70);

create table apex.threads (
    id uuid primary key,
    user_id bigint not null references apex.users (id),
    title text not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index threads_of_user on apex.threads (user_id, updated_at desc, id);

create table apex.messages (
    id uuid primary key,
    user_id bigint not null references apex.users (id),
    thread_id uuid not null references apex.threads (id) on delete cascade,
    run_id uuid not null,
    role text not null check (role in ('user', 'assistant')),
    content text not null,
    client_message_id text,
    created_at timestamptz not null default now()
);
create unique index messages_idempotency on apex.messages (user_id, client_message_id)
    where client_message_id is not null;
create index messages_of_thread on apex.messages (thread_id, created_at, id);

create table apex.runs (
    id uuid primary key,
    user_id bigint not null references apex.users (id),
    thread_id uuid not null references apex.threads (id) on delete cascade,
    message_id uuid not null references apex.messages (id) on delete cascade,
    pipeline text not null,
    -- 0 goes first: start_agent; 1: user_message.
    priority smallint not null,
    accept_no bigint not null,
    -- waiting: behind another run; queued: has a durable task; running: claimed by a worker.
    status text not null check (status in (
        'waiting', 'queued', 'running', 'completed', 'failed', 'timed_out', 'cancelled')),
    partial boolean not null default false,
    attempt integer not null default 0,
    task_id uuid,
    time_zone text not null default 'UTC',
    cancel_requested_at timestamptz,
    accepted_at timestamptz not null default now(),
    started_at timestamptz,
    finished_at timestamptz,
    error jsonb
) with (fillfactor = 80);
create index runs_open on apex.runs (user_id, priority, accept_no)
    where status in ('waiting', 'queued', 'running');
create index runs_of_thread on apex.runs (thread_id, accepted_at);

-- What each step of a run produced: written once, in the transaction of its events.
create table apex.step_results (
    run_id uuid not null references apex.runs (id) on delete cascade,
    step smallint not null,
    agent text not null,
    attempt integer not null,
    status text not null check (status in ('ok', 'degraded', 'failed')),
    result jsonb not null,
    duration_ms integer not null,
    finished_at timestamptz not null default now(),
    primary key (run_id, step)
);

-- What a run answered.
create table apex.results (
    run_id uuid primary key references apex.runs (id) on delete cascade,
    content text not null,
    report json not null,
    created_at timestamptz not null default now()
);

create table apex.events (
    user_id bigint not null references apex.users (id),
    seq bigint not null,
    event_id uuid not null,
    type text not null,
    ts timestamptz not null,
    thread_id uuid,
    run_id uuid,
    agent text,
    attempt integer not null,
    -- json, not jsonb: kept to the letter, so that a replayed frame equals the live one.
    payload json not null,
    primary key (user_id, seq)
);
create index events_of_run on apex.events (run_id, seq) where run_id is not null;

create table apex.preferences (
    user_id bigint primary key references apex.users (id),
    preferences jsonb not null,
    updated_at timestamptz not null default now()
);

-- What went wrong, for the operator; the user gets the id.
create table apex.error_reports (
    id uuid primary key,
    user_id bigint references apex.users (id),
    run_id uuid,
    kind text not null,
    message text not null,
    stack text not null,
    context jsonb not null,
    created_at timestamptz not null default now()
);
create index error_reports_recent on apex.error_reports (created_at desc);
