-- What counts towards the limit of attempts are the leases that ended by themselves, which the queue
-- knows; nothing has to be subtracted any more.
alter table apex.runs drop column handovers;
