-- The key of signed links, the same for every node.

-- name: link_key
select key from apex.link_key
