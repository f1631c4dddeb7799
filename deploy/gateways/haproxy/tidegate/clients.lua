-- What each client offers, and what it may be admitted.
--
-- A client's rate is counted over a sliding window, refused requests included: what it sent in this
-- one, and as much of the one before as the window that ends now still covers. In the very first
-- window all rates are too low alike, so the few first requests of a calm client do not mislead. The
-- level that tidegate names was worked out from the same rates.
--
-- A table is never gone through while requests may add to it: lists in the order of arrival are. Who
-- was not seen for a whole window is dropped with it: memory is bounded by `most` clients a window.

local bucket = require("tidegate.bucket")

-- Of the histogram: 60 upper bounds, each a quarter more than the one before.
local LEAST_RPS, RATIO, BOUNDS = 0.01, 1.25, 60

local Clients = {}
Clients.__index = Clients

-- Args: window_s: over which clients are counted; most: clients that are told apart in it.
function Clients.new(window_s, most, now)
  local made = {
    window_s = window_s, most = most, window = 0, began = now, overlooked = 0,
    young = {}, old = {}, young_list = {}, old_list = {},
  }
  return setmetatable(made, Clients)
end

-- Count a request; return what is known of its client, nil where it is one too many.
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

-- Return the requests per second that a client offers.
function Clients:rate(one, now)
  local rest = math.max(0, 1 - (now - self.began) / self.window_s)
  if one.window ~= self.window then
    return one.count * rest / self.window_s
  end
  return (one.count + one.before * rest) / self.window_s
end

-- Return seconds until this client may pass; 0: now. Call `seen` first, and `take` once it passes.
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
  -- After two windows without a turn nothing that was counted is of now.
  local lost = passed >= 2 * self.window_s
  self.old, self.old_list = lost and {} or self.young, lost and {} or self.young_list
  self.young, self.young_list = {}, {}
  self.window, self.began = self.window + 1, lost and now or self.began + self.window_s
end

-- Return upper bounds in requests per second, and how many clients are below each; nil: nobody is.
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
