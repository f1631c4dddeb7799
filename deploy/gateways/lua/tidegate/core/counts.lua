-- The requests that a gateway has counted, by priority class; "" stands for requests of no class.
--
-- The numbers only grow. What was reported is remembered, so that a report tells what is new.

local Names = require "tidegate.core.names"

local Counts = {}
Counts.__index = Counts

-- The last two: those of them beyond their client's fair part.
local KINDS = { "admitted", "denied", "admitted_beyond", "denied_beyond" }

local function keys_of(self, name)
    local keys = self.keys[name]
    if not keys then
        keys = { reported = {} }
        for _, kind in ipairs(KINDS) do
            keys[kind] = self.prefix .. kind .. ":" .. name
            keys.reported[kind] = self.prefix .. "reported-" .. kind .. ":" .. name
        end
        self.keys[name] = keys
        self.names:note(name)
    end
    return keys
end

-- store: see bucket.lua; prefix: of the keys.
function Counts.new(store, prefix)
    local made = setmetatable({
        store = store, prefix = prefix, names = Names.new(store, prefix), keys = {},
    }, Counts)
    keys_of(made, "") -- is counted from the start
    return made
end

-- Counts requests of a class; is_beyond: beyond their client's fair part.
function Counts:add(name, is_admitted, requests, is_beyond)
    local keys = keys_of(self, name)
    self.store:incr(is_admitted and keys.admitted or keys.denied, requests, 0)
    if is_beyond then
        self.store:incr(is_admitted and keys.admitted_beyond or keys.denied_beyond, requests, 0)
    end
end

-- Returns the requests of a class that were ever admitted.
function Counts:admitted(name)
    return self.store:get(keys_of(self, name).admitted) or 0
end

-- Returns the totals of all classes that were ever counted: a list of name, admitted, denied, and of
-- those beyond their client's fair part, admitted_beyond and denied_beyond.
function Counts:totals()
    local found = {}
    for i, name in ipairs(self.names:all()) do
        local keys, one = keys_of(self, name), { name = name }
        for _, kind in ipairs(KINDS) do
            one[kind] = self.store:get(keys[kind]) or 0
        end
        found[i] = one
    end
    return found
end

-- Returns the counts as fields of a report, and a function to call once it has arrived.
--
-- The demand of a class is what is within its clients' fair parts. What is beyond counts in the totals
-- alone, as requests of no class do.
function Counts:pending()
    local totals = self:totals()
    local fields = { admitted = 0, denied = 0, classes = {} }
    for _, one in ipairs(totals) do
        local reported, new = keys_of(self, one.name).reported, {}
        for _, kind in ipairs(KINDS) do
            new[kind] = one[kind] - (self.store:get(reported[kind]) or 0)
        end
        fields.admitted, fields.denied = fields.admitted + new.admitted, fields.denied + new.denied
        if one.name ~= "" and new.admitted + new.denied > 0 then
            fields.classes[one.name] = {
                admitted = new.admitted - new.admitted_beyond, denied = new.denied - new.denied_beyond,
            }
        end
    end
    return fields, function()
        for _, one in ipairs(totals) do
            local reported = keys_of(self, one.name).reported
            for _, kind in ipairs(KINDS) do
                self.store:set(reported[kind], one[kind])
            end
        end
    end
end

return Counts
