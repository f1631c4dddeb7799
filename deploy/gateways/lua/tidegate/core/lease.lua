-- The lease, read and checked when it arrives. As in scaler/gateway/lease_document.py.
--
-- Only the fields that a gateway needs are read; unknown ones are ignored. Each field that is read must
-- be there and valid, or the whole lease is refused.

local json = require "tidegate.core.json"

local format = string.format

local lease = {}

-- Larger values than these are mistakes of units.
local MAX_RPS = 1e9
local MAX_AGE_S = 7 * 24 * 3600
local MAX_WHOLE = 1e15
local MAX_BYTES = 1024 * 1024
local MAX_CLASSES = 64
local MAX_CLASS_NAME = 63
-- Where a lease does not say: one of version 0.1 does not.
local CLIENT_WINDOW_S = 10
local SHOWN = 80

local function shown(value)
    if value == nil then
        return "missing"
    elseif json.is_object(value) then
        return "an object"
    elseif json.is_list(value) then
        return "a list"
    elseif type(value) == "number" then
        return format("%.15g", value)
    end
    return json.encode(value):sub(1, SHOWN)
end

local function refuse(...)
    error({ refused = format(...) })
end

-- A JSON object and its name, for messages.
local Fields = {}
Fields.__index = Fields

local function fields(value, name)
    if not json.is_object(value) then
        refuse("%s is %s, but must be an object", name, shown(value))
    end
    return setmetatable({ value = value, name = name }, Fields)
end

function Fields:refuse(field, ...)
    refuse("%s of %s is %s, but %s", field, self.name, shown(self.value[field]), format(...))
end

-- Returns a field; nil if it is missing or null.
function Fields:optional(field)
    local found = self.value[field]
    if found ~= json.null then
        return found
    end
end

-- Returns a number in [0, most]; (0, most] if `above_0`.
function Fields:number(field, most, above_0)
    local found = self.value[field]
    if type(found) ~= "number" then
        self:refuse(field, "must be a number")
    elseif not (found >= 0 and found <= most) or above_0 and found == 0 then
        self:refuse(field, "must be in %s0, %g]", above_0 and "(" or "[", most)
    end
    return found + 0.0 -- 0, if it is -0
end

function Fields:optional_number(field, most, above_0)
    return self:optional(field) ~= nil and self:number(field, most, above_0) or nil
end

function Fields:whole(field)
    local found = self:number(field, MAX_WHOLE)
    if found % 1 ~= 0 then
        self:refuse(field, "must be a whole number")
    end
    return found
end

function Fields:text(field)
    local found = self.value[field]
    if type(found) ~= "string" then
        self:refuse(field, "must be a text")
    end
    return found
end

function Fields:one_of(field, this, that)
    local found = self:text(field)
    if found ~= this and found ~= that then
        self:refuse(field, "must be %s or %s", this, that)
    end
    return found
end

function Fields:section(field)
    return fields(self.value[field], field .. " of " .. self.name)
end

-- Returns how many items a list has, and a function that returns the object at an index.
function Fields:sections(field)
    local list = self.value[field]
    if not json.is_list(list) then
        self:refuse(field, "must be a list")
    end
    return #list, function(i)
        return fields(list[i], format("%s[%d] of %s", field, i - 1, self.name))
    end
end

local function schedule_of(body)
    local steps, before = {}, 0
    local count, section = body:sections("schedule")
    for i = 1, count do
        local step = section(i)
        local in_s = step:number("in_s", MAX_AGE_S)
        if in_s <= before then
            step:refuse("in_s", "must be above %g, for steps ascend", before)
        end
        steps[i], before = { in_s = in_s, rps = step:number("rps", MAX_RPS) }, in_s
    end
    return steps
end

local function match_of(class)
    if class:optional("match") == nil then
        return nil, nil
    end
    local match = class:section("match")
    local header = match:text("header")
    if not header:find("^[!#$%%&'*+.^_`|~0-9A-Za-z-]+$") then
        match:refuse("header", "must be the name of a header")
    end
    local value = match:optional("value") ~= nil and match:text("value") or nil
    if value and value:find("[^ -~]") then
        match:refuse("value", "must be printable ASCII")
    end
    return header:lower(), value
