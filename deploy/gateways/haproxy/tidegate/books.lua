-- Books of passes: tokens taken in advance, so that requests can be admitted without a call into Lua.
--
-- A call into Lua costs HAProxy several µs, whatever the code does. So in each tick the limiter
-- reserves a few tokens of its buckets and puts them into a book, which HAProxy's own rules use up: an
-- entry of a map holds the number of the book and of its passes, and a stick table counts the passes
-- that are used. In the next tick the used passes of a book are put into the buckets, and the others
-- are free again. If a bucket is nearly full there is no book, and each request is decided by itself.
-- So the limit is the same as without books, with a delay of one tick.
--
--   map      "SERVICE CLASS" -> NUMBER * PASSES + passes; a number is never used again
--            "SERVICE =" -> 1 while a class is known by the value of a header, which Lua must look at
--   table    keyed by that value, gpc0: requests that took a pass, or found none left

local bucket = require("tidegate.bucket")

local PASSES = 10000000 -- as in haproxy.cfg
local PART = 0.75 -- of the room; the rest is for requests that find no pass left
local LEAST = 4

local Books = {}
Books.__index = Books

-- Args: limiter: source of the tokens; write(key, value): sets a map entry; taken(book): reads the
-- stick table.
function Books.new(limiter, write, taken)
  local made = { limiter = limiter, write = write, taken = taken, open = {}, unused = {}, admitted = {}, number = 0 }
  return setmetatable(made, Books)
end

-- Return the buckets of a request of this class: its own or the spare one, and those that count it.
local function buckets_of(limiter, class)
  if not class then
    return { limiter.total, limiter.spare }
  elseif class.barred then
    return nil
  end
  return { class.own, limiter.total, class.ceiling }
end

local function room_of(limiter, buckets, now)
  if not buckets then
    return 0
  elseif limiter.rps == math.huge then
    return PASSES - 1
  end
  local room = math.huge
  for _, one in pairs(buckets) do
    room = math.min(room, bucket.room(one, now))
  end
  return math.floor(math.min(room * PART, PASSES - 1))
end

-- Close a book: count the passes that were used, and free the others.
local function close(self, key, book, now)
  local used = math.min(self.taken(book.value), book.passes)
  book.counts.admitted = book.counts.admitted + used
  self.limiter.passes = self.limiter.passes + used
  for _, one in pairs(book.buckets) do
    bucket.reserve(one, -book.passes)
    if used > 0 then
      bucket.take(one, now, used)
    end
  end
  self.open[key], self.unused[key] = nil, used == 0 and book or nil
  return used
end

local function open(self, key, counts, buckets, passes)
  local unused = self.unused[key]
  local book = { passes = passes, counts = counts, buckets = buckets }
  if unused and unused.passes == passes then
    book.value = unused.value
  else
    self.number = self.number + 1
    book.value = self.number * PASSES + passes
    self.write(key, book.value)
  end
  for _, one in pairs(buckets) do
    bucket.reserve(one, passes)
  end
  self.open[key] = book
end

-- Replace the books by those of the next tick. Call it from a task.
function Books:tick(now)
  local limiter, used = self.limiter, {}
  for key, book in pairs(self.open) do
    used[key] = close(self, key, book, now)
  end
  local values = limiter:knows_values() and 1 or 0
  if values ~= (self.values or 0) then
    self.write(limiter.service .. " =", values)
    self.values = values
  end
  local function lay_out(name, class, counts)
    local key = limiter.service .. " " .. name
    local buckets = limiter:is_told_by_rules() and buckets_of(limiter, class) or nil
    -- Enough passes if requests grow by half until the next tick.
    local came = counts.admitted - (self.admitted[key] or counts.admitted)
    self.admitted[key] = counts.admitted
    local passes = math.min(room_of(limiter, buckets, now), math.ceil(came * 1.5) + LEAST)
    if passes >= LEAST then
      open(self, key, counts, buckets, passes)
    elseif used[key] then
      self.write(key, 0)
    end
    used[key] = nil
  end
  lay_out("", nil, limiter.rest)
  for name, class in pairs(limiter.classes) do
    lay_out(name, class, class.counts)
  end
  for key in pairs(used) do -- of classes that are not in the lease any more
    self.write(key, 0)
  end
end

return Books
