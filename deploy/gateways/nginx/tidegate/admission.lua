-- Admission by the lease: a request draws on its class's own rate first, then on the common spare.
--
-- The rates of all buckets add up to the limit, so the sum never exceeds it. The buckets are in the
-- shared dict, so all workers draw on the same ones.

local bucket = require "tidegate.bucket"
local clock = require "tidegate.clock"
local leases = require "tidegate.lease"

local huge, min = math.huge, math.min

local _M = {}

local buckets = {}

local function keys_of(prefix, kind, name)
    local id = prefix .. kind .. ":" .. name
    local keys = buckets[id]
    if not keys then
        keys = bucket.named(id)
        buckets[id] = keys
    end
    return keys
end

-- Returns the division of the limit among the classes; computed only when the limit has changed.
local function parts_at(lease, limit)
    local parts = lease.parts
    if not parts or parts.limit ~= limit then
        parts = leases.parts(lease, limit)
        lease.parts = parts
    end
    return parts
end

-- Sets the rate of every bucket to the current one, also of buckets without requests: a class that
-- has paused must not find its bucket as full as it was under an older limit.
function _M.tune(dict, prefix, lease, age_s)
    local limit = age_s < lease.safe_ends_s and leases.limit_at(lease, age_s) or 0
    if limit <= 0 then
        return
    end
    local parts, burst = parts_at(lease, limit), lease.burst / limit
    for kind, rates in pairs({ own = parts.own, rise = parts.rise, spare = { [""] = parts.spare } }) do
        for name, rate in pairs(rates) do
            bucket.tune(dict, keys_of(prefix, kind, name), clock, rate, burst * rate)
        end
    end
end

-- Decides on one request and takes it from the buckets.
--
-- dict, prefix: the shared dict and the key prefix of the buckets.
-- lease, age_s: the current lease and its age; class: the class in it, nil for a request of none.
-- Returns seconds to wait (0: the request may pass; inf: unknown), how many more requests could
-- pass now, and the limit of all classes together (inf: no limit).
function _M.decide(dict, prefix, lease, age_s, class)
    if age_s >= lease.safe_ends_s then
        local last = class and class.last or lease.last
        if last == "open" then
            return 0, nil, huge
        end
        return huge, 0, 0
    end
    local limit = leases.limit_at(lease, age_s)
    if limit <= 0 then
        return huge, 0, 0
    end
    local parts = parts_at(lease, limit)
    local burst = lease.burst / limit
    local own_wait, rise, riser = huge, nil, nil
    if class then
        local own = parts.own[class.name]
        local left
        own_wait, left = bucket.take(dict, keys_of(prefix, "own", class.name), clock, own,
            burst * own)
        if own_wait == 0 then
            return 0, left, limit
        end
        rise = parts.rise[class.name]
        if rise then
            riser = keys_of(prefix, "rise", class.name)
            local rise_wait = bucket.take(dict, riser, clock, rise, burst * rise)
            if rise_wait > 0 then
                return min(own_wait, rise_wait), 0, limit
            end
        end
    end
    local spare = parts.spare
    local wait, left = bucket.take(dict, keys_of(prefix, "spare", ""), clock, spare, burst * spare)
    if wait > 0 and riser then
        bucket.give_back(dict, riser, rise)
    end
    return min(own_wait, wait), left, limit
end

return _M
