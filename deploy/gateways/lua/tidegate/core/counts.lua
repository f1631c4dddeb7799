-- The requests that a gateway has counted, by priority class, and what it has said of them; "" stands
-- for requests of no class. As in scaler/gateway/counts.py.
--
-- The numbers only grow. Marks remember how far they were at the last report, and when somebody last
-- looked whether demand has moved; so a report tells what is new. A report that is lost is not repeated.

local Names = require "tidegate.core.names"

local abs, huge, max, min, sqrt = math.abs, math.huge, math.max, math.min, math.sqrt

local Counts = {}
Counts.__index = Counts

-- The last two: those of them beyond their client's fair part.
local KINDS = { "admitted", "denied", "admitted_beyond", "denied_beyond" }
-- Bounds of a report's interval.
local MIN_INTERVAL_S, MAX_INTERVAL_S = 0.001, 3600
-- The least change of a rate that matters, and the standard deviations of a count from which on demand
-- has moved: by chance once in hours.
local NOTABLE, MOVED = 0.1, 4

local function keys_of(self, name)
    local keys = self.keys[name]
    if not keys then
        keys = { reported = {}, looked = {} }
        for _, kind in ipairs(KINDS) do
            local key = self.prefix .. kind .. ":" .. name
            keys[kind], keys.reported[kind], keys.looked[kind] = key, key .. ":reported", key .. ":looked"
        end
        keys.said_rps = self.prefix .. "said-rps:" .. name
        keys.said_denied = self.prefix .. "said-denied:" .. name
        self.keys[name] = keys
        self.names:note(name)
    end
    return keys
end

-- store: see bucket.lua; prefix: of the keys.
function Counts.new(store, prefix)
    local made = setmetatable({
        store = store, prefix = prefix, names = Names.new(store, prefix), keys = {},
        since = prefix .. "since", looked_at = prefix .. "looked-at",
    }, Counts)
    keys_of(made, "") -- is counted from the start
    return made
end

-- Counts for the first report from now on, unless that has begun already.
function Counts:begin(now)
    self.store:add(self.since, now)
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

-- Returns the counts of all classes, each with its name: those that `of(keys, kind)` returns.
local function collected(self, of)
    local found = {}
    for i, name in ipairs(self.names:all()) do
        local keys, one = keys_of(self, name), { name = name }
        for _, kind in ipairs(KINDS) do
            one[kind] = of(keys, kind)
        end
        found[i] = one
    end
    return found
end

-- Returns the totals of all classes that were ever counted: a list of name, admitted, denied, and of
-- those beyond their client's fair part, admitted_beyond and denied_beyond.
function Counts:totals()
    return collected(self, function(keys, kind)
        return self.store:get(keys[kind]) or 0
    end)
end

-- Returns what the totals were at a mark, `reported` or `looked`.
local function marked(self, mark)
    return collected(self, function(keys, kind)
        return self.store:get(keys[mark][kind]) or 0
    end)
end

local function set_mark(self, mark, totals)
    for _, one in ipairs(totals) do
        for _, kind in ipairs(KINDS) do
            self.store:set(keys_of(self, one.name)[mark][kind], one[kind])
        end
    end
end

-- Returns how much some totals have grown since others.
local function growth(totals, before)
    local found, earlier = {}, {}
    for _, one in ipairs(before) do
        earlier[one.name] = one
    end
    for i, one in ipairs(totals) do
        found[i] = { name = one.name }
        for _, kind in ipairs(KINDS) do
            found[i][kind] = one[kind] - (earlier[one.name] and earlier[one.name][kind] or 0)
        end
    end
    return found
end

-- Returns the seconds since the last report.
local function seconds_since(self, now)
    local since = self.store:get(self.since) or now - 1
    return min(max(now - since, MIN_INTERVAL_S), MAX_INTERVAL_S)
end

-- Whether counts of these seconds differ from what the last report said by more than chance (Poisson).
--
-- Source: F. J. Anscombe, Biometrika 35 (1948): 2 sqrt(x + 3/8) has a standard deviation of about 1.
local function differ(self, counts, seconds)
    for _, one in ipairs(counts) do
        local count = one.admitted + one.denied
        local expected = (self.store:get(keys_of(self, one.name).said_rps) or 0) * seconds
        local deviations = 2 * abs(sqrt(count + 0.375) - sqrt(expected + 0.375))
        if abs(count - expected) > NOTABLE * expected and deviations > MOVED then
            return true
        end
    end
    return false
end

-- Looks whether demand is no longer what was said of it.
--
-- It is not if requests of a class are refused of which none had been, or if more or fewer come than
-- chance can explain, since the last look or since the last report.
function Counts:moved(now)
    local totals, seconds = self:totals(), seconds_since(self, now)
    local looked_at = max(self.store:get(self.looked_at) or -huge, now - seconds)
    local whole = growth(totals, marked(self, "reported"))
    for _, one in ipairs(whole) do
        if one.denied > 0 and not self.store:get(keys_of(self, one.name).said_denied) then
            return true
        end
    end
    if differ(self, growth(totals, marked(self, "looked")), now - looked_at) or differ(self, whole, seconds) then
        return true
    end
    set_mark(self, "looked", totals)
    self.store:set(self.looked_at, now)
    return false
end

-- Remembers what is said of counts over these seconds, and returns it as fields of a report.
--
-- The demand of a class is what is within its clients' fair parts. What is beyond counts in the totals
-- alone, as requests of no class do.
local function said(self, counts, seconds)
    local fields = { interval_s = seconds, admitted = 0, denied = 0, classes = {} }
    for _, one in ipairs(counts) do
        local keys, offered = keys_of(self, one.name), one.admitted + one.denied
        self.store:set(keys.said_rps, offered / seconds)
        self.store:set(keys.said_denied, one.denied > 0 or nil)
        fields.admitted, fields.denied = fields.admitted + one.admitted, fields.denied + one.denied
        if one.name ~= "" and offered > 0 then
            fields.classes[one.name] = {
                admitted = one.admitted - one.admitted_beyond, denied = one.denied - one.denied_beyond,
            }
        end
    end
    return fields
end

-- Returns what was counted since the last report as fields of the next, which begins now.
function Counts:report_fields(now)
    local totals, seconds = self:totals(), seconds_since(self, now)
    local counts = growth(totals, marked(self, "reported"))
    set_mark(self, "looked", totals)
    set_mark(self, "reported", totals)
    self.store:set(self.since, now)
    self.store:set(self.looked_at, now)
    return said(self, counts, seconds)
end

-- Returns the same of what was counted before the last look; nil: it is all since then.
--
-- Where demand has moved, what came before would blur what has come since.
function Counts:earlier_fields()
    local since, looked_at = self.store:get(self.since), self.store:get(self.looked_at)
    if not since or not looked_at or looked_at <= since then
        return nil
    end
    local looked, seconds = marked(self, "looked"), seconds_since(self, looked_at)
    local counts = growth(looked, marked(self, "reported"))
    set_mark(self, "reported", looked)
    self.store:set(self.since, looked_at)
    return said(self, counts, seconds)
end

return Counts
