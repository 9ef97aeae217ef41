-- Tokens that are no longer good, and how often that has changed.

-- name: revoke_token
insert into apex.revocations (jti, expires_at)
values (%(token_id)s, %(expires_at)s)
returning id

-- name: revoke_user
insert into apex.revocations (org, sub, issued_before, expires_at)
values (%(org)s, %(sub)s, %(issued_before)s, %(expires_at)s)
returning id

-- name: live_revocations_unless_known
-- No row while the version is the known one; else the live ones, or one row without any.
-- One statement, so that version and rows are of the same moment.
select v.version, r.id, r.jti, r.org, r.sub, r.issued_before, r.expires_at
from apex.revocations_version v
left join apex.revocations r on r.expires_at > now()
where v.version is distinct from %(known)s::bigint
order by r.id

-- name: remove_expired_revocations
delete from apex.revocations where expires_at <= now()
