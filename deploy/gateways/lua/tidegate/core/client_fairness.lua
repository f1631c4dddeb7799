-- Which requests are within their client's fair part of the limit, and which are beyond it. As in
-- scaler/gateway/client_fairness.py.
--
-- Nothing is refused here: a request beyond its client's part is served last, by the share's buckets,
-- from what the others leave. So where all fit, all pass.
--
-- The parts are max-min fair (fair_levels.lua). They are found anew several times in a window from what
-- was asked for in it, admitted or not. Newcomers, besides having a level as known clients have, share one
-- bucket; for where each sends one request under a new name, no level tells them apart.
--
-- A client's part is a leaky bucket that drains at the level. Levels change often, and clients are many,
-- so a bucket is kept as a tag on one common time that runs at the rate of the level: virtual time.
--
-- All of it is in the store. Windows begin and levels are found by the process that gets the lock for it,
-- and then a serial number grows; the others go on with what was, and read again once they see it.

local KnownClients = require "tidegate.core.known_clients"
local Names = require "tidegate.core.names"
local StoredCurve = require "tidegate.core.stored_curve"
local UsualShares = require "tidegate.core.usual_shares"
local bucket = require "tidegate.core.bucket"
local demand_curve = require "tidegate.core.demand_curve"
local fair_levels = require "tidegate.core.fair_levels"

local floor, huge, max, min, sqrt = math.floor, math.huge, math.max, math.min, math.sqrt

local ClientFairness = {}
ClientFairness.__index = ClientFairness

-- Part of the limit that fair parts add up to at most, and at least. What is beyond them fills the
-- rest; were it all, the buckets of the limit would be full by chance.
local FILL, LEAST_FILL = 0.95, 0.5
-- Levels are found so many times in a window, from what has come in it by then.
local PARTS = 10
-- What a client's part holds: so many seconds of its level, and so many requests in any case. The pool of
-- newcomers holds less, or those who send once under each name had it anew.
local BURST_S, POOL_BURST_S, LEAST_BURST = 1, 0.1, 4
-- A client that has used more of its part than this, and is refused, is refused for what it sends; below,
-- because there is too little for all.
ClientFairness.LITTLE = 0.5
-- Curves of this window and of the one before, and one for who still counts in an older window.
local SLOTS = 3
-- A process that dies while it finds levels blocks this for so long.
local LOCK_S = 1

-- What is the same for all classes, and its value at first; levels_at: when they are found next;
-- before_s: length of the window before, 0: there is none; share_text: of the share that they are for.
local FIRST = {
    window = 0, began_at = -huge, before_s = 0, levels_at = -huge, advanced_at = 0, fill = FILL,
    share_text = "",
}

-- of: store, clock: see bucket.lua; prefix: of the keys; clients, newcomers: stores that forget what was
--     used longest ago; curves: a store for the demand; window_s: over which the requests of each client
--     are numbered.
function ClientFairness.new(of)
    local keys = {}
    for name in pairs(FIRST) do
        keys[name] = of.prefix .. name
    end
    return setmetatable({
        store = of.store, clock = of.clock, prefix = of.prefix, curve_store = of.curves,
        window_s = of.window_s, names = Names.new(of.store, of.prefix .. "class-"),
        clients = KnownClients.new(of.clients, of.newcomers, of.prefix),
        usual = UsualShares.new(of.store, of.prefix .. "usual-"),
        pools = {}, sender = {}, keys = keys, serial_key = of.prefix .. "serial",
        within_key = of.prefix .. "within", lock_key = of.prefix .. "lock",
        share = { qps = 0, spare_rps = 0, classes = {}, text = "" },
    }, ClientFairness)
end

-- Takes over what the gateway may admit: see fair_levels.lua; text: differs where the share does.
function ClientFairness:set_share(share)
    self.share = share
end

-- Returns the known clients of a class, or its newcomers: their curves, their level (inf: all of them
-- fit), and their virtual time, in requests, when the level was set.
local function new_pool(self, name)
    local prefix, curves = self.prefix .. name .. ":", {}
    for slot = 1, SLOTS do
        curves[slot] = StoredCurve.new(self.curve_store, prefix .. slot .. ":")
    end
    return { curves = curves, level_key = prefix .. "level", time_key = prefix .. "time" }
end

local function read_pool(store, pool)
    pool.level, pool.time = store:get(pool.level_key) or huge, store:get(pool.time_key) or 0
    pool.burst = max(LEAST_BURST, pool.level * BURST_S)
end

-- Reads the pools of a class; those of newcomers have a bucket with rate and burst.
local function read_pools(self, pools)
    read_pool(self.store, pools.known)
    read_pool(self.store, pools.newcomers)
    pools.rate = self.store:get(pools.rate_key) or 0
    pools.burst = max(LEAST_BURST, pools.rate * POOL_BURST_S)
