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

local json = require("tidegate.core.json")

local INF = math.huge
-- Floating point sums are not exact, so a millionth of a request is tolerated.
local SLACK = 1e-6
-- The upper bounds of the histogram: 60 of them, each a quarter above the previous one.
local LEAST_RPS, RATIO, BOUNDS = 0.01, 1.25, 60

local Clients = {}
Clients.__index = Clients

-- Args: first_window_s: length of a window until a lease says; most: clients that are counted one by
-- one in it; clock: monotonic seconds.
function Clients.new(first_window_s, most, clock)
  local made = { first_window_s = first_window_s, most = most, clock = clock, overlooked = 0, denied = 0 }
  setmetatable(made, Clients)
  made:begin(first_window_s)
  return made
end

-- Begin to count anew, over windows of this length.
function Clients:begin(window_s)
  self.window_s, self.window, self.began = window_s, 0, self.clock()
  self.young, self.old, self.young_list, self.old_list = {}, {}, {}, {}
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
    one = self.old[name] or { count = 0, tat = -INF }
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

-- Change rate and depth of a client's bucket; the number of requests in it stays the same, unless it is
-- smaller now.
local function set(one, rps, burst, now)
  local old, new = one.interval, 1 / rps
  if one.tat > now and old and old ~= new and old > 0 and old < INF and new > 0 and new < INF then
    one.tat = now + (one.tat - now) * (new / old)
  end
  one.interval, one.burst = new, burst
  one.depth = new > 0 and new < INF and burst * new or 0
  if one.depth > 0 then
    one.tat = math.min(one.tat, now + one.depth)
  end
end

-- Count a request of a client, and take it from the client's bucket. See `Limiter.new` of the core.
--
-- Return seconds until it may pass (0: now), the client's rate, and what to give back if the request is
-- refused for another reason; nil: nothing was taken.
function Clients:take(name, lease, level)
  local now, window_s = self.clock(), lease and lease.client_window_s or self.first_window_s
  if window_s ~= self.window_s then
    self:begin(window_s)
  end
  local one = self:seen(name)
  if not one or not level then
    return 0
  end
  local rps, burst, above, left = level.rps, math.max(1, level.burst), level.abusive_above_rps, level.abusive_rps
  if above and left and self:rate(one, now) > above then
    rps, burst = math.min(left, rps or left), 1
  end
  if not rps then
    return 0
  elseif one.interval ~= 1 / rps or one.burst ~= burst then
    set(one, rps, burst, now)
  end
  local wait = math.max(one.tat, now) + one.interval - one.depth - now
  if one.interval == INF or wait > SLACK * one.interval then
    self.denied = self.denied + 1
    return one.interval == INF and INF or wait, rps
  end
  one.tat = math.max(one.tat, now) + one.interval
  return 0, rps, one
end

function Clients:give_back(one)
  one.tat = one.tat - one.interval
end

-- Begin the next window if this one is over.
function Clients:turn()
  local now = self.clock()
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

-- Return the histogram of clients by requests per second, in the form of a report.
function Clients:report_fields()
  local bounds, counts, all, now = {}, {}, 0, self.clock()
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
  return all > 0 and { client_histogram = { bounds = json.list(bounds), counts = json.list(counts) } } or {}
end

return Clients
