-- Count what one process has let through, and answer what is left for everybody.
--
-- KEYS: one hash for each subject (a user, an address), all of one slot.
-- ARGV: the process, the cap on connections, the window in seconds in which all was let through,
--       the life of counted connections in milliseconds, the server's time at which the living
--       processes were listed, by how much the clocks of a cluster's servers may differ in seconds,
--       how many buckets a subject has, rate and burst of each, how many living processes, their
--       names, and numbers in one text, for each key: what was taken from each bucket, the
--       connections that the process has, and how many of them it had told of before.
-- Answer: numbers in one text, for each key: the level of each bucket, the connections elsewhere,
--       and how many of the process's own are over the cap. (One text, because clients take longer
--       to read a list than all of this takes.)
--
-- A hash holds l1, l2, ...: levels at the time t; c:PROCESS: connections and when they were told.
-- What another has written there counts as nothing. The key goes when it would say nothing.

local process = ARGV[1]
local cap = tonumber(ARGV[2])
local window_s = tonumber(ARGV[3])
local connection_life_ms = tonumber(ARGV[4])
local listed_at_s = tonumber(ARGV[5])
local skew_s = tonumber(ARGV[6])
local buckets = tonumber(ARGV[7])
local at = 8

local rates, bursts = {}, {}
for bucket = 1, buckets do
    rates[bucket], bursts[bucket] = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
    at = at + 2
end

local living = {}
local processes = tonumber(ARGV[at])
for index = at + 1, at + processes do
    living[ARGV[index]] = true
end
at = at + processes + 1

local time = redis.call('TIME')
local now_s = tonumber(time[1]) + tonumber(time[2]) / 1000000
local own = 'c:' .. process

-- A number within bounds, or nil: it may be anything that somebody has put there.
local function number(text, least, most)
    local value = tonumber(text)
    if value and value >= least and value <= most then
        return value
    end
    return nil
end

local function read(key)
    local found = redis.pcall('HGETALL', key)
    if found.err then
        redis.call('DEL', key)
        return {}
    end
    return found
end

local numbers, told_numbers = {}, 0
for word in string.gmatch(ARGV[at], '%S+') do
    told_numbers = told_numbers + 1
    numbers[told_numbers] = tonumber(word)
end

local answer = {}
for index, key in ipairs(KEYS) do
    local first = (index - 1) * (buckets + 2)
    local connections, known = numbers[first + buckets + 1], numbers[first + buckets + 2]

    local state, elsewhere, gone, told = {}, 0, {}, false
    local stored = read(key)
    for field = 1, #stored, 2 do
        local name, value = stored[field], stored[field + 1]
        if string.sub(name, 1, 2) ~= 'c:' then
            state[name] = value
        elseif name == own then
            told = true
        else
            local count, told_at = string.match(value, '^(%d+) (%S+)$')
            count, told_at = number(count, 0, 1000000), number(told_at, 0, 1e12)
            -- A process registers before it tells anything: one that told this before the living
            -- were listed, and is not among them, is dead.
            if count and told_at
                and (living[string.sub(name, 3)] or told_at + skew_s >= listed_at_s) then
                elsewhere = elsewhere + count
            else
                gone[#gone + 1] = name
            end
        end
    end

    -- A clock that was set back grants nothing, and the next second counts again.
    local since = number(state.t, 0, 1e12)
    local elapsed_s = since and math.max(now_s - since, 0)
    local fields, full_in_s = {'t', string.format('%.6f', now_s)}, 0
    for bucket = 1, buckets do
        local rate, burst = rates[bucket], bursts[bucket]
        -- More debt than all processes can have run up in one exchange is none of theirs.
        local least = -2 * burst * math.max(processes, 1)
        local level = number(state['l' .. bucket], least, burst)
        if level and elapsed_s then
            -- What was taken was taken within the window: refilled before it first, then taken,
            -- then refilled within it. Taken last, a steady user of a full bucket would lose
            -- what came in while it was full; taken first, an idle one would be given twice.
            local before_s = math.max(elapsed_s - window_s, 0)
            level = math.min(burst, level + rate * before_s)
            level = level - numbers[first + bucket]
            level = math.min(burst, level + rate * (elapsed_s - before_s))
        else
            level = math.min(burst, burst - numbers[first + bucket] + rate * window_s)
        end
        level = math.max(level, least)
        full_in_s = math.max(full_in_s, (burst - level) / rate)
        fields[#fields + 1] = 'l' .. bucket
        local text = string.format('%.6f', level)
        fields[#fields + 1] = text
        answer[#answer + 1] = text
    end

    if connections > 0 then
        fields[#fields + 1] = own
        fields[#fields + 1] = string.format('%d %.6f', connections, now_s)
    elseif told then
        gone[#gone + 1] = own
    end
    local over = math.min(elsewhere + connections - cap, connections - known)
    answer[#answer + 1] = elsewhere
    answer[#answer + 1] = math.max(over, 0)

    local life_ms = math.ceil(full_in_s * 1000)
    if elsewhere + connections > 0 then
        life_ms = math.max(life_ms, connection_life_ms)
    end
    if life_ms == 0 then
        if #stored > 0 then
            redis.call('DEL', key)
        end
    else
        for _, name in ipairs(gone) do
            redis.call('HDEL', key, name)
        end
        redis.call('HSET', key, unpack(fields))
        redis.call('PEXPIRE', key, string.format('%.0f', math.min(life_ms, 1e12)))
    end
end
return table.concat(answer, ' ')
