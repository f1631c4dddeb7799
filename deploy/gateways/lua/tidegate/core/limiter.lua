-- The limiter of one service: holds its lease, decides by it whether a request may pass, and counts. As
-- in scaler/gateway/lease_limiter.py.
--
-- It knows neither nginx nor HAProxy. What is shared is in the store: the lease, the buckets and the
-- counts; each process has a limiter of its own on it, and caches the parsed lease until its serial
-- number changes. So a new lease takes effect in all processes at once.

local ClientFairness = require "tidegate.core.client_fairness"
local Counts = require "tidegate.core.counts"
local Share = require "tidegate.core.share"
local aging = require "tidegate.core.aging"
local bucket = require "tidegate.core.bucket"
local classes = require "tidegate.core.classes"
local leases = require "tidegate.core.lease"

local huge, max = math.huge, math.max

local Limiter = {}
Limiter.__index = Limiter

-- Within which a gateway without a lease may have one.
local FIRST_LEASE_S = 1

-- of: service: "namespace/name"; store: see bucket.lua; clock: returns monotonic seconds.
--     without_lease: requests per second before the first lease; inf: no limit; 0: nothing passes.
--     dry_run: decide and count, whatever the lease says.
--     clients, newcomers: stores for what is known of clients, which forget what was used longest ago;
--     curves: for what they ask for, some hundred numbers for each class.
function Limiter.new(of)
    local prefix = of.service .. "|"
    local function key(name)
        return prefix .. name
    end
    return setmetatable({
        service = of.service, store = of.store, clock = of.clock, prefix = prefix,
        without_lease = of.without_lease or huge, dry_run = of.dry_run,
        clients = of.clients, newcomers = of.newcomers, curves = of.curves,
        counts = Counts.new(of.store, prefix .. "count-"),
        share = Share.new(of.store, prefix, of.clock),
        keys = {
            body = key("body"), serial = key("serial"), heard = key("heard"), etag = key("etag"),
            windows = key("windows"),
        },
    }, Limiter)
end

-- Notes when counting began; call it once before the first request, in each process.
function Limiter:begin()
    self.counts:begin(self.clock())
end

-- Returns the current lease, and when it was last issued or renewed; nil before the first one.
function Limiter:held()
    local serial = self.store:get(self.keys.serial)
    if serial ~= self.serial then
        local body = self.store:get(self.keys.body)
        self.lease = body and leases.read(body, self.service)
        self.serial = serial
        self:follow_window()
    end
    return self.lease, self.lease and self.store:get(self.keys.heard)
end

-- Has windows of clients as long as the lease says; where that has changed counting begins anew.
function Limiter:follow_window()
    local number = self.store:get(self.keys.windows) or 0
    if self.lease and number ~= self.windows then
        self.windows = number
        self.fairness = ClientFairness.new {
            store = self.store, clock = self.clock, prefix = self.prefix .. "clients-" .. number .. ":",
            clients = self.clients, newcomers = self.newcomers, curves = self.curves,
            window_s = self.lease.client_window_s,
        }
        if self.share.capacity then
            self.fairness:set_share(self.share.capacity)
        end
    end
end

-- Returns stage, limit (inf: none) and age of the lease; nil before the first one.
function Limiter:standing()
    local lease, heard = self:held()
    if lease then
        local age_s = max(0, self.clock() - heard)
        return aging.stage_at(lease, age_s), aging.limit_at(lease, age_s), age_s
    end
end

local function forget_classes(self, held, lease)
    for name in pairs(held and held.by_name or {}) do
        if not lease.by_name[name] then
            self.share:forget(name)
        end
    end
end

-- Takes over the lease in a response; its age counts from when its request was sent.
--
-- Returns true if it is held now; nil and the reason if it is refused, and the one before stays; false
-- if a lease of another epoch was requested later: which epoch is current cannot be told, so ask again.
function Limiter:receive(body, etag, sent)
    local lease, why = leases.read(body, self.service)
    local held, heard = self:held()
    why = why or held and leases.refusal(held, lease)
    if why then
        return nil, why
    elseif held and leases.same(held, lease) then
        self.store:set(self.keys.etag, etag)
        self:renew(sent)
        return true
    elseif held and held.epoch ~= lease.epoch and sent < heard then
        return false
    end
    forget_classes(self, held, lease)
    -- The serial comes last: a process that sees it finds all other keys.
    self.store:set(self.keys.heard, sent)
    self.store:set(self.keys.etag, etag)
    self.store:set(self.keys.body, body)
    if held and held.client_window_s ~= lease.client_window_s then
        self.store:incr(self.keys.windows, 1, 0)
    end
    self.store:incr(self.keys.serial, 1, 0)
    -- Now, not with the next request: the buckets must drain at the new rate from now on.
    self:tune()
    return true
end

-- Renews the lease: the response to a request sent at `sent` says that it is unchanged.
--
-- etag: that the request asked with. If another lease has arrived meanwhile, the response is not about it.
function Limiter:renew(sent, etag)
    local lease, heard = self:held()
    if lease and sent > heard and (etag == nil or etag == self.store:get(self.keys.etag)) then
        self.store:set(self.keys.heard, sent)
    end
