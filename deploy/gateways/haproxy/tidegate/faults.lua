-- The log of faults: each fault is logged once, and once more when it is over.

local Faults = {}
Faults.__index = Faults

-- Args: service: named in each line; say: writes a line to the log.
function Faults.new(service, say)
  return setmetatable({ service = service, write = say, said = {}, number = 0 }, Faults)
end

-- Log a fault, unless it is logged and not over. Texts that differ in numbers only are one fault.
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
