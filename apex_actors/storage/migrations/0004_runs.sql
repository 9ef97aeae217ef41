-- How often a worker that stopped has given the run back while it worked on it. Those attempts count
-- in `attempt`, which every event carries and which only grows, but not towards the limit.
alter table apex.runs add column handovers integer not null default 0;
