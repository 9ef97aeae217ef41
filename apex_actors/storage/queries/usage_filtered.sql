-- A part of statements: the rollup rows of a range that pass the filters, the whole UTC days from the
-- rows by day and the two ends from the rows by quarter hour.
usage as (
    select * from (
        select * from apex.usage_rollups_day
        where tenant = %(tenant)s and bucket >= %(first_day)s and bucket < %(last_day)s
        union all
        select * from apex.usage_rollups_quarter
        where tenant = %(tenant)s and bucket >= %(start)s and bucket < %(head_end)s
        union all
        select * from apex.usage_rollups_quarter
        where tenant = %(tenant)s and bucket >= %(tail_start)s and bucket < %(end)s
    ) as tiers
    where
-- include: usage_filters
)
