-- What a connection is told once, when it is made.

-- name: limit_transactions
-- The second limit is for what the first one does not see: a pipeline that waits for its next
-- statement counts as at work. For the client's host and network too, for good measure.
select set_config(name, %(limit_ms)s, false)
from pg_catalog.pg_settings
where name in ('idle_in_transaction_session_timeout', 'transaction_timeout', 'tcp_user_timeout')