end

local function pools_of(self, name)
    local pools = self.pools[name]
    if not pools then
        self.names:note(name)
        pools = {
            name = name, prefixes = self.clients:prefixes(name),
            known = new_pool(self, "known:" .. name), newcomers = new_pool(self, "new:" .. name),
            bucket = bucket.named(self.prefix .. "pool:" .. name), rate_key = self.prefix .. "rate:" .. name,
        }
        self.pools[name] = pools
        read_pools(self, pools)
    end
    return pools
end

-- Reads what all processes share, if it has changed.
local function refresh(self)
    local serial = self.store:get(self.serial_key) or 0
    if serial == self.serial then
        return
    end
    for name, first in pairs(FIRST) do
        self[name] = self.store:get(self.keys[name]) or first
    end
    self.is_limited, self.class_names = false, self.names:all()
    for _, name in ipairs(self.class_names) do
        local pools = pools_of(self, name)
        read_pools(self, pools)
        self.is_limited = self.is_limited or pools.known.level < huge or pools.newcomers.level < huge
    end
    self.serial = serial
end

local function publish(self)
    for name in pairs(FIRST) do
        self.store:set(self.keys[name], self[name])
    end
    for _, name in ipairs(self.class_names) do
        local pools = self.pools[name]
        for _, pool in ipairs({ pools.known, pools.newcomers }) do
            self.store:set(pool.level_key, pool.level)
            self.store:set(pool.time_key, pool.time)
        end
        self.store:set(pools.rate_key, pools.rate)
    end
    -- The serial comes last: a process that sees it finds all the rest.
    self.store:incr(self.serial_key, 1, 0)
    refresh(self)
end

-- Returns the virtual time of a pool; without a level it runs as fast as any can.
local function time_of(self, pool, now)
    return pool.time + min(pool.level, self.share.qps) * max(0, now - self.advanced_at)
end

local function curve_in(self, pool, window)
    return pool.curves[window % SLOTS + 1]
end

local function curves_of(self, window)
    local found = {}
    for _, name in ipairs(self.class_names) do
        local pools = self.pools[name]
        found[name] = {
            known = curve_in(self, pools.known, window):read(),
            newcomers = curve_in(self, pools.newcomers, window):read(),
        }
    end
    return found
end

-- Takes in whether more or less was within parts than these add up to. It is more where clients' rates
-- have changed within the window, or where each sends so few requests that chance decides how many.
local function correct_fill(self, passed_s)
    local within = self.store:get(self.within_key) or 0
    if not self.is_limited then
        self.fill = FILL
    elseif within > 0 then
        local wanted = FILL * self.share.qps * passed_s / within
        self.fill = min(FILL, max(LEAST_FILL, self.fill * sqrt(min(max(wanted, 0.64), 1.5))))
    end
    self.store:incr(self.within_key, -within, 0)
end

local function set_levels(self, curves, seconds, now)
    local usual = self.usual:at(now, self.class_names)
    self.is_limited = false
    for name, levels in pairs(fair_levels(curves, self.share, seconds, self.fill, usual)) do
        local pools, newcomers = self.pools[name], curves[name].newcomers
        pools.known.level, pools.newcomers.level = levels.known / seconds, levels.newcomers / seconds
        pools.rate = demand_curve.within(newcomers, levels.newcomers) / seconds / FILL
        pools.burst = max(LEAST_BURST, pools.rate * POOL_BURST_S)
        bucket.tune(self.store, pools.bucket, self.clock, pools.rate, pools.burst)
        self.is_limited = self.is_limited or levels.known < huge or levels.newcomers < huge
    end
end

local function find_levels(self, now)
    for _, name in ipairs(self.class_names) do
        local pools = self.pools[name]
        pools.known.time = time_of(self, pools.known, now)
        pools.newcomers.time = time_of(self, pools.newcomers, now)
    end
    local passed_s, part_s = now - self.advanced_at, self.window_s / PARTS
    self.advanced_at, self.levels_at, self.share_text = now, now + part_s, self.share.text
    if passed_s > part_s / 2 then
        correct_fill(self, passed_s)
    end
    local seconds = now - self.began_at
    if seconds >= part_s then
        set_levels(self, curves_of(self, self.window), min(seconds, self.window_s), now)
    elseif self.before_s > 0 then
        set_levels(self, curves_of(self, self.window - 1), self.before_s, now)
    end
end

local function learn(self, now)
    local newcomers, classes = 0, {}
    for name, curves in pairs(curves_of(self, self.window)) do
        newcomers = newcomers + curves.newcomers.total
        classes[name] = curves.known.total + curves.newcomers.total
    end
    self.usual:learn(newcomers, classes, now)
