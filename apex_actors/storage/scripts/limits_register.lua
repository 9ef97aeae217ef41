-- Say that a process lives, and list those that do.
--
-- KEYS: the sorted set of processes, each with the server's time until which it is taken to live.
-- ARGV: the process, for how many milliseconds it is taken to live without another word, and the
--       most that any process may say there.
-- Answer: the server's time, 1 where the process was not listed before, and all that are now.

local life_ms, longest_life_ms = tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now_s = tonumber(time[1]) + tonumber(time[2]) / 1000000

local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'zset' and kind ~= 'none' then
    redis.call('DEL', KEYS[1])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.6f', now_s))
-- One with more than any may have was listed by a clock that has been set back since.
local latest_s = now_s + longest_life_ms / 1000
redis.call('ZREMRANGEBYSCORE', KEYS[1], string.format('(%.6f', latest_s), '+inf')
local joined = redis.call('ZADD', KEYS[1], string.format('%.6f', now_s + life_ms / 1000), ARGV[1])
local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')
redis.call('PEXPIRE', KEYS[1], math.ceil((tonumber(last[2]) - now_s) * 1000))

local answer = {string.format('%.6f', now_s), joined}
for _, name in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    answer[#answer + 1] = name
end
return answer
