-- Says each fault once, until it is over.

local Faults = {}
Faults.__index = Faults

-- Args: service: named in each line; say: function of a text.
function Faults.new(service, say)
  return setmetatable({ service = service, write = say, said = {}, number = 0 }, Faults)
end

-- Say a fault, unless it has been said and is not over. Numbers in a text do not make it another.
function Faults:say(kind, text)
  local known = self.said[kind] or {}
  self.said[kind] = known
  local shape = text:gsub("%d+", "#")
  if not known[shape] then
    known[shape] = true
    self.number = self.number + 1
    self.write(string.format("tidegate: %s: %s: %s", self.service, kind, text))
  end
end

function Faults:over(kind)
  if self.said[kind] then
    self.said[kind] = nil
    self.write(string.format("tidegate: %s: over: %s", self.service, kind))
  end
end

return Faults
