-- Budgets of tenants.

-- name: set_budget
insert into apex.budgets (tenant, name, monthly_amount, currency, dimension, value)
values (%(tenant)s, %(name)s, %(monthly_amount)s, %(currency)s, %(dimension)s, %(value)s)
on conflict (tenant, name) do update
set monthly_amount = excluded.monthly_amount, currency = excluded.currency,
    dimension = excluded.dimension, value = excluded.value, updated_at = now()

-- name: lock_tenant
-- Whoever sets budgets of a tenant at the same time waits, so that the limit holds.
select pg_advisory_xact_lock(hashtextextended('budgets:' || %(tenant)s, 0))

-- name: count_others
select count(*) as budgets from apex.budgets where tenant = %(tenant)s and name <> %(name)s

-- name: list_budgets
select name, monthly_amount, currency, dimension, value
from apex.budgets
where tenant = %(tenant)s
order by name

-- name: delete_budget
delete from apex.budgets where tenant = %(tenant)s and name = %(name)s
