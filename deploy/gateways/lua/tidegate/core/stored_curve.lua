-- A demand curve in a store that several processes may share: each cell is a number there, and a request
-- is one addition.

local demand_curve = require "tidegate.core.demand_curve"

local StoredCurve = {}
StoredCurve.__index = StoredCurve

-- store: see bucket.lua; prefix: of the keys.
function StoredCurve.new(store, prefix)
    local keys = {}
    for cell = 1, demand_curve.CELLS do
        keys[cell] = prefix .. cell
    end
    return setmetatable({ store = store, keys = keys }, StoredCurve)
end

-- Counts one request of a client, which is its `ordinal`th in the window.
function StoredCurve:count(ordinal)
    self.store:incr(self.keys[demand_curve.cell_of(ordinal)], 1, 0)
end

-- Counts all requests of a client, or with `times` -1 takes them out again.
function StoredCurve:count_all(requests, times)
    demand_curve.each_cell(requests, requests, function(cell, part)
        self.store:incr(self.keys[cell], part * times, 0)
    end)
end

-- Returns the curve as it is now.
function StoredCurve:read()
    local curve, total = {}, 0
    for cell, key in ipairs(self.keys) do
        local count = self.store:get(key)
        if count then
            curve[cell], total = count, total + count
        end
    end
    curve.total = total
    return curve
end

function StoredCurve:clear()
    for _, key in ipairs(self.keys) do
        if self.store:get(key) then
            self.store:delete(key)
        end
    end
end

return StoredCurve
