-- The buckets of a gateway's share: one for all requests, and two for each priority class. As in
-- scaler/gateway/class_buckets.py.
--
-- Every request needs room in the share's bucket, so all classes together never exceed the share. How
-- much of that bucket a request may fill says who comes first where not all fit:
--
-- * all of it: a request within the own rate of a class of the first priority, and any if there are no
--   classes; the less, the later the priority of its class;
-- * ABOVE_OWN: one above its class's own rate, or of no class;
-- * less, the more of its fair part its client has used, of whatever class: down to BEYOND_PART.
--
-- So what others leave is used, and is not there for them to miss. A refused request is charged to no
-- bucket.

local bucket = require "tidegate.core.bucket"
local classes = require "tidegate.core.classes"

local concat, format, max, min = table.concat, string.format, math.max, math.min

local Share = {}
Share.__index = Share

local ABOVE_OWN, BEYOND_PART = 0.75, 0.5

-- store, clock: see bucket.lua; prefix: of the keys.
function Share.new(store, prefix, clock)
    return setmetatable({
        store = store, prefix = prefix, clock = clock, keys = {},
        own = {}, ceilings = {}, parts = {}, above_own = 1, qps = 0, depth_s = 0,
    }, Share)
end

-- Returns the keys of a bucket: `own` or `ceiling` of a class, or `share`, whose name is "".
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

-- Returns how much of the share's bucket each class may fill within its own rate.
local function parts_of(lease)
    local parts, earlier, priorities, before = {}, {}, 0, nil
    for _, class in ipairs(lease.classes) do
        priorities = class.priority == before and priorities or priorities + 1
        before, earlier[class.name] = class.priority, priorities - 1
    end
    for name, number in pairs(earlier) do
        parts[name] = 1 - (1 - ABOVE_OWN) * (number / priorities)
    end
    return parts
end

-- Returns what may be admitted, as fair_levels.lua takes it; text: differs where it does.
local function capacity_of(lease, limit, own, ceilings, spare)
    local found, texts = {}, { format("%.17g %.17g", limit, spare) }
    for i, class in ipairs(lease.classes) do
        found[i] = { name = class.name, rps = own[i], ceiling_rps = ceilings[i] }
        texts[i + 1] = format("%s %.17g %.17g", class.name, own[i], ceilings[i])
    end
    return { qps = limit, spare_rps = spare, classes = found, text = concat(texts, ",") }
end

-- Sets the rates of all buckets to their parts of a finite limit, also of buckets without requests: a
-- class that has paused must not find its bucket as full as it was under an older limit.
function Share:set_limit(lease, limit)
    if not self:is_at(lease, limit) then
        local own, ceilings, spare = classes.parts(lease, limit)
        self.own, self.ceilings, self.parts = {}, {}, parts_of(lease)
        for i, class in ipairs(lease.classes) do
            self.own[class.name], self.ceilings[class.name] = own[i], ceilings[i]
        end
        self.lease, self.qps = lease, limit
        self.above_own = #lease.classes > 0 and ABOVE_OWN or 1
        self.capacity = capacity_of(lease, limit, own, ceilings, spare)
        -- Each bucket gets its part of the burst, but holds at least one request.
        self.depth_s = limit > 0 and lease.burst / limit or 0
    end
    tune(self, "share", "", limit)
    for name, rate in pairs(self.own) do
        tune(self, "own", name, rate)
        tune(self, "ceiling", name, self.ceilings[name])
    end
end

-- Whether the rates are those of this lease at this limit.
function Share:is_at(lease, limit)
    return self.lease == lease and self.qps == limit
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
    return name and self.ceilings[name] or self.qps
end

local function bucket_of(self, kind, name, rate)
    return { keys = self:keys_of(kind, name), rate = rate, burst = rate * self.depth_s }
end

-- Returns the buckets that a request of a class is put into; nil: of no class of the lease. Each has keys,
-- rate and burst.
function Share:buckets_of(name)
    local found = { bucket_of(self, "share", "", self.qps) }
    if name and self.own[name] then
        found[2] = bucket_of(self, "own", name, self.own[name])
        found[3] = bucket_of(self, "ceiling", name, self.ceilings[name])
    end
    return found
end

local function room_in(self, one, part)
    local empty_s = bucket.empty_in(self.store, one.keys, self.clock, one.rate, one.burst)
    return bucket.room(one.keys, one.rate, one.burst, empty_s, part)
end

-- Returns how many requests of a class that name no client would pass at once; nil: of no class of the
-- lease.
function Share:room(name)
    local buckets = self:buckets_of(name)
    local share, own, ceiling = buckets[1], buckets[2], buckets[3]
    local room = room_in(self, share, self.above_own)
    if own then
        -- So many of them are within its own rate.
        room = max(room, min(room_in(self, own), room_in(self, share, self.parts[name])))
        room = min(room, room_in(self, ceiling))
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

-- Takes a request from the share's bucket. Returns seconds to wait (0: it passes), how many more would
-- pass at once, and seconds until the bucket is empty.
local function take(self, part)
    local keys, burst = self:keys_of("share", ""), self.qps * self.depth_s
    local wait, empty_s = bucket.take(self.store, keys, self.clock, self.qps, burst, part)
    if wait > 0 then
        return wait, 0, wait
    end
    return 0, bucket.room(keys, self.qps, burst, empty_s, part), empty_s
end

-- Decides on a request of a class of the lease.
local function admit_class(self, name, most_part)
    local store, clock, depth_s = self.store, self.clock, self.depth_s
    local own_keys, own = self:keys_of("own", name), self.own[name]
    local keys, ceiling = self:keys_of("ceiling", name), self.ceilings[name]
    local is_own = bucket.wait(store, own_keys, clock, own, own * depth_s) == 0
    local part = min(is_own and self.parts[name] or ABOVE_OWN, most_part)
    local wait, empty_s = bucket.take(store, keys, clock, ceiling, ceiling * depth_s)
    if wait > 0 then
        local burst = self.qps * depth_s
        wait = max(wait, bucket.wait(store, self:keys_of("share", ""), clock, self.qps, burst, part))
        return wait, 0, ceiling, wait
    end
    local share_wait, left, reset_s = take(self, part)
    if share_wait > 0 then
        bucket.give_back(store, keys, ceiling)
        return share_wait, 0, ceiling, share_wait
    end
    bucket.charge(store, own_keys, clock, own, own * depth_s, 1)
    left = min(left, bucket.room(keys, ceiling, ceiling * depth_s, empty_s))
    return 0, left, ceiling, max(reset_s, empty_s)
end

-- Decides on one request, and takes it from the buckets.
--
-- name: of its class; nil: of none of the lease.
-- used: how much of its fair part its client has used; 1: it is beyond it.
-- Returns seconds to wait (0: it passes; inf: never at this limit), how many more requests would pass
-- at once, the rate that applies, and seconds until the whole burst would pass.
function Share:admit(name, used)
    local most_part = 1 - (1 - BEYOND_PART) * used
    if name and self.own[name] then
        return admit_class(self, name, most_part)
    end
    local wait, left, reset_s = take(self, min(self.above_own, most_part))
    return wait, left, self.qps, reset_s
end

return Share
