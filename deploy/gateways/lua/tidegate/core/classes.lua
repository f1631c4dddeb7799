-- The priority classes of a lease: of which one a request is, and how they divide a limit.
--
-- `classes` of a lease are in order of priority, then of their names.

local max, min = math.max, math.min

local classes = {}

local function is_among(value, values)
    for _, one in ipairs(values) do
        if one == value then
            return true
        end
    end
    return false
end

-- Returns the class of a request by its headers; nil: by none.
--
-- values_of(header, value): the value of a header, or a list of them if it is there more than once; nil
-- without it. `value` is the wanted one; nil: any will do.
function classes.by_headers(lease, values_of)
    local matches = lease.matches
    for i = 1, #matches do
        local class = matches[i]
        local said = values_of(class.header, class.value)
        if said and (not class.value or said == class.value
            or type(said) == "table" and is_among(class.value, said)) then
            return class
        end
    end
end

-- Gives each class what it wants, in order of priority; equal priorities shrink in proportion.
-- Returns the rest.
local function hand_out(all, left, wants, given)
    local first = 1
    while first <= #all do
        local last, wanted = first, wants[first]
        while all[last + 1] and all[last + 1].priority == all[first].priority do
            last = last + 1
            wanted = wanted + wants[last]
        end
        local part = wanted > left and left / wanted or 1
        for i = first, last do
            given[i] = (given[i] or 0) + wants[i] * part
        end
        left, first = max(0, left - wanted), last + 1
    end
    return left
end

-- A lease rounds rates to thousandths: a ceiling this close to its share is no ceiling.
local ROUNDING_RPS = 0.01

-- Divides a finite limit: returns the own rate of each class and its ceiling, in the order of
-- `lease.classes`, and the spare. As in scaler/gateway/class_parts.py.
--
-- A limit below the sum of the classes' rates keeps guarantees first, then the rest of the rates;
-- what exceeds the sum is spare.
function classes.parts(lease, limit)
    local all, kept, beyond, own, ceilings = lease.classes, {}, {}, {}, {}
    for i, class in ipairs(all) do
        kept[i], beyond[i] = class.guaranteed_rps, max(0, class.rps - class.guaranteed_rps)
    end
    local spare = hand_out(all, hand_out(all, limit, kept, own), beyond, own)
    for i, class in ipairs(all) do
        local has_ceiling = class.ceiling_rps < lease.rps - ROUNDING_RPS
        ceilings[i] = has_ceiling and min(class.ceiling_rps, limit) or limit
    end
    return own, ceilings, spare
end

return classes
