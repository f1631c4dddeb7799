-- A leaky bucket in a shared dict, shared by all workers: GCRA, as in scaler/limits/gcra.py.
--
-- The state of a bucket is its theoretical arrival time (`tat`): the monotonic second at which it
-- will have drained. A shared dict has no compare-and-set, so a write by another worker between
-- `get` and `set` would be lost, and more admitted than the rate. Therefore `tat` is only changed by
-- atomic additions:
--
-- * To admit a request is `incr(tat, interval)`. Its result shows whether another worker was faster;
--   if there is no room left then, `incr(tat, -interval)` undoes it.
-- * A drained bucket must be moved forward to now, and a bucket whose rate has changed be rescaled.
--   These are additions of an amount that was computed from an earlier read, so two workers could
--   add it twice. Only the worker that gets the lock does it. The others do not wait: they add to
--   the bucket as it is, and no addition is lost. A worker that dies while it holds the lock blocks
--   it for LOCK_S. One that is suspended for longer may add twice; the bucket is then full until it
--   has drained.
--
-- The scheduler may suspend a worker anywhere, so the clock is read after the bucket, each time. By
-- an older time a bucket that others have filled meanwhile would look full, or overfull.
--
-- The dict and the clock are arguments, so this file does not depend on nginx.

local max, min, floor, huge = math.max, math.min, math.floor, math.huge

local _M = {}

local LOCK_S = 0.1
-- Floating point sums are not exact, so a thousandth of a request is tolerated.
local SLACK = 1e-3

-- Returns the keys of a bucket; make them once, for strings cost more than the arithmetic.
function _M.named(name)
    return { tat = name .. ":tat", interval = name .. ":interval", lock = name .. ":lock" }
end

-- Drains a bucket up to now, rescales it to this interval, and caps it at its depth, for its burst
-- may have become smaller.
local function settle(dict, keys, clock, interval, depth)
    if not dict:add(keys.lock, true, LOCK_S) then
        return
    end
    local tat, before = dict:get(keys.tat) or 0, dict:get(keys.interval)
    local now = clock()
    local due = max(tat, now)
    if before ~= interval then
        if before then
            -- The number of requests in it stays the same; each of them takes another time.
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

-- Takes the room of one request.
--
-- clock: returns monotonic seconds; rate: requests per second; burst: requests at once, at least 1.
-- Returns seconds to wait (0: the request may pass; inf: never), and how many more could pass now.
function _M.take(dict, keys, clock, rate, burst)
    if rate <= 0 then
        return huge, 0
    end
    local interval = 1 / rate
    local depth = max(burst, 1) * interval
    local tat, before = dict:get(keys.tat), dict:get(keys.interval)
    local now = clock()
    -- Up to two intervals above the depth may be additions that other workers will undo.
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

-- Sets the rate of a bucket from which no request is taken now.
function _M.tune(dict, keys, clock, rate, burst)
    if rate > 0 then
        settle(dict, keys, clock, 1 / rate, max(burst, 1) / rate)
    end
end

-- Undoes `take`, for a request that another bucket refuses.
function _M.give_back(dict, keys, rate)
    dict:incr(keys.tat, -1 / rate)
end

return _M
