-- A store in this process that holds a bounded number of values: the one used longest ago gives way.
--
-- It has the methods of a shared dict of nginx, which does so, too, but for a time to live.

local Lru = {}
Lru.__index = Lru

-- most: values that are held.
function Lru.new(most)
    local ends = {}
    ends.newer, ends.older = ends, ends -- the newest is ends.older, the oldest ends.newer
    return setmetatable({ most = most, size = 0, entries = {}, ends = ends }, Lru)
end

local function unlink(entry)
    entry.newer.older, entry.older.newer = entry.older, entry.newer
end

local function link_as_newest(ends, entry)
    entry.newer, entry.older = ends, ends.older
    ends.older.newer, ends.older = entry, entry
end

local function used(self, key)
    local entry, ends = self.entries[key], self.ends
    if entry and ends.older ~= entry then
        unlink(entry)
        link_as_newest(ends, entry)
    end
    return entry
end

function Lru:get(key)
    local entry = used(self, key)
    return entry and entry.value
end

function Lru:set(key, value)
    local entry = used(self, key)
    if entry then
        entry.value = value
        return
    end
    if self.size >= self.most then
        self:delete(self.ends.newer.key)
    end
    entry = { key = key, value = value }
    self.entries[key], self.size = entry, self.size + 1
    link_as_newest(self.ends, entry)
end

-- Stores a value and returns true, unless there is one.
function Lru:add(key, value)
    if self.entries[key] then
        return false
    end
    self:set(key, value)
    return true
end

-- Adds to a number, and returns the sum; init: the number if there is none; nil: then nothing is added.
function Lru:incr(key, by, init)
    local entry = used(self, key)
    if entry then
        entry.value = entry.value + by
        return entry.value
    elseif init then
        self:set(key, init + by)
        return init + by
    end
    return nil, "not found"
end

function Lru:delete(key)
    local entry = self.entries[key]
    if entry then
        unlink(entry)
        self.entries[key], self.size = nil, self.size - 1
    end
end

return Lru
