-- Takes tokens of one count, or none: all of it at once, by the clock of this server.
--
-- KEYS[1]  the count
-- ARGV     "bucket", microseconds between two tokens, burst    or    "window", amount, seconds to keep the count
--          then: tokens needed (0: what is there will do), tokens wanted, tokens given back
-- Returns  tokens given, tokens left, microseconds: until all are there again, or until the needed ones are

local need, want, back = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])

-- The last tokens are not for one replica alone, unless they are spent already.
local function give(room)
    if need == 0 then
        return math.min(want, room)
    end
    return math.max(need, math.min(want, math.ceil(room / 2)))
end

if ARGV[1] == 'window' then
    local amount, keep = tonumber(ARGV[2]), tonumber(ARGV[3])
    local used = math.max((tonumber(redis.call('GET', KEYS[1])) or 0) - back, 0)
    local room = math.max(amount - used, 0)
    local given = room >= need and give(room) or 0
    if given > 0 or back > 0 then
        redis.call('SET', KEYS[1], used + given, 'EX', keep)
    end
    return { given, room - given, 0 }
end

local interval, burst = tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local whole = burst * interval
-- When the bucket is full again. What is further ahead than an empty one was written by a clock that was wrong, or under
-- another quota.
local known = math.min(tonumber(redis.call('GET', KEYS[1])) or now, now + whole)
local full = math.max(known - back * interval, now)
-- A microsecond is below what these numbers can tell apart.
local room = math.min(math.max(math.floor((now + whole - full + 1) / interval), 0), burst)
local given = room >= need and give(room) or 0
full = full + given * interval
if given > 0 or back > 0 then
    redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000) + 1000)
end
if given == 0 then
    return { 0, room, math.ceil(math.max(full + need * interval - whole - now, 0)) }
end
return { given, room - given, math.ceil(full - now) }
