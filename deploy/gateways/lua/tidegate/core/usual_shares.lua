-- The usual shares of a gateway's requests: of newcomers by hour of the day, and of each class. As in
-- scaler/gateway/usual_shares.py.
--
-- They are moving means over windows in which all requests fitted the limit.

local floor, min = math.floor, math.min

local UsualShares = {}
UsualShares.__index = UsualShares

-- Of newcomers, until it was seen; and at most, as whoever uses many names may well be one client.
local NEWCOMERS, MAX_NEWCOMERS = 0.1, 0.5
-- At first all clients are newcomers.
local SETTLED_S = 120
local WINDOW_WEIGHT = 0.02

-- store: see bucket.lua; prefix: of the keys.
function UsualShares.new(store, prefix)
    return setmetatable({ store = store, prefix = prefix }, UsualShares)
end

-- Returns the key of an hour of a day that began with the clock: alike at the same time of any day.
local function key_of_hour(self, now)
    return self.prefix .. "hour:" .. floor(now / 3600) % 24
end

local function key_of_class(self, name)
    return self.prefix .. "class:" .. name
end

-- Returns what is usual at this hour; classes: the names of those to look for.
function UsualShares:at(now, classes)
    local found = { newcomers = self.store:get(key_of_hour(self, now)) or NEWCOMERS, classes = {} }
    for _, name in ipairs(classes) do
        found.classes[name] = self.store:get(key_of_class(self, name))
    end
    return found
end

local function move(self, key, share)
    local mean = self.store:get(key) or share
    self.store:set(key, mean + WINDOW_WEIGHT * (share - mean))
end

-- Takes in a window: requests of newcomers, and of all clients by class.
function UsualShares:learn(newcomers, classes, now)
    self.store:add(self.prefix .. "began", now)
    local total = 0
    for _, requests in pairs(classes) do
        total = total + requests
    end
    if total <= 0 or now - self.store:get(self.prefix .. "began") < SETTLED_S then
        return
    end
    move(self, key_of_hour(self, now), min(newcomers / total, MAX_NEWCOMERS))
    for name, requests in pairs(classes) do
        move(self, key_of_class(self, name), requests / total)
    end
end

return UsualShares
