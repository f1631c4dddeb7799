-- The rate of each client, and whether it may pass by the limit per client.
--
-- A client's rate is estimated over a sliding window, refused requests included: its requests in the
-- current window, and those of the window before in proportion to the overlap. In the very first
-- window all rates are too low by the same factor, so that a few requests do not make a client look
-- busy. The lease's limits per client were computed from the same rates.
--
-- A table must not be iterated while requests may add to it, so lists in the order of arrival are
-- iterated instead. A client without a request for a whole window is dropped: memory is bounded by
-- `most` clients per window.

local bucket = require("tidegate.bucket")

-- The upper bounds of the histogram: 60 of them, each a quarter above the previous one.
local LEAST_RPS, RATIO, BOUNDS = 0.01, 1.25, 60

local Clients = {}
Clients.__index = Clients

-- Args: window_s: length of a window; most: clients that are counted one by one in it.
function Clients.new(window_s, most, now)
  local made = {
    window_s = window_s, most = most, window = 0, began = now, overlooked = 0,
    young = {}, old = {}, young_list = {}, old_list = {},
  }
  return setmetatable(made, Clients)
end

-- Count a request; return the state of its client, nil beyond `most` clients.
function Clients:seen(name)
  local one = self.young[name]
  if not one then
    local number = #self.young_list
    if number >= self.most then
      self.overlooked = self.overlooked + 1
      return nil
    end
    one = self.old[name] or { count = 0, tat = -math.huge, reserved = 0 }
    one.before, one.count, one.window = one.count, 0, self.window
    self.young[name], self.young_list[number + 1] = one, one
  end
  one.count = one.count + 1
  return one
end

-- Return the requests per second of a client.
function Clients:rate(one, now)
  local rest = math.max(0, 1 - (now - self.began) / self.window_s)
  if one.window ~= self.window then
    return one.count * rest / self.window_s
  end
  return (one.count + one.before * rest) / self.window_s
end

-- Return seconds until this client may pass; 0: now. Call `seen` first, and `take` after it has passed.
function Clients:wait(one, level, now)
  local rps, burst, above, left = level.rps, level.burst, level.abusive_above_rps, level.abusive_rps
  if above and left and self:rate(one, now) > above then
    rps, burst = math.min(left, rps or left), 1
  end
  if not rps then
    one.interval = nil
    return 0
  end
  if one.interval ~= 1 / rps or one.burst ~= burst then
    bucket.set(one, rps, burst, now)
  end
  return bucket.wait(one, now)
end

function Clients.take(one, now)
  if one.interval then
    bucket.take(one, now)
  end
end

-- Begin the next window if this one is over.
function Clients:turn(now)
  local passed = now - self.began
  if passed < self.window_s then
    return
  end
  -- After two windows without a turn, no count is recent any more.
  local lost = passed >= 2 * self.window_s
  self.old, self.old_list = lost and {} or self.young, lost and {} or self.young_list
  self.young, self.young_list = {}, {}
  self.window, self.began = self.window + 1, lost and now or self.began + self.window_s
end

-- Return upper bounds in requests per second and the number of clients in each; nil without clients.
function Clients:histogram(now)
  local bounds, counts, all = {}, {}, 0
  for i = 1, BOUNDS do
    bounds[i], counts[i] = LEAST_RPS * RATIO ^ (i - 1), 0
  end
  local function add(one)
    local rps = self:rate(one, now)
    if rps > 0 then
      local i = 1 + math.ceil(math.log(math.max(rps / LEAST_RPS, 1), RATIO) - 1e-9)
      i = math.min(i, BOUNDS)
      counts[i], all = counts[i] + 1, all + 1
    end
  end
  local young, old, window = self.young_list, self.old_list, self.window
  for i = 1, #young do
    add(young[i])
  end
  for i = 1, #old do
    if old[i].window ~= window then
      add(old[i])
    end
  end
  if all == 0 then
    return nil
  end
  return bounds, counts
end

return Clients
