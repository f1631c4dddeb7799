-- Books of passes: tokens taken in advance, so that requests can be admitted without a call into Lua.
--
-- A call into Lua costs HAProxy several µs, whatever the code does. So in each tick the limiter
-- reserves a few tokens of its buckets and puts them into a book, which HAProxy's own rules use up: an
-- entry of a map holds the number of the book and of its passes, and a stick table counts the passes
-- that are used. In the next tick the used passes of a book are put into the buckets, and the others
-- are free again. If a bucket is nearly full there is no book, and each request is decided by itself; so
-- is it for some seconds after requests came that took no pass.
-- So the limit is the same as without books, with a delay of one tick.
--
--   map      "SERVICE CLASS" -> NUMBER * PASSES + passes; a number is never used again
--            "SERVICE =" -> 1 while a class is known by the value of a header, which Lua must look at
--   table    keyed by that value, gpc0: requests that took a pass, or found none left

local PASSES = 10000000 -- as in haproxy.cfg
local PART = 0.75 -- of the room; the rest is for requests that find no pass left
local LEAST = 4
-- Without passes, after requests came that took none, as they do that name a client; each time twice as
-- long, until one is taken.
local REST_TICKS, LONGEST_REST_TICKS = 50, 3000

local Books = {}
Books.__index = Books

-- Args: rules: of the service; write(key, value): sets a map entry; taken(book): reads the stick table.
function Books.new(rules, write, taken)
  local made = {
    rules = rules, limiter = rules.limiter, write = write, taken = taken,
    open = {}, unused = {}, admitted = {}, resting = {}, rest = {}, number = 0, passes = 0,
  }
  return setmetatable(made, Books)
end

-- Return how many requests of a class ("": of none) may pass in advance, and the buckets to take them
-- from; nil: nothing limits them.
local function room_of(self, name)
  local limiter = self.limiter
  local stage, limit = limiter:standing()
  if stage == "open" or stage == "closed" then
    local class = limiter.lease.by_name[name]
    return (class or limiter.lease).last == "open" and PASSES - 1 or 0
  elseif not stage then
    return limiter.without_lease == math.huge and PASSES - 1 or 0
  elseif limit == 0 then
    return 0
  end
  local class, share = name ~= "" and name or nil, limiter.share
  return math.min(share:room(class) * PART, PASSES - 1), share:buckets_of(class)
end

-- Close a book: count the passes that were used, and free the others.
local function close(self, name, book)
  local used = math.min(self.taken(book.value), book.passes)
  if used > 0 then
    self.limiter.counts:add(name, true, used)
    self.passes = self.passes + used
  end
  if book.buckets then
    local share = self.limiter.share
    share:keep(book.buckets, -book.passes)
    -- Their rates may be others by now, and the class may have gone.
    share:charge(share:buckets_of(name ~= "" and name or nil), used)
  end
  self.open[name], self.unused[name] = nil, used == 0 and book or nil
  return used
end

local function open(self, name, buckets, passes)
  local unused = self.unused[name]
  local book = { passes = passes, buckets = buckets }
  if unused and unused.passes == passes then
    book.value = unused.value
  else
    self.number = self.number + 1
    book.value = self.number * PASSES + passes
    self.write(self.limiter.service .. " " .. name, book.value)
  end
  if buckets then
    self.limiter.share:keep(buckets, passes)
  end
  self.open[name] = book
end

-- Replace the book of a class. Args: used: passes of its last book; nil: it had none.
local function lay_out(self, name, used)
  -- Enough passes if requests grow by half until the next tick.
  local admitted = self.limiter.counts:admitted(name)
  local came = admitted - (self.admitted[name] or admitted)
  self.admitted[name] = admitted
  local resting = (self.resting[name] or 0) - 1
  if used == 0 and came > 0 then
    self.rest[name] = math.min(2 * (self.rest[name] or REST_TICKS / 2), LONGEST_REST_TICKS)
    resting = self.rest[name]
  elseif used and used > 0 then
    self.rest[name] = nil
  end
  self.resting[name] = resting
  local room, buckets = 0, nil
  if resting <= 0 and self.rules:check_all() then
    room, buckets = room_of(self, name)
  end
  local passes = math.floor(math.min(room, math.ceil(came * 1.5) + LEAST))
  if passes >= LEAST then
    open(self, name, buckets, passes)
  elseif used then
    self.write(self.limiter.service .. " " .. name, 0)
  end
end

-- Free all passes that are not used; there will be no more.
function Books:abandon()
  for name, book in pairs(self.open) do
    if book.buckets then
      self.limiter.share:keep(book.buckets, -book.passes)
    end
    pcall(self.write, self.limiter.service .. " " .. name, 0)
  end
  self.open = {}
end

-- Replace the books by those of the next tick. Call it from a task.
function Books:tick()
  local used = {}
  for name, book in pairs(self.open) do
    used[name] = close(self, name, book)
  end
  local values = self.rules:knows_values() and 1 or 0
  if values ~= (self.values or 0) then
    self.write(self.limiter.service .. " =", values)
    self.values = values
  end
  lay_out(self, "", used[""])
  used[""] = nil
  local lease = self.limiter:held()
  for _, class in ipairs(lease and lease.classes or {}) do
    lay_out(self, class.name, used[class.name])
    used[class.name] = nil
  end
  for name in pairs(used) do -- of classes that are not in the lease any more
    self.write(self.limiter.service .. " " .. name, 0)
  end
end

return Books
