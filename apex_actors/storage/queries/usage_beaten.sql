-- A part of statements: the records in `changed`, which stands before it, gave way to newer ones. They
-- are kept for an undo, and count as duplicates of their imports.

beaten as (
    insert into apex.usage_duplicates select * from changed
), owners as (
    update apex.import_batches b
    set inserted = b.inserted - gone.records, duplicates = b.duplicates + gone.records
    from (select import_id, count(*) as records from changed group by import_id) as gone
    where b.id = gone.import_id
),
