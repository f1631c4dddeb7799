-- The buckets of a gateway's share: two for each priority class, and one for the common spare. As in
-- scaler/gateway/class_buckets.py.
--
-- The buckets of a class bound its own rate and its ceiling. A refused request is charged to none.

local bucket = require "tidegate.core.bucket"
local classes = require "tidegate.core.classes"

local huge, max, min = math.huge, math.max, math.min

local Share = {}
Share.__index = Share

-- store, clock: see bucket.lua; prefix: of the keys.
function Share.new(store, prefix, clock)
    return setmetatable({
        store = store, prefix = prefix, clock = clock, keys = {},
        own = {}, ceilings = {}, spare = 0, depth_s = 0,
    }, Share)
end

-- Returns the keys of a bucket: `own` or `ceiling` of a class, or `spare`, whose name is "".
function Share:keys_of(kind, name)
    local id = kind .. ":" .. name
    local keys = self.keys[id]
    if not keys then
        keys = bucket.named(self.prefix .. id)
        self.keys[id] = keys
    end
    return keys
end

local function tune(self, kind, name, rate)
    bucket.tune(self.store, self:keys_of(kind, name), self.clock, rate, rate * self.depth_s)
end

-- Sets the rates of all buckets to their parts of a finite limit, also of buckets without requests: a
-- class that has paused must not find its bucket as full as it was under an older limit.
function Share:set_limit(lease, limit)
    if self.lease ~= lease or self.limit ~= limit then
        local own, ceilings, spare = classes.parts(lease, limit)
        self.own, self.ceilings = {}, {}
        for i, class in ipairs(lease.classes) do
            self.own[class.name], self.ceilings[class.name] = own[i], ceilings[i]
        end
        self.lease, self.limit, self.spare = lease, limit, spare
        -- Each bucket gets its part of the burst, but holds at least one request.
        self.depth_s = limit > 0 and lease.burst / limit or 0
    end
    tune(self, "spare", "", self.spare)
    for name, rate in pairs(self.own) do
        tune(self, "own", name, rate)
        tune(self, "ceiling", name, self.ceilings[name])
    end
end

-- Whether the rates are those of this lease at this limit.
function Share:is_at(lease, limit)
    return self.lease == lease and self.limit == limit
end

-- Forgets the requests of a class that is no longer there.
function Share:forget(name)
    for _, kind in ipairs({ "own", "ceiling" }) do
        local keys = self:keys_of(kind, name)
        self.store:delete(keys.tat)
        self.store:delete(keys.interval)
        self.keys[kind .. ":" .. name] = nil
    end
end

-- Returns the rate that bounds a class; nil: of no class of the lease.
function Share:limit_of(name)
    return name and self.ceilings[name] or self.spare
end

-- Returns the buckets that every request of a class is put into as long as it stays within its own rate;
-- nil: of no class. Each has keys, rate and burst. There are none of a class that is not in the lease.
function Share:buckets_of(name)
    local function of(kind, rate)
        return { keys = self:keys_of(kind, name or ""), rate = rate, burst = rate * self.depth_s }
    end
    if name and not self.own[name] then
        return {}
    elseif name then
        return { of("own", self.own[name]), of("ceiling", self.ceilings[name]) }
    end
    return { of("spare", self.spare) }
end

-- Returns how many requests would pass at once through all of these buckets.
function Share:room(buckets)
    local room = huge
    for _, one in ipairs(buckets) do
        local empty_s = bucket.empty_in(self.store, one.keys, self.clock, one.rate, one.burst)
        room = min(room, bucket.room(one.keys, one.rate, one.burst, empty_s))
    end
    return room
end

-- Keeps room for so many requests in these buckets; a negative number frees it again.
function Share:keep(buckets, requests)
    for _, one in ipairs(buckets) do
        one.keys.kept = one.keys.kept + requests
    end
end

-- Puts requests that have passed into these buckets, at their rates of now.
function Share:charge(buckets, requests)
    for _, one in ipairs(requests > 0 and buckets or {}) do
        bucket.charge(self.store, one.keys, self.clock, one.rate, one.burst, requests)
    end
end

-- Decides on a request that may use the spare alone.
local function admit_spare(self)
    local rate, keys = self.spare, self:keys_of("spare", "")
    local burst = rate * self.depth_s
    local wait, empty_s = bucket.take(self.store, keys, self.clock, rate, burst)
    if wait > 0 then
        return wait, 0, rate, wait
    end
    return 0, bucket.room(keys, rate, burst, empty_s), rate, empty_s
end

-- Takes from the spare, if the ceiling has room, too. Returns seconds to wait; 0: it has passed.
local function take_above_own(self, spare_keys, ceiling_keys, ceiling)
    local store, clock, depth_s, spare = self.store, self.clock, self.depth_s, self.spare
    local ceiling_wait = bucket.wait(store, ceiling_keys, clock, ceiling, ceiling * depth_s)
    if ceiling_wait > 0 then
        return max(ceiling_wait, bucket.wait(store, spare_keys, clock, spare, spare * depth_s))
    end
    return (bucket.take(store, spare_keys, clock, spare, spare * depth_s))
end

-- Decides on one request of a class, and takes it from the buckets; nil: of no class of the lease.
--
-- Returns seconds to wait (0: it passes; inf: never at this limit), how many more requests would pass
-- at once, the rate that applies, and seconds until the whole burst would pass.
function Share:admit(name)
    local own = name and self.own[name]
    if not own then
        return admit_spare(self)
    end
    local store, clock, depth_s = self.store, self.clock, self.depth_s
    local own_keys, ceiling_keys = self:keys_of("own", name), self:keys_of("ceiling", name)
    local spare_keys, ceiling = self:keys_of("spare", ""), self.ceilings[name]
    local wait, own_empty_s = bucket.take(store, own_keys, clock, own, own * depth_s)
    if wait > 0 then
        local above = take_above_own(self, spare_keys, ceiling_keys, ceiling)
        if above > 0 then
            wait = min(wait, above)
            return wait, 0, ceiling, wait
        end
    end
    local empty_s = bucket.charge(store, ceiling_keys, clock, ceiling, ceiling * depth_s, 1)
    local left = bucket.room(own_keys, own, own * depth_s, own_empty_s)
    local spare_empty_s = bucket.empty_in(store, spare_keys, clock, self.spare, self.spare * depth_s)
    local spare_left = bucket.room(spare_keys, self.spare, self.spare * depth_s, spare_empty_s)
    local most = bucket.room(ceiling_keys, ceiling, ceiling * depth_s, empty_s)
    return 0, max(left, min(left + spare_left, most)), ceiling, max(own_empty_s, empty_s)
end

return Share