end

local function begin_window(self, began_at, now)
    find_levels(self, now)
    if not self.is_limited then
        learn(self, now)
    end
    local seconds = began_at - self.began_at
    self.before_s = seconds <= self.window_s and seconds or 0
    self.window, self.began_at = self.window + 1, began_at
    for _, name in ipairs(self.class_names) do
        curve_in(self, self.pools[name].known, self.window):clear()
        curve_in(self, self.pools[name].newcomers, self.window):clear()
    end
end

-- Brings window, levels and virtual times up to now.
local function advance(self, now)
    if now >= self.began_at + self.window_s then
        local began_at = self.window > 0 and self.began_at or now
        local whole = floor((now - began_at) / self.window_s)
        begin_window(self, began_at + whole * self.window_s, now)
    else
        find_levels(self, now)
    end
end

local function is_due(self, now)
    return now >= self.began_at + self.window_s or now >= self.levels_at or self.share.text ~= self.share_text
end

-- Whether not all fit, though the levels say that they do.
local function is_overflowing(self, now)
    return not self.is_limited and now - self.began_at >= self.window_s / PARTS
end

local function restart(self, now)
    begin_window(self, now, now)
end

-- Does what is due, unless another process does it.
local function act(self, is_due_now, action, now)
    if is_due_now(self, now) and self.store:add(self.lock_key, true, LOCK_S) then
        self.serial = nil -- read it all: classes may have come, too
        refresh(self)
        if is_due_now(self, now) then
            action(self, now)
            publish(self)
        end
        self.store:delete(self.lock_key)
    end
end

-- Returns the client of a request: valid until the next one is asked for.
local function sender_of(self, pools, client, is_known)
    local sender = self.sender
    sender.pools, sender.is_known = pools, is_known
    sender.pool = is_known and pools.known or pools.newcomers
    sender.tag_key = pools.prefixes.tag .. client
    return sender
end

-- Counts a request of a client, admitted or not, and returns the client.
function ClientFairness:count(class_name, client, now)
    refresh(self)
    act(self, is_due, advance, now)
    local pools, window = pools_of(self, class_name), self.window
    local count, is_known, before = self.clients:seen(pools.prefixes, client, window, now)
    local sender = sender_of(self, pools, client, is_known)
    local curve = curve_in(self, sender.pool, window)
    if before then
        -- As if it had been known all the window long; its part begins used up.
        curve_in(self, pools.newcomers, window):count_all(before, -1)
        curve:count_all(before, 1)
        local full = sender.pool.level < huge and sender.pool.burst or 0
        self.clients.known:set(sender.tag_key, time_of(self, sender.pool, now) + full)
    end
    curve:count(count)
    return sender
end

-- Returns the client of a request that is not counted.
function ClientFairness:find(class_name, client)
    refresh(self)
    local pools = pools_of(self, class_name)
    return sender_of(self, pools, client, self.clients:knows(pools.prefixes, client))
end

local function tag_of(self, sender)
    return self.clients:store_of(sender.is_known):get(sender.tag_key) or 0
end

-- Returns how much of its part a client has used, in [0, 1], before its next request. It is 1 where the
-- request that was counted is beyond its part.
function ClientFairness:used(sender, now)
    local pools, pool = sender.pools, sender.pool
    if pool.level == huge then
        return 0
    end
    local used = max(0, tag_of(self, sender) - time_of(self, pool, now))
    if used + 1 > pool.burst + bucket.SLACK then
        return 1
    end
    -- As with the share itself: who has used more of its part leaves room for the others.
    local part = 1 - used / pool.burst / 2
    if not sender.is_known
        and bucket.wait(self.store, pools.bucket, self.clock, pools.rate, pools.burst, part) > 0 then
        return 1
    end
    return used / pool.burst
end

-- Notes that a request within its client's part was admitted.
function ClientFairness:charge(sender, now)
    self.store:incr(self.within_key, 1, 0)
    local pools, pool = sender.pools, sender.pool
    if pool.level < huge then
        local tag = max(tag_of(self, sender), time_of(self, pool, now)) + 1
        self.clients:store_of(sender.is_known):set(sender.tag_key, tag)
        if not sender.is_known then
            bucket.charge(self.store, pools.bucket, self.clock, pools.rate, pools.burst, 1)
        end
    end
end

-- Notes that a request was refused of which the client has used little of its part.
--
-- Where no level is known, it is because more comes than in the window so far: a new one begins, so that
-- the levels are those of what comes now.
function ClientFairness:overflow(now)
    refresh(self)
    self.store:incr(self.within_key, 1, 0)
    act(self, is_overflowing, restart, now)
end

return ClientFairness
