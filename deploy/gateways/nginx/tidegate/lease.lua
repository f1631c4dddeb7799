-- The lease: parsed and checked when it arrives, and the limit that it means at a given age. As in
-- scaler/limits/lease.py and scaler/limits/priority_classes.py.
--
-- The age is the monotonic seconds since the request was sent whose response brought or renewed the
-- lease. This file does not depend on nginx.

local cjson = require("cjson").new()
local min, max, huge = math.min, math.max, math.huge

cjson.decode_invalid_numbers(false)

local _M = {}

-- Larger values than these are mistakes of units.
local MAX_RPS = 1e9
local MAX_AGE_S = 7 * 24 * 3600
local MODES = { enforce = true, recommend = true }
local THEN = { open = true, closed = true }

local function number(value, name, most, above)
    if type(value) ~= "number" or not (value >= 0 and value <= most) or value == above then
        local shown = value == nil and "missing" or tostring(value)
        local rule = above and ("above 0, at most " .. most) or ("from 0 to " .. most)
        error({ name .. " is " .. shown .. ", but it must be a number " .. rule })
    end
    return value
end

local function one_of(value, name, known)
    if type(value) ~= "string" or not known[value] then
        error({ name .. " is " .. tostring(value) .. ", which is not known here" })
    end
    return value
end

local function text(value, name)
    if type(value) ~= "string" then
        error({ name .. " is " .. tostring(value) .. ", but it must be text" })
    end
    return value
end

local function object(value, name)
    if type(value) ~= "table" then
        error({ name .. " is " .. tostring(value) .. ", but it must be an object or a list" })
    end
    return value
end

-- Returns an optional field; nil if it is missing or null.
local function given(value)
    if value == nil or value == cjson.null then
        return nil
    end
    return value
end

local function steps_of(body)
    local steps, before = {}, 0
    for i, step in ipairs(object(given(body.schedule) or {}, "schedule")) do
        local name = "schedule[" .. i .. "]"
        local in_s = number(object(step, name).in_s, name .. ".in_s", MAX_AGE_S, 0)
        if in_s <= before then
            error({ name .. " is at " .. in_s .. " s, after " .. before .. " s; steps must ascend" })
        end
        steps[i], before = { in_s = in_s, rps = number(step.rps, name .. ".rps", MAX_RPS) }, in_s
    end
    return steps
end

local function class_of(one, name)
    object(one, name)
    name = "class " .. text(one.name, name .. ".name")
    local rps = number(one.rps, name .. ": rps", MAX_RPS)
    local match = given(one.match)
    local value = match and given(object(match, name .. ": match").value)
    return {
        name = one.name,
        priority = number(one.priority, name .. ": priority", MAX_RPS),
        -- The guarantee is part of the class's rate.
        guaranteed_rps = min(rps, number(given(one.guaranteed_rps) or 0,
            name .. ": guaranteed_rps", MAX_RPS)),
        rps = rps,
        ceiling_rps = number(one.ceiling_rps, name .. ": ceiling_rps", MAX_RPS),
        last = one_of(one["then"], name .. ": then", THEN),
        -- The nginx variable of the class's header, and the value that it must have; nil: any.
        variable = match and "http_" .. text(match.header,
            name .. ": match.header"):lower():gsub("-", "_") or nil,
        value = value and text(value, name .. ": match.value"),
    }
end

local function classes_of(body)
    local classes, by_name = {}, {}
    for i, one in ipairs(object(given(body.classes) or {}, "classes")) do
        local class = class_of(one, "classes[" .. i .. "]")
        if by_name[class.name] then
            error({ "class " .. class.name .. " is there twice" })
        end
        classes[i], by_name[class.name] = class, class
    end
    table.sort(classes, function(a, b)
        if a.priority == b.priority then
            return a.name < b.name
        end
        return a.priority < b.priority
    end)
    return classes, by_name
end

local function clients_of(body)
    local said = given(body.per_client)
    if not said then
        return nil
    end
    object(said, "per_client")
    local function rate(field)
        local value = given(said[field])
        return value and number(value, "per_client." .. field, MAX_RPS) or nil
    end
    local above, left, rps = rate("abusive_above_rps"), rate("abusive_rps"), rate("rps")
    return { rps = rps, burst = rate("burst") or 1, above_rps = left and above, abusive_rps = left }
end

-- The window over which clients are counted; nil: an endpoint of version 0.1 does not say.
local function window_of(body)
    local window_s = given(body.client_window_s)
    return window_s and number(window_s, "client_window_s", MAX_AGE_S, 0)
end

