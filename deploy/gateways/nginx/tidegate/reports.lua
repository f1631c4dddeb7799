-- The report to the endpoint: the requests counted since the last report.

local cjson = require "cjson"
local clients = require "tidegate.clients"

local _M = {}

-- Returns every counter {decision, class, total} of a gate; class "" is no class.
function _M.counters(gate)
    local found = {}
    local start = gate.prefix .. "count:"
    for _, key in ipairs(gate.dict:get_keys(0)) do
        if key:sub(1, #start) == start then
            local decision, class = key:sub(#start + 1):match("^(%a+):(.*)$")
            found[#found + 1] = { decision = decision, class = class, total = gate.dict:get(key) }
        end
    end
    return found
end

-- Returns the body of a report, and a function that marks it as sent; nil if no time has passed.
function _M.pending(gate, lease, now)
    local dict, sent_key = gate.dict, gate.prefix .. "sent:"
    local last = dict:get(gate.prefix .. "reported") or gate.since
    local interval = math.min(now - last, 3600)
    if interval <= 0 then
        return nil
    end
    local counters = _M.counters(gate)
    local totals, classes = { admitted = 0, denied = 0 }, {}
    for _, one in ipairs(counters) do
        local new = one.total - (dict:get(sent_key .. one.decision .. ":" .. one.class) or 0)
        totals[one.decision] = totals[one.decision] + new
        if one.class ~= "" then
            classes[one.class] = classes[one.class] or {}
            classes[one.class][one.decision] = new
        end
    end
    local body = cjson.encode({
        instance = gate.options.instance,
        epoch = lease.epoch,
        version = lease.version,
        holds_rps = lease.rps,
        interval_s = interval,
        admitted = totals.admitted,
        denied = totals.denied,
        classes = classes,
        client_histogram = clients.histogram(dict, gate.prefix, now - gate.since,
            gate:client_window_s()),
    })
    return body, function()
        dict:set(gate.prefix .. "reported", now)
        for _, one in ipairs(counters) do
            dict:set(sent_key .. one.decision .. ":" .. one.class, one.total)
        end
    end
end

return _M
