-- The clients of a gateway: those that it has known for a while, and newcomers. As in
-- scaler/gateway/known_clients.py.
--
-- Names cost an attacker nothing, so a client that has just appeared is a newcomer. It becomes known
-- when it still sends requests KNOWN_AFTER_S later, or up to twice that: who came at once becomes
-- known little by little. Known clients and newcomers have a store each, which forgets what was used
-- longest ago. So newcomers, however many, never displace known clients.
--
-- The requests of a client are one number, which also holds the window in which they were counted. Where
-- two processes begin to count a client in a new window at the same moment, one request may be lost; and
-- of two that use up its part at the same moment, one may be forgotten. What holds the limit is the
-- bucket of the share, from which nothing is lost.

local KnownClients = {}
KnownClients.__index = KnownClients

local KNOWN_AFTER_S = 30
-- Counts are below SPAN; the windows are numbered anew after WINDOWS of them.
local SPAN, WINDOWS = 2 ^ 33, 2 ^ 20

-- known, newcomers: stores, see bucket.lua; prefix: of the keys.
function KnownClients.new(known, newcomers, prefix)
    return setmetatable({ known = known, newcomers = newcomers, prefix = prefix }, KnownClients)
end

-- Returns what the keys of a class's clients begin with: of the counts, of the parts used up, and of when
-- a newcomer was first seen.
function KnownClients:prefixes(class_name)
    local of_class = self.prefix .. #class_name .. ":" .. class_name .. ":"
    return { count = "c" .. of_class, tag = "t" .. of_class, first = "f" .. of_class }
end

-- Returns the requests in this window with one more; nil: there is no such client.
local function counted(store, key, window, init)
    local value = store:incr(key, 1, init)
    local base = window % WINDOWS * SPAN
    if value and not (value > base and value < base + SPAN) then
        value = base + 1
        store:set(key, value)
    end
    return value and value - base
end

-- Returns the requests of a newcomer in this window.
local function count_of(store, key, window)
    local value, base = store:get(key), window % WINDOWS * SPAN
    return value and value > base and value < base + SPAN and value - base or 0
end

-- Counts a request of a client. Returns its requests in this window, whether it is known, and if it has
-- become known by this request those that it had before.
function KnownClients:seen(prefixes, client, window, now)
    local key = prefixes.count .. client
    local count = counted(self.known, key, window)
    if count then
        return count, true
    end
    local first_key = prefixes.first .. client
    local first_at = self.newcomers:get(first_key)
    if not first_at then
        first_at = now
        self.newcomers:set(first_key, now)
    end
    if now - first_at < KNOWN_AFTER_S * (1 + first_at % 1) then
        return counted(self.newcomers, key, window, 0), false
    end
    local before = count_of(self.newcomers, key, window)
    if self.known:add(key, window % WINDOWS * SPAN + before) then
        self.newcomers:delete(key)
        self.newcomers:delete(first_key)
        self.newcomers:delete(prefixes.tag .. client)
        return counted(self.known, key, window, 0), true, before
    end
    return counted(self.known, key, window, 0), true
end

-- Whether a client is known.
function KnownClients:knows(prefixes, client)
    return self.known:get(prefixes.count .. client) ~= nil
end

-- Returns the store of a client's tag.
function KnownClients:store_of(is_known)
    return is_known and self.known or self.newcomers
end

return KnownClients