local function read(body, service)
    object(body, "the answer")
    if body.schema ~= 1 then
        error({ "schema is " .. tostring(body.schema) .. ", but only 1 is known here" })
    end
    if text(body.service, "service") ~= service then
        error({ "service is " .. body.service .. ", but " .. service .. " was asked for" })
    end
    local share, expiry = object(body.share, "share"), object(body.on_expiry, "on_expiry")
    local lease = {
        epoch = text(body.epoch, "epoch"),
        version = number(body.version, "version", 1e15),
        mode = one_of(body.mode, "mode", MODES),
        valid_for_s = number(body.valid_for_s, "valid_for_s", MAX_AGE_S, 0),
        refresh_s = number(body.refresh_s, "refresh_s", MAX_AGE_S, 0),
        rps = number(share.rps, "share.rps", MAX_RPS),
        burst = number(share.burst, "share.burst", MAX_RPS),
        safe_rps = number(expiry.safe_rps, "on_expiry.safe_rps", MAX_RPS),
        max_stale_s = number(expiry.max_stale_s, "on_expiry.max_stale_s", MAX_AGE_S),
        last = one_of(expiry["then"], "on_expiry.then", THEN),
        schedule = steps_of(body),
        client_window_s = window_of(body),
        per_client = clients_of(body),
    }
    if lease.version % 1 ~= 0 then
        error({ "version is " .. lease.version .. ", but it must be a whole number" })
    end
    lease.classes, lease.by_name = classes_of(body)
    local steps = lease.schedule
    lease.schedule_ends_s = lease.valid_for_s + (#steps > 0 and steps[#steps].in_s or 0)
    lease.safe_ends_s = lease.schedule_ends_s + lease.max_stale_s
    return lease
end

-- Returns the lease in a response body; or nil and what is wrong with it.
function _M.parse(body, service)
    local ok, decoded = pcall(cjson.decode, body)
    if not ok then
        return nil, "it is no JSON: " .. tostring(decoded)
    end
    local lease
    ok, lease = pcall(read, decoded, service)
    if not ok then
        return nil, type(lease) == "table" and lease[1] or tostring(lease)
    end
    return lease
end

-- Returns why a lease may not replace the current one; nil if it may.
function _M.refusal(held, lease)
    if held and held.epoch == lease.epoch and lease.version < held.version then
        return "version " .. lease.version .. " came after version " .. held.version
            .. "; a limit never goes back"
    end
end

function _M.stage_at(lease, age_s)
    if age_s < lease.valid_for_s then
        return "fresh"
    elseif age_s < lease.schedule_ends_s then
        return "schedule"
    elseif age_s < lease.safe_ends_s then
        return "safe"
    end
    return lease.last
end

-- Returns the limit of all classes together in requests per second; inf: no limit.
function _M.limit_at(lease, age_s)
    local stage = _M.stage_at(lease, age_s)
    if stage == "open" then
        return huge
    elseif stage == "closed" then
        return 0
    elseif stage == "safe" then
        return lease.safe_rps
    end
    local scheduled = lease.rps
    for _, step in ipairs(lease.schedule) do
        if step.in_s <= age_s then
            scheduled = step.rps
        end
    end
    -- A fresh lease never exceeds its share, for the other shares were assigned beside it.
    return stage == "fresh" and min(lease.rps, scheduled) or scheduled
end

-- Divides the rest of a limit in order of priority; classes of the same priority shrink in proportion.
local function in_order(classes, wants, own, left)
    local first = 1
    while classes[first] do
        local last, sum = first, wants(classes[first])
        while classes[last + 1] and classes[last + 1].priority == classes[first].priority do
            last = last + 1
            sum = sum + wants(classes[last])
        end
        local part = sum > left and left / sum or 1
        for i = first, last do
            local name = classes[i].name
            own[name] = (own[name] or 0) + wants(classes[i]) * part
        end
        left, first = max(0, left - sum), last + 1
    end
    return left
end

local function guarantee(class)
    return class.guaranteed_rps
end

local function beyond(class)
    return class.rps - class.guaranteed_rps
end

-- Divides a limit: `own` is the rate of each class, `spare` the rate that all may use, and `rise` how
-- much of the spare a class may use (nil: all of it).
--
-- The rates in the lease are for its own limit. At a lower one, of the schedule or the safe stage,
-- first the spare is cut, then the rates by priority, and the guarantees last. At a higher one the
-- difference is spare.
function _M.parts(lease, limit)
    local own, rise, all = {}, {}, 0
    local left = in_order(lease.classes, guarantee, own, limit)
    left = in_order(lease.classes, beyond, own, left)
    for _, class in ipairs(lease.classes) do
        all = all + class.rps
    end
    for _, class in ipairs(lease.classes) do
        -- Rates are rounded to a thousandth. A ceiling is the policy's if it is below rate and spare.
        if class.ceiling_rps < class.rps + max(0, lease.rps - all) - 0.01 then
            rise[class.name] = max(0, class.ceiling_rps - own[class.name])
        end
    end
    return { limit = limit, own = own, rise = rise, spare = left }
end

return _M
