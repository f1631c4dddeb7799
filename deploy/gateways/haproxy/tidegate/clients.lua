-- What each client offers, and what it may be admitted.
--
-- Who is abusive is seen by a bucket too, in which every request counts, refused or not: it drains
-- at `abusive_above_rps`, and whoever has put in more than drains in ABUSE_S is abusive until it
-- has been below that rate for a while. So a heavy abuser is known at once, and a page that loads
-- thirty pictures is not abuse.
--
-- Clients live in two generations. The younger one takes requests; the older one is complete, so it
-- can be counted while requests go on, and is dropped as a whole: memory is bounded.

local bucket = require("tidegate.bucket")

local ABUSE_S, PARDON_S = 10, 2
-- Of the histogram: 60 upper bounds, each a quarter more than the one before.
local LEAST_RPS, RATIO, BOUNDS = 0.05, 2 ^ (1 / 3), 60

local Clients = {}
Clients.__index = Clients

-- Args: window_s: over which clients are counted; most: clients that are told apart in it.
function Clients.new(window_s, most, now)
  local made = {
    window_s = window_s, most = most, number = 0,
    young = {}, old = {}, generation = 0,
    -- The first windows are short, or nobody knew of abuse until a whole one is over.
    this_s = window_s / 8, began = now, old_s = 0, overlooked = 0,
  }
  return setmetatable(made, Clients)
end

-- Count a request; return what is known of its client, nil where it is one too many.
function Clients:seen(name)
  local one = self.young[name]
  if not one then
    if self.number >= self.most then
      self.overlooked = self.overlooked + 1
      return nil
    end
    one = self.old[name] or { count = 0, before = 0, meter = 0, above = 0, tat = -math.huge }
    one.before, one.count, one.generation = one.count, 0, self.generation
    self.young[name], self.number = one, self.number + 1
  end
  one.count = one.count + 1
  return one
end

local function is_abusive(one, above, now)
  if above ~= one.above then
    local ahead = one.meter - now
    if ahead > 0 and above > 0 then
      one.meter = now + ahead * (one.above / above)
    end
    one.above = above
  end
  if above <= 0 then
    return true
  end
  local meter = (one.meter > now and one.meter or now) + 1 / above
  local most = now + ABUSE_S + PARDON_S
  one.meter = meter < most and meter or most
  return meter - now > ABUSE_S
end

-- Return seconds until this client may pass; 0: now. Call `seen` first, and `take` once it passes.
function Clients.wait(one, level, now)
  local rps, burst = level.rps, level.burst
  if level.abusive_above_rps and is_abusive(one, level.abusive_above_rps, now) then
    rps = level.abusive_rps or rps
    burst = math.max(1, rps or 1)
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

-- Begin the next generation if this one is over; return whether it was.
function Clients:turn(now)
  local passed = now - self.began
  if passed < self.this_s then
    return false
  end
  self.old, self.old_s, self.young, self.number = self.young, passed, {}, 0
  self.generation, self.began = self.generation + 1, now
  self.this_s = math.min(self.this_s * 2, self.window_s)
  return true
end

-- Return upper bounds in requests per second and how many clients there were below each, for the
-- last window that is over; nil: there was nobody.
function Clients:histogram()
  local bounds, counts, all = {}, {}, 0
  for i = 1, BOUNDS do
    bounds[i], counts[i] = LEAST_RPS * RATIO ^ (i - 1), 0
  end
  for _, one in pairs(self.old) do
    local count = one.generation == self.generation and one.before or one.count
    local rps = count / self.old_s
    local i = 1 + math.ceil(math.log(math.max(rps / LEAST_RPS, 1), RATIO) - 1e-9)
    i = math.min(math.max(i, 1), BOUNDS)
    counts[i], all = counts[i] + 1, all + 1
  end
  if all == 0 then
    return nil
  end
  return bounds, counts
end

return Clients
