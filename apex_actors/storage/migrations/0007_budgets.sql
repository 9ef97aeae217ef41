-- What a tenant means to spend in a calendar month, in all or on one value of a dimension.
create table apex.budgets (
    tenant text not null,
    name text not null,
    monthly_amount numeric not null check (monthly_amount > 0),
    currency text not null check (currency ~ '^[A-Z]{3}$'),
    -- As the costs call it: model, team, user and so on.
    dimension text,
    value text,
    updated_at timestamptz not null default now(),
    primary key (tenant, name),
    check ((dimension is null) = (value is null))
);
