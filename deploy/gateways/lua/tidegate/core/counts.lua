-- The requests that a gateway has counted, by priority class; "" stands for requests of no class.
--
-- The numbers only grow. What was reported is remembered, so that a report tells what is new.

local Counts = {}
Counts.__index = Counts

local VERDICTS = { "admitted", "denied" }

local function keys_of(self, name)
    local keys = self.keys[name]
    if not keys then
        local function key(kind)
            return self.prefix .. kind .. ":" .. name
        end
        keys = {
            admitted = key("admitted"), denied = key("denied"), known = key("known"),
            reported = { admitted = key("reported-admitted"), denied = key("reported-denied") },
        }
        self.keys[name] = keys
        -- A store cannot be searched, so the names are numbered, by whoever is the first to count one.
        if self.store:add(keys.known, true) then
            local number = self.store:incr(self.prefix .. "names", 1, 0)
            self.store:set(self.prefix .. "name:" .. number, name)
        end
    end
    return keys
end

-- store: see bucket.lua; prefix: of the keys.
function Counts.new(store, prefix)
    local made = setmetatable({ store = store, prefix = prefix, keys = {} }, Counts)
    keys_of(made, "") -- is counted from the start
    return made
end

-- Counts requests of a class.
function Counts:add(name, is_admitted, requests)
    self.store:incr(keys_of(self, name)[is_admitted and "admitted" or "denied"], requests, 0)
end

-- Returns the requests of a class that were ever admitted.
function Counts:admitted(name)
    return self.store:get(keys_of(self, name).admitted) or 0
end

-- Returns a list of {name, admitted, denied} of all classes that were ever counted.
function Counts:totals()
    local found = {}
    for number = 1, self.store:get(self.prefix .. "names") or 0 do
        local name = self.store:get(self.prefix .. "name:" .. number)
        if name then
            local keys = keys_of(self, name)
            found[#found + 1] = {
                name = name,
                admitted = self.store:get(keys.admitted) or 0,
                denied = self.store:get(keys.denied) or 0,
            }
        end
    end
    return found
end

-- Returns the counts as fields of a report, and a function to call once it has arrived.
function Counts:pending()
    local totals = self:totals()
    local fields = { admitted = 0, denied = 0, classes = {} }
    for _, one in ipairs(totals) do
        local reported, new = keys_of(self, one.name).reported, {}
        for _, verdict in ipairs(VERDICTS) do
            new[verdict] = one[verdict] - (self.store:get(reported[verdict]) or 0)
            fields[verdict] = fields[verdict] + new[verdict]
        end
        if one.name ~= "" and new.admitted + new.denied > 0 then
            fields.classes[one.name] = new
        end
    end
    return fields, function()
        for _, one in ipairs(totals) do
            local reported = keys_of(self, one.name).reported
            for _, verdict in ipairs(VERDICTS) do
                self.store:set(reported[verdict], one[verdict])
            end
        end
    end
end

return Counts
