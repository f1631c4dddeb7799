-- A store in this process, with the methods that a shared dict of nginx has.
--
-- A value that was stored with a time to live is gone after it.

local Store = { is_private = true }
Store.__index = Store

-- clock: returns monotonic seconds.
function Store.new(clock)
    return setmetatable({ clock = clock, values = {}, ends = {} }, Store)
end

function Store:get(key)
    local ends = self.ends[key]
    if ends and ends <= self.clock() then
        self.values[key], self.ends[key] = nil, nil
    end
    return self.values[key]
end

-- Stores a value; nil deletes it. ttl: seconds to live; nil: for ever.
function Store:set(key, value, ttl)
    self.values[key], self.ends[key] = value, value ~= nil and ttl and self.clock() + ttl or nil
end

-- Stores a value and returns true, unless there is one.
function Store:add(key, value, ttl)
    if self:get(key) ~= nil then
        return false
    end
    self:set(key, value, ttl)
    return true
end

-- Adds to a number, and returns the sum.
--
-- init: the number if there is none; nil: then nothing is added; ttl: seconds to live of a new one.
function Store:incr(key, by, init, ttl)
    local value = self:get(key)
    if value ~= nil then
        self.values[key] = value + by
    elseif init then
        self:set(key, init + by, ttl)
    else
        return nil, "not found"
    end
    return self.values[key]
end

function Store:delete(key)
    self.values[key], self.ends[key] = nil, nil
end

return Store
