-- One service's limit in this nginx: its limiter on the shared dict, and what a request is to it.
--
-- All workers act on the lease in the dict, so a new lease takes effect in all of them at once, and
-- neither the lease nor the buckets are lost by a reload or the death of a worker.

local Limiter = require "tidegate.core.limiter"
local clock = require "tidegate.clock"

local LONGEST_CLIENT = 64

local Gate = {}
Gate.__index = Gate

-- The variables of nginx that hold the headers of a request; made once, for strings cost.
local variables = setmetatable({}, { __index = function(names, header)
    names[header] = "http_" .. header:gsub("-", "_")
    return names[header]
end })

-- See `classes.by_headers`. Where the value matters, a header that is there twice has both.
local function values_of(header, value)
    return ngx.var[variables[header]] and (value == nil or ngx.req.get_headers()[header])
end

local function new(options)
    local prefix = options.service .. "|"
    local limiter = Limiter.new {
        service = options.service, store = ngx.shared.tidegate, clock = clock,
        without_lease = options.without_lease == "closed" and 0 or nil, dry_run = options.dry_run,
        clients = ngx.shared.tidegate_clients, newcomers = ngx.shared.tidegate_newcomers,
        -- Not with the lease, which must not be evicted for many classes; all that is used is kept there.
        curves = ngx.shared.tidegate_clients,
    }
    return setmetatable({
        options = options,
        service = options.service,
        limiter = limiter,
        dict = ngx.shared.tidegate,
        keys = {
            fault = prefix .. "fault-", stage = prefix .. "stage",
            poller = prefix .. "poller", beaten = prefix .. "beaten",
        },
    }, Gate)
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
    return client
end

-- Decides on this request and counts it; see `Limiter:decide`.
function Gate:decide()
    return self.limiter:decide(ngx.var[self.options.class_variable], self:client(), values_of)
end

-- Returns the fault of a kind: of a `poll`, a `lease`, a `report` or a `request`; nil: there is none.
function Gate:fault(kind)
    return self.dict:get(self.keys.fault .. kind)
end

-- Logs a fault of a kind once, and its end (nil). The state is shared, so another poller does not log it
-- again.
function Gate:said(kind, fault, detail)
    local before = self:fault(kind)
    if fault == before then
        return
    end
    if fault then
        self.dict:set(self.keys.fault .. kind, fault)
        ngx.log(ngx.ERR, "tidegate ", self.service, ": ", fault, detail and ": " .. detail or "")
    else
        self.dict:delete(self.keys.fault .. kind)
        ngx.log(ngx.NOTICE, "tidegate ", self.service, ": recovered from: ", before)
    end
end

return { new = new }
