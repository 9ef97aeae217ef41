-- Imports as their owners see them: listed, and undone.

-- name: list_imports
select public_id as import_id, name, format, reason, source_kind, price_version,
       rows, inserted, duplicates, rejected, started_at, finished_at
from apex.import_batches
where tenant = %(tenant)s
  and (%(before)s::uuid is null or id < (
      select id from apex.import_batches where public_id = %(before)s and tenant = %(tenant)s))
order by id desc
limit %(limit)s

-- name: lock_import
-- The tenant is locked: nobody else undoes it at the same time.
select id, name, inserted, duplicates, rejected
from apex.import_batches
where public_id = %(import_id)s and tenant = %(tenant)s

-- name: fill_incoming
-- Records that came second to one of the undone import: of each the one that would have counted takes
-- its place, the first request or else the last bucket.
insert into incoming
select distinct on (d.record_id) d.*
from (
    select record_id from apex.usage_records
    where tenant = %(tenant)s and import_id = %(number)s
    union all
    select record_id from apex.usage_reconciling
    where tenant = %(tenant)s and import_id = %(number)s
) as gone
join apex.usage_duplicates d
    on d.tenant = %(tenant)s and d.record_id = gone.record_id and d.import_id <> %(number)s
order by d.record_id, d.grain = 'bucket',
    case when d.grain = 'request' then d.import_id else -d.import_id end

-- name: count_restored
-- Their imports have them as their own from now on.
with restored as (
    select import_id, count(*) as records from incoming group by import_id
)
update apex.import_batches b
set inserted = b.inserted + r.records, duplicates = b.duplicates - r.records
from restored r
where b.id = r.import_id

-- name: drop_duplicates
-- Those that became records, and those of the undone import.
delete from apex.usage_duplicates d
where d.import_id = %(number)s
   or exists (
       select from incoming i
       where i.tenant = d.tenant and i.record_id = d.record_id and i.import_id = d.import_id)

-- name: remove_records
-- The records of an import go, and with them what they added to the sums. One statement, so that the
-- rows are read once. Every sum is there already: the inserts always meet a conflict.
with changed as (
    delete from apex.usage_records
    where tenant = %(tenant)s and import_id = %(number)s
    returning *
),
-- include: usage_sums
select count(*) as removed from changed

-- name: remove_reconciling
with changed as (
    delete from apex.usage_reconciling
    where tenant = %(tenant)s and import_id = %(number)s
    returning *
),
-- include: usage_asides
select count(*) as removed from changed

-- name: delete_import
delete from apex.import_batches where id = %(number)s
