-- The metrics for Prometheus, and the status for people: counters, and the current lease.

local json = require "tidegate.core.json"
local metrics = require "tidegate.core.metrics"
local poller = require "tidegate.poller"

local _M = {}

function _M.exposition(gates)
    local services, by_service = {}, {}
    for i, gate in ipairs(gates) do
        services[i], by_service[gate.service] = gate.service, gate
    end
    return metrics.exposition({}, services, function(add, service)
        local gate = by_service[service]
        metrics.of_limiter(add, gate.limiter, poller.fault_of(gate))
    end)
end

function _M.status(gates)
    local services = {}
    for _, gate in ipairs(gates) do
        local limiter = gate.limiter
        local said = {
            instance = gate.options.instance,
            dry_run = limiter:is_dry() or false,
            poller_pid = gate.dict:get(gate.keys.poller),
            fault = poller.fault_of(gate),
        }
        local stage, limit, age_s = limiter:standing()
        if stage then
            local lease = limiter.lease
            said.epoch, said.version = lease.epoch, lease.version
            said.mode = lease.enforced and "enforce" or "recommend"
            said.age_s, said.stage = age_s, stage
            said.limit_rps = limit ~= math.huge and limit or nil
        end
        services[gate.service] = said
    end
    return json.encode(services) .. "\n"
end

return _M
