-- One service's limit in this nginx: the lease in the shared dict, and the decision on a request.
--
-- All workers act on the lease in the dict, so a new lease takes effect in all of them at once, and
-- neither the lease nor the buckets are lost by a reload or the death of a worker. Each worker caches
-- the parsed lease until its serial number changes.

local admission = require "tidegate.admission"
local bucket = require "tidegate.bucket"
local clients = require "tidegate.clients"
local clock = require "tidegate.clock"
local leases = require "tidegate.lease"

local LONGEST_CLIENT = 64

local Gate = {}
Gate.__index = Gate

local function new(options)
    local prefix = options.service .. "|"
    local function key(name)
        return prefix .. name
    end
    return setmetatable({
        options = options,
        service = options.service,
        prefix = prefix,
        dict = ngx.shared.tidegate,
        clients = ngx.shared.tidegate_clients,
        keys = {
            body = key("body"), serial = key("serial"), heard = key("heard"), etag = key("etag"),
            fault = key("fault"), stage = key("stage"), poller = key("poller"), since = key("since"),
        },
        count_keys = {},
    }, Gate)
end

-- Returns the current lease, and when it was last issued or renewed; nil before the first lease.
function Gate:held()
    local serial = self.dict:get(self.keys.serial)
    if serial ~= self.serial then
        local body = self.dict:get(self.keys.body)
        self.lease = body and leases.parse(body, self.service)
        self.serial = serial
    end
    return self.lease, self.lease and self.dict:get(self.keys.heard)
end

-- For init_worker: notes when this nginx began to count; a reload keeps that time.
function Gate:begin()
    self.dict:add(self.keys.since, clock())
    self.since = self.dict:get(self.keys.since)
end

-- Stores a valid lease; every worker acts on it from its next request on.
function Gate:hold(body, etag, sent)
    -- The serial comes last: a worker that sees it finds all other keys.
    self.dict:set(self.keys.heard, sent)
    self.dict:set(self.keys.etag, etag)
    self.dict:set(self.keys.body, body)
    self.dict:incr(self.keys.serial, 1, 0)
    self:tune()
end

-- Sets the rates of buckets without requests to the current ones.
function Gate:tune()
    local lease, heard = self:held()
    if lease then
        admission.tune(self.dict, self.prefix, lease, clock() - heard)
    end
end

-- Returns the class of this request, by the header in the lease or else by the gateway's own
-- configuration; nil for no class.
function Gate:class(lease)
    for _, class in ipairs(lease.classes) do
        local said = class.variable and ngx.var[class.variable]
        if said and (not class.value or said == class.value) then
            return class
        end
    end
    return lease.by_name[ngx.var[self.options.class_variable]]
end

-- Returns the seconds over which clients are counted, as the lease says, or else the options.
function Gate:client_window_s()
    return self.lease and self.lease.client_window_s or self.options.client_window_s
end

function Gate:client()
    local name = self.options.client_variable
    local client = name ~= "" and ngx.var[name]
    if not client or client == "" then
        return nil
    end
    if #client > LONGEST_CLIENT then
        client = ngx.md5_bin(client)
    end
    return self.prefix .. client
end

function Gate:count(class, admitted)
    local name = class and class.name or ""
    local keys = self.count_keys[name]
    if not keys then
        local function key(decision)
            return self.prefix .. "count:" .. decision .. ":" .. name
        end
        keys = { [true] = key("admitted"), [false] = key("denied") }
        self.count_keys[name] = keys
    end
    self.dict:incr(keys[admitted], 1, 0)
end

-- Decides on this request and counts it.
--
-- Returns seconds to wait (0: the request may pass; inf: unknown), how many more requests could pass
-- now (nil: unknown), and the limit in requests per second (nil: no limit).
function Gate:decide()
    local now = clock()
    local lease, heard = self:held()
    local client, window_s, elapsed = self:client(), self:client_window_s(), now - self.since
    local count = client
        and clients.count(self.clients, self.dict, self.prefix, client, elapsed, window_s)
    if not lease then
        local open = self.options.without_lease == "open"
        self:count(nil, open)
        return open and 0 or math.huge
    end
    local age, class, level = now - heard, self:class(lease), lease.per_client
    local wait, left, limit, keys, rate = 0, nil, nil, nil, nil
    if client and level and age < lease.safe_ends_s then
        wait, keys, rate = clients.decide(self.clients, level, client, count, elapsed, window_s)
    end
    if wait > 0 then
        left, limit = 0, rate
    else
        wait, left, limit = admission.decide(self.dict, self.prefix, lease, age, class)
        if wait > 0 and keys then
            bucket.give_back(self.clients, keys, rate)
        end
    end
    self:count(class, wait == 0)
    return wait, left, limit ~= math.huge and limit or nil
end

-- Whether decisions are only counted: the policy recommends, or this gateway is in dry-run.
function Gate:is_dry()
    return self.options.dry_run or (self.lease ~= nil and self.lease.mode == "recommend")
end

-- Seconds until there may be a new limit, where nothing may pass now.
function Gate:next_word_s()
    return self.lease and self.lease.valid_for_s or 1
end

-- Logs a fault once, and its end (nil). The state is shared, so another poller does not log it again.
function Gate:said(fault, detail)
    local before = self.dict:get(self.keys.fault)
    if fault == before then
        return
    end
    if fault then
        self.dict:set(self.keys.fault, fault)
        ngx.log(ngx.ERR, "tidegate ", self.service, ": ", fault, detail and ": " .. detail or "")
    else
        self.dict:delete(self.keys.fault)
        ngx.log(ngx.NOTICE, "tidegate ", self.service, ": recovered from: ", before)
    end
end

return { new = new }
