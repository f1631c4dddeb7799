-- Answers questions about the pure parts of deploy/gateways/nginx: a JSON object a line, in and out.

local cjson = require "cjson"
local bucket = require "tidegate.bucket"
local leases = require "tidegate.lease"

local ask = {}

function ask.ages(asked)
    local lease, fault = leases.parse(asked.body, "prod/shop")
    if not lease then
        return { fault = fault }
    end
    local found = { stages = {}, limits = {} }
    for i, age in ipairs(asked.ages) do
        local limit = leases.limit_at(lease, age)
        found.stages[i] = leases.stage_at(lease, age)
        found.limits[i] = ("%.17g"):format(limit) -- whole, which cjson does not tell
    end
    return found
end

function ask.parts(asked)
    local lease, fault = leases.parse(asked.body, "prod/shop")
    return lease and leases.parts(lease, asked.limit) or { fault = fault }
end

function ask.said(asked)
    local lease, fault = leases.parse(asked.body, "prod/shop")
    if not lease then
        return { fault = fault }
    end
    local matches = {}
    for i, class in ipairs(lease.classes) do
        matches[i] = { class.name, class.variable or "", class.value or "" }
    end
    return { window_s = lease.client_window_s or 0, matches = matches }
end

-- A shared dict as nginx has it, for one worker.
local function dict()
    local kept = {}
    return {
        get = function(_, key) return kept[key] end,
        set = function(_, key, value) kept[key] = value end,
        delete = function(_, key) kept[key] = nil end,
        add = function(_, key, value)
            if kept[key] ~= nil then
                return false
            end
            kept[key] = value
            return true
        end,
        incr = function(_, key, by, init)
            kept[key] = (kept[key] or init) + by
            return kept[key]
        end,
    }
end

function ask.requests(asked)
    local kept, keys, passed = dict(), bucket.named("b"), {}
    for i, one in ipairs(asked.requests) do
        local function clock() return one.now end
        passed[i] = bucket.take(kept, keys, clock, one.rate, asked.burst) == 0
    end
    return { passed = passed }
end

for line in io.lines() do
    local asked = cjson.decode(line)
    io.write(cjson.encode(ask[asked.ask](asked)), "\n")
    io.flush()
end