end

-- Whether there is a lease and it is fresh: after that its share may be another's.
function Limiter:is_fresh()
    return self:standing() == "fresh"
end

-- Returns the ETag to ask with; nil: without one.
function Limiter:etag()
    return self:is_fresh() and self.store:get(self.keys.etag) or nil
end

-- Sets the rates of all buckets to the current ones, also of those without requests. Call it now and
-- then, so that a change of the stage takes effect at its time.
function Limiter:tune()
    local _, limit = self:standing()
    if limit and limit < huge then
        self:set_limit(self.lease, limit)
    end
end

function Limiter:set_limit(lease, limit)
    self.share:set_limit(lease, limit)
    self.fairness:set_share(self.share.capacity)
end

-- Whether decisions are only counted: the policy recommends, or this gateway is in dry-run.
function Limiter:is_dry()
    return self.dry_run or (self.lease ~= nil and not self.lease.enforced)
end

local function decide_without_lease(self)
    local rate = self.without_lease
    if rate == huge then
        return 0, huge, huge, 0
    end
    local keys = self.share:keys_of("share", "")
    local wait, empty_s = bucket.take(self.store, keys, self.clock, rate, rate / 10)
    if wait > 0 then
        return wait, 0, rate, wait
    end
    return 0, bucket.room(keys, rate, rate / 10, empty_s), rate, empty_s
end

-- Decides on a request by the lease, before it has expired.
local function decide_by_share(self, class_name, client, now)
    local fairness, sender, used = self.fairness, nil, 0
    if client then
        sender = fairness:count(class_name or "", client, now)
        used = fairness:used(sender, now)
    end
    local wait, left, limit, reset = self.share:admit(class_name, used)
    if wait > 0 and used < ClientFairness.LITTLE then
        fairness:overflow(now)
        return wait, left, limit, reset, false
    elseif wait > 0 then
        return wait, left, sender.pool.level, reset, true
    elseif sender and used < 1 then
        fairness:charge(sender, now)
    end
    return wait, left, limit, reset, used >= 1
end

local function decide(self, lease, heard, class, client)
    if not lease then
        return decide_without_lease(self)
    end
    local now = self.clock()
    local age_s = max(0, now - heard)
    if age_s >= lease.safe_ends_s then
        if (class or lease).last == "open" then
            return 0, huge, huge, 0
        end
        return huge, 0, 0, huge
    end
    local limit = aging.limit_at(lease, age_s)
    if not self.share:is_at(lease, limit) then
        self:set_limit(lease, limit)
    end
    return decide_by_share(self, class and class.name, client, now)
end

-- Decides on one request and counts it.
--
-- own_class: its class by the gateway's own rules; nil or an unknown name: none.
-- client: a name of the client that sent it; nil: it is compared with no other.
-- values_of: finds headers, see `classes.by_headers`; nil: none is looked at.
-- Returns seconds to wait (0: it may pass), how many more requests would pass now, the rate that
-- applies (inf: no limit), seconds until the whole burst would pass, and whether it is beyond its client's
-- fair part.
function Limiter:decide(own_class, client, values_of)
    local lease, heard = self:held()
    local class = lease and (values_of and classes.by_headers(lease, values_of)
        or lease.by_name[own_class or ""])
    local wait, left, limit, reset, is_beyond = decide(self, lease, heard, class, client)
    if wait == huge then
        -- It never passes at this limit, but the limit may be another one after that time.
        wait = lease and lease.valid_for_s or FIRST_LEASE_S
        reset = wait
    end
    self.counts:add(class and class.name or "", wait == 0, 1, is_beyond)
    return wait, left, limit, reset, is_beyond
end

-- Returns the limit that a request that was refused is told of; class_name, client: nil, or its own.
function Limiter:limit_told(class_name, client)
    local _, limit = self:standing()
    limit = limit or self.without_lease
    if not self.lease or limit == 0 or limit == huge then
        return limit
    end
    if client then
        local class = self.lease.by_name[class_name or ""]
        local sender = self.fairness:find(class and class.name or "", client)
        if self.fairness:used(sender, self.clock()) >= ClientFairness.LITTLE then
            return sender.pool.level
        end
    end
    return self.share:limit_of(class_name)
end

-- Looks whether demand has moved since the last report, so that the next cannot wait. Call it now and
-- then, and `report_before_move` and `report` where it has.
function Limiter:demand_moved()
    return self.counts:moved(self.clock())
end

local function with_lease(self, fields, instance)
    fields.instance = instance
    if self:is_fresh() then
        local lease = self.lease
        fields.epoch, fields.version, fields.holds_rps = lease.epoch, lease.version, lease.rps
    end
    return fields
end

-- Returns the report on the time since the last one.
function Limiter:report(instance)
    return with_lease(self, self.counts:report_fields(self.clock()), instance)
end

-- Returns a report on the time before demand moved, to be sent first; nil: there is none.
function Limiter:report_before_move(instance)
    local earlier = self.counts:earlier_fields()
    return earlier and with_lease(self, earlier, instance)
end

return Limiter
