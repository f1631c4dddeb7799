-- The names that any process has met. A store cannot be searched, so they are numbered there.

local Names = {}
Names.__index = Names

-- store: see bucket.lua; prefix: of the keys.
function Names.new(store, prefix)
    return setmetatable({ store = store, prefix = prefix }, Names)
end

-- Notes a name; once in each process will do.
function Names:note(name)
    if self.store:add(self.prefix .. "known:" .. name, true) then
        local number = self.store:incr(self.prefix .. "names", 1, 0)
        self.store:set(self.prefix .. "name:" .. number, name)
    end
end

-- Returns the list of all names.
function Names:all()
    local found = {}
    for number = 1, self.store:get(self.prefix .. "names") or 0 do
        found[#found + 1] = self.store:get(self.prefix .. "name:" .. number)
    end
    return found
end

return Names
