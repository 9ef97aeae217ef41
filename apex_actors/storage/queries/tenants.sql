-- Whoever owns usage: changes to the usage of one tenant follow each other.

-- name: wait_for_others
-- An import may hold its tenant for minutes; the pool's lock_timeout is for short transactions.
set local lock_timeout = '10min'

-- name: ensure_tenant
insert into apex.tenants (tenant) values (%(tenant)s) on conflict (tenant) do nothing

-- name: lock_tenant
-- Taken before the first rollup row: imports of one tenant follow each other, so that two of them
-- never wait for each other's rollup rows.
select data_version from apex.tenants where tenant = %(tenant)s for update

-- name: bump_data_version
update apex.tenants set data_version = data_version + 1
where tenant = %(tenant)s
returning data_version