end

local function class_of(class)
    local name = class:text("name")
    local _, length = name:gsub("[^\128-\191]", "")
    if length < 1 or length > MAX_CLASS_NAME then
        class:refuse("name", "must have 1 to %d characters", MAX_CLASS_NAME)
    end
    local header, value = match_of(class)
    return {
        name = name,
        -- The header by which requests are of this class, in lower case, and its value; nil: any.
        header = header,
        value = value,
        priority = class:whole("priority"),
        guaranteed_rps = class:number("guaranteed_rps", MAX_RPS),
        rps = class:number("rps", MAX_RPS),
        ceiling_rps = class:number("ceiling_rps", MAX_RPS),
        last = class:one_of("then", "open", "closed"),
    }
end

local function before(one, other)
    if one.priority == other.priority then
        return one.name < other.name
    end
    return one.priority < other.priority
end

-- Returns the classes in order of priority, then of their names; by name; and those with a header.
local function classes_of(body)
    local classes, by_name = {}, {}
    local count, section = body:sections("classes")
    if count > MAX_CLASSES then
        refuse("it has %d classes, but %d at most", count, MAX_CLASSES)
    end
    for i = 1, count do
        local class = class_of(section(i))
        if by_name[class.name] then
            section(i):refuse("name", "another class has it")
        end
        classes[i], by_name[class.name] = class, class
    end
    table.sort(classes, before)
    local matches = {}
    for _, class in ipairs(classes) do
        matches[#matches + 1] = class.header and class
    end
    return classes, by_name, matches
end

local function read(text, service)
    if #text > MAX_BYTES then
        refuse("it has %d bytes, but a lease has %d at most", #text, MAX_BYTES)
    end
    local decoded, why = json.decode(text)
    if why then
        refuse("it is not JSON: %s", why)
    end
    local body = fields(decoded, "the lease")
    if body:number("schema", MAX_RPS) ~= 1 then
        body:refuse("schema", "must be 1")
    end
    if body:text("service") ~= service then
        body:refuse("service", "%s was asked for", shown(service))
    end
    local valid_for_s = body:number("valid_for_s", MAX_AGE_S, true)
    local share, expiry = body:section("share"), body:section("on_expiry")
    local made = {
        version = body:whole("version"),
        rps = share:number("rps", MAX_RPS),
        valid_for_s = valid_for_s,
        schedule = schedule_of(body),
        safe_rps = expiry:number("safe_rps", MAX_RPS),
        max_stale_s = expiry:number("max_stale_s", MAX_AGE_S),
        last = expiry:one_of("then", "open", "closed"),
        epoch = body:text("epoch"),
        burst = share:number("burst", MAX_RPS),
        enforced = body:one_of("mode", "enforce", "recommend") == "enforce",
        refresh_s = body:number("refresh_s", valid_for_s, true),
        client_window_s = body:optional_number("client_window_s", MAX_AGE_S, true) or CLIENT_WINDOW_S,
    }
    made.classes, made.by_name, made.matches = classes_of(body)
    local last = made.schedule[#made.schedule]
    made.schedule_ends_s = valid_for_s + (last and last.in_s or 0)
    made.safe_ends_s = made.schedule_ends_s + made.max_stale_s
    return made
end

-- Returns the lease on `service` in a response body; or nil and why it is refused.
function lease.read(body, service)
    local well, found = pcall(read, body, service)
    if well then
        return found
    end
    return nil, type(found) == "table" and found.refused or tostring(found)
end

-- Returns why a lease may not replace the one that is held; nil if it may.
function lease.refusal(held, new)
    if held.epoch == new.epoch and new.version < held.version then
        return format("version %.0f came after version %.0f, but versions must not decrease",
            new.version, held.version)
    end
end

-- Whether two leases say the same.
function lease.same(one, other)
    if type(one) ~= "table" or type(other) ~= "table" then
        return one == other
    end
    for name, value in pairs(one) do
        if not lease.same(value, other[name]) then
            return false
        end
    end
    for name in pairs(other) do
        if one[name] == nil then
            return false
        end
    end
    return true
end

return lease
