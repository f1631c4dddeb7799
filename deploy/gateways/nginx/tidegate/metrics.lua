-- The metrics for Prometheus, and the status for people: counters, and the current lease.

local cjson = require "cjson"
local clock = require "tidegate.clock"
local leases = require "tidegate.lease"
local reports = require "tidegate.reports"

local _M = {}

local function escaped(value)
    return (value:gsub('[\\"\n]', { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n" }))
end

local function number(value)
    return value == math.huge and "+Inf" or tostring(value)
end

-- name, type, help; the samples of a gate follow from `view`.
local FAMILIES = {
    { "tidegate_requests_total", "counter", "Requests by class and verdict; in dry-run the denied ones passed." },
    { "tidegate_limit_rps", "gauge", "Limit in requests per second now." },
    { "tidegate_lease_age_seconds", "gauge", "Seconds since the lease was issued or renewed." },
    { "tidegate_lease_stage", "gauge", "1 at the stage of the lease." },
    { "tidegate_lease_version", "gauge", "Version of the current lease." },
    { "tidegate_enforcing", "gauge", "0 in dry-run, or without a lease." },
    { "tidegate_fault", "gauge", "1 while the endpoint does not answer, or its leases are refused." },
}
local STAGES = { "fresh", "schedule", "safe", "open", "closed" }

local function samples(gate)
    local labels = 'service="' .. escaped(gate.service) .. '"'
    local found = {}
    local function add(name, value, more)
        found[name] = found[name] or {}
        table.insert(found[name], ("%s{%s%s} %s"):format(name, labels, more or "", number(value)))
    end
    for _, one in ipairs(reports.counters(gate)) do
        add("tidegate_requests_total", one.total,
            (',class="%s",verdict="%s"'):format(escaped(one.class), one.decision))
    end
    local lease, heard = gate:held()
    add("tidegate_fault", gate.dict:get(gate.keys.fault) and 1 or 0)
    add("tidegate_enforcing", lease and not gate:is_dry() and 1 or 0)
    if lease then
        local age = clock() - heard
        local stage = leases.stage_at(lease, age)
        add("tidegate_limit_rps", leases.limit_at(lease, age))
        add("tidegate_lease_age_seconds", age)
        add("tidegate_lease_version", lease.version)
        for _, known in ipairs(STAGES) do
            add("tidegate_lease_stage", known == stage and 1 or 0, ',stage="' .. known .. '"')
        end
    end
    return found
end

function _M.exposition(gates)
    local lines, all = {}, {}
    for _, gate in ipairs(gates) do
        all[#all + 1] = samples(gate)
    end
    for _, family in ipairs(FAMILIES) do
        local name, kind, help = unpack(family)
        lines[#lines + 1] = "# HELP " .. name .. " " .. help
        lines[#lines + 1] = "# TYPE " .. name .. " " .. kind
        for _, found in ipairs(all) do
            for _, line in ipairs(found[name] or {}) do
                lines[#lines + 1] = line
            end
        end
    end
    lines[#lines + 1] = ""
    return table.concat(lines, "\n")
end

function _M.status(gates)
    local services = {}
    for _, gate in ipairs(gates) do
        local lease, heard = gate:held()
        local said = {
            instance = gate.options.instance,
            dry_run = gate:is_dry(),
            poller_pid = gate.dict:get(gate.keys.poller),
            fault = gate.dict:get(gate.keys.fault),
        }
        if lease then
            local age = clock() - heard
            local limit = leases.limit_at(lease, age)
            said.epoch, said.version, said.mode = lease.epoch, lease.version, lease.mode
            said.age_s, said.stage = age, leases.stage_at(lease, age)
            said.limit_rps = limit ~= math.huge and limit or nil
        end
        services[gate.service] = said
    end
    return cjson.encode(services) .. "\n"
end

return _M
