-- One leaky bucket in a shared dict, for all workers: GCRA, as scaler/limits/gcra.py.
--
-- A bucket is the theoretical arrival time (`tat`): the monotonic second at which it will have
-- drained. A shared dict has no compare-and-set, so between `get` and `set` another worker would be
-- overlooked, and more admitted than the rate. Therefore `tat` is only ever added to:
--
-- * To admit is `incr(tat, interval)`. It is atomic, and its result says whether another worker
--   was quicker; if that leaves no room, `incr(tat, -interval)` takes it back.
-- * A drained bucket must be lifted to now, and one whose rate has changed be rescaled. That is an
--   addition too, but of an amount that was read before: two workers at once would add it twice. So
--   it is done by whoever gets the lock. The others wait for nothing: they add to the bucket as it
--   is, and what they add is not lost when it is lifted. A worker that dies there leaves the lock
--   for LOCK_S; one that sleeps there for longer adds twice, and the bucket is full until it drains.
--
-- A worker may be put to sleep anywhere, so the clock is read after the bucket, each time: by an
-- older one a bucket that others have filled meanwhile would look full, or overfull.
--
-- The dict is an argument, so is the clock: nothing here knows nginx.

local max, min, floor, huge = math.max, math.min, math.floor, math.huge

local _M = {}

local LOCK_S = 0.1
-- Sums of intervals are not exact; a thousandth of a request more or less is not a request.
local SLACK = 1e-3

-- The keys of a bucket; made once, for strings cost more than the arithmetic.
function _M.named(name)
    return { tat = name .. ":tat", interval = name .. ":interval", lock = name .. ":lock" }
end

-- Drains a bucket to now, counts it in units of this interval, and makes it no fuller than full, for
-- its burst may have shrunk.
local function settle(dict, keys, clock, interval, depth)
    if not dict:add(keys.lock, true, LOCK_S) then
        return
    end
    local tat, before = dict:get(keys.tat) or 0, dict:get(keys.interval)
    local now = clock()
    local due = max(tat, now)
    if before ~= interval then
        if before then
            -- As many requests are in it as before, each of them takes another time.
            due = now + (due - now) * (interval / before)
        end
        dict:set(keys.interval, interval)
    end
    due = min(due, now + depth)
    if due ~= tat then
        dict:incr(keys.tat, due - tat, 0)
    end
    dict:delete(keys.lock)
end

-- Takes one request's room.
--
-- clock: returns monotonic seconds; rate: requests per second; burst: requests at once, at least 1.
-- Returns seconds to wait (0: it may pass; inf: never), and how many more could pass now.
function _M.take(dict, keys, clock, rate, burst)
    if rate <= 0 then
        return huge, 0
    end
    local interval = 1 / rate
    local depth = max(burst, 1) * interval
    local tat, before = dict:get(keys.tat), dict:get(keys.interval)
    local now = clock()
    -- Two intervals more than full may be what others have added and are about to take back.
    if not tat or tat < now or tat > now + depth + 2 * interval or before ~= interval then
        settle(dict, keys, clock, interval, depth)
        tat, now = dict:get(keys.tat) or 0, clock()
    end
    local slack = SLACK * interval
    if tat + interval <= now + depth + slack then
        tat, now = dict:incr(keys.tat, interval, now), clock()
        if tat <= now + depth + slack then
            return 0, floor((now + depth + slack - max(tat, now)) / interval)
        end
        tat = dict:incr(keys.tat, -interval)
    end
    return max(tat + interval - depth - now, slack), 0
end

-- Has a bucket drain at this rate from now on, though nobody takes from it.
function _M.tune(dict, keys, clock, rate, burst)
    if rate > 0 then
        settle(dict, keys, clock, 1 / rate, max(burst, 1) / rate)
    end
end

-- Gives back what `take` took, for a request that something else refuses.
function _M.give_back(dict, keys, rate)
    dict:incr(keys.tat, -1 / rate)
end

return _M
