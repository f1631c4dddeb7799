-- A leaky bucket in a store that several processes may share: GCRA, as in scaler/limits/gcra.py.
--
-- The state of a bucket is its theoretical arrival time (`tat`): the monotonic second at which it
-- will have drained. A store has no compare-and-set, so a write by another process between `get` and
-- `set` would be lost, and more admitted than the rate. Therefore `tat` is only changed by atomic
-- additions:
--
-- * To admit a request is `incr(tat, interval)`. Its result shows whether another process was faster;
--   if there is no room left then, `incr(tat, -interval)` undoes it.
-- * A drained bucket must be moved forward to now, and a bucket whose rate has changed be rescaled.
--   These are additions of an amount that was computed from an earlier read, so two processes could
--   add it twice. Only the process that gets the lock does it. The others do not wait: they add to
--   the bucket as it is, and no addition is lost. A process that dies while it holds the lock blocks
--   it for LOCK_S. One that is suspended for longer may add twice; the bucket is then full until it
--   has drained.
--
-- A process may be suspended anywhere, so the clock is read after the bucket, each time. By an older
-- time a bucket that others have filled meanwhile would look full, or overfull.
--
-- In all functions: store: get, set, add, incr and delete, as a shared dict of nginx has them, or
-- store.lua, whose `is_private` says that no other process adds; keys: see `named`; clock: returns
-- monotonic seconds; rate: requests per second; burst: requests at once, at least 1; part: how much of
-- the burst a request may fill (nil: all of it), but one request always finds room in an empty bucket.

local max, min, huge = math.max, math.min, math.huge

local bucket = {}

local LOCK_S = 0.1
-- Floating point sums are not exact, so a thousandth of a request is tolerated.
local SLACK = 1e-3
bucket.SLACK = SLACK
-- A lower rate (one request in thirty years) counts as 0.
local MIN_RPS = 1e-9

-- Returns the keys of a bucket; make them once, for strings cost more than the arithmetic.
--
-- `kept` of them is the number of requests that room is kept for in this process: they do not drain.
function bucket.named(name)
    return { tat = name .. ":tat", interval = name .. ":interval", lock = name .. ":lock", kept = 0 }
end

-- Returns the seconds that one request takes to drain; inf: nothing drains.
local function interval_of(rate)
    return rate > MIN_RPS and 1 / rate or huge
end

-- Drains a bucket up to now, rescales it to this interval, and caps it at its depth, for its burst
-- may have become smaller.
local function settle(store, keys, clock, interval, burst)
    if not store.is_private and not store:add(keys.lock, true, LOCK_S) then
        return
    end
    local tat, before = store:get(keys.tat) or 0, store:get(keys.interval)
    local now = clock()
    local due = max(tat, now)
    if before ~= interval then
        if before and before < huge and interval < huge then
            -- The number of requests in it stays the same; each of them takes another time.
            due = now + (due - now) * (interval / before)
        end
        store:set(keys.interval, interval)
    end
    if interval < huge then
        due = min(due, now + burst * interval)
    end
    if due ~= tat then
        store:incr(keys.tat, due - tat, 0)
    end
    if not store.is_private then
        store:delete(keys.lock)
    end
end

-- Returns the bucket, settled if need be, and the time.
local function read(store, keys, clock, interval, burst)
    local tat, before = store:get(keys.tat), store:get(keys.interval)
    local now = clock()
    -- Up to two intervals above the depth may be additions that others will undo.
    local is_settled = tat and tat <= now + (burst + 2) * interval and before == interval
    if is_settled and tat < now and store.is_private then
        store:set(keys.tat, now)
        return now, now
    elseif not is_settled or tat < now then
        settle(store, keys, clock, interval, burst)
        tat, now = store:get(keys.tat) or 0, clock()
    end
    return tat, now
end

-- Returns seconds until a request would pass (0: it would now; inf: never).
function bucket.wait(store, keys, clock, rate, burst, part)
    local interval = interval_of(rate)
    if interval == huge then
        return huge
    end
    burst = max(burst, 1)
    local tat, now = read(store, keys, clock, interval, burst)
    local wait = tat - now - (max(burst * (part or 1), 1) - keys.kept - 1) * interval
    return wait > SLACK * interval and wait or 0
end

-- Takes the room of one request.
--
-- Returns seconds to wait (0: the request may pass; inf: never), and seconds until the bucket is empty.
function bucket.take(store, keys, clock, rate, burst, part)
    local interval = interval_of(rate)
    if interval == huge then
        return huge, 0
    end
    burst = max(burst, 1)
    local tat, now = read(store, keys, clock, interval, burst)
    local slack = SLACK * interval
    local most = (max(burst * (part or 1), 1) - keys.kept) * interval + slack
    if tat + interval <= now + most then
        tat, now = store:incr(keys.tat, interval, now), clock()
        if tat <= now + most then
            return 0, max(tat - now, 0)
        end
        tat = store:incr(keys.tat, -interval, 0)
    end
    return max(tat + interval - most + slack - now, slack), max(tat - now, 0)
end

-- Undoes `take`, for a request that another bucket refuses.
function bucket.give_back(store, keys, rate)
    store:incr(keys.tat, -interval_of(rate), 0)
end

-- Adds requests that pass in any case; the bucket gets no fuller than its size. Returns seconds until
-- it is empty.
function bucket.charge(store, keys, clock, rate, burst, requests)
    local interval = interval_of(rate)
    if interval == huge then
        return 0
    end
    burst = max(burst, 1)
    read(store, keys, clock, interval, burst)
    local tat, now = store:incr(keys.tat, requests * interval, clock()), clock()
    local over = tat - now - burst * interval
    if over > 0 then
        tat = store:incr(keys.tat, -min(over, requests * interval), 0)
    end
    return max(tat - now, 0)
end

-- Sets the rate of a bucket from which no request is taken now.
function bucket.tune(store, keys, clock, rate, burst)
    settle(store, keys, clock, interval_of(rate), max(burst, 1))
end

-- Returns how many requests would pass at once, of a bucket that is empty in so many seconds.
function bucket.room(keys, rate, burst, empty_in_s, part)
    local interval = interval_of(rate)
    if interval == huge then
        return 0
    end
    return max(0, max(burst * (part or 1), 1) - empty_in_s / interval - keys.kept)
end

-- Returns seconds until a bucket is empty.
function bucket.empty_in(store, keys, clock, rate, burst)
    local interval = interval_of(rate)
    if interval == huge then
        return 0
    end
    local tat, now = read(store, keys, clock, interval, max(burst, 1))
    return max(tat - now, 0)
end

return bucket
