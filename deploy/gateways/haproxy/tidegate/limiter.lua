-- The limiter of one service, which decides whether a request may pass.
--
-- * Without classes there is one bucket, that of the share.
-- * A request of a class takes from the bucket of its class first, then from the common spare one as
--   long as the class is below its ceiling. A request of no class takes from the spare one alone.
-- * The bucket of the share counts every request. It refuses those beyond a class's own rate, so that
--   all together stay within the share and one burst.
-- * A new lease changes the rates of the buckets, not their contents.
--
-- No call yields, and one call at a time runs in all threads (see tidegate.lua), so nothing is locked.

local bucket = require("tidegate.bucket")
local leases = require("tidegate.lease")
local Clients = require("tidegate.clients")

local wait_of, take, find = bucket.wait, bucket.take, string.find
local INF = math.huge
local COMMA, SPACE, EQUALS = 44, 32, 61
local MOST_NAME = 200 -- bytes of a client's name that are used

local Limiter = {}
Limiter.__index = Limiter

-- Args: options: see tidegate.lua; now: monotonic seconds.
function Limiter.new(service, options, now)
  local made = {
    service = service, options = options,
    stage = "none", rps = options.first_rps, changes_at = INF, heard = now,
    total = bucket.new(options.first_rps, math.max(1, options.first_rps / 10)),
    classes = {}, headers = {}, matches = {}, numbers = {}, by_number = {},
    counts = {}, rest = { name = "", admitted = 0, denied = 0 }, client_denied = 0, passes = 0,
    clients = Clients.new(options.client_window_s, options.most_clients, now),
    enforced = not options.dry_run,
  }
  return setmetatable(made, Limiter)
end

-- Act on a lease that was issued or renewed; its age counts from `asked_at`.
function Limiter:renew(lease, asked_at, now)
  self.lease, self.heard = lease, asked_at
  self.enforced = lease.enforced and not self.options.dry_run
  local window_s = lease.client_window_s or self.options.client_window_s
  if window_s ~= self.clients.window_s then
    self.clients = Clients.new(window_s, self.options.most_clients, now)
  end
  self:restage(now)
end

local function class_state(self, told)
  local counts = self.counts[told.name] or { admitted = 0, denied = 0 }
  self.counts[told.name] = counts
  local class = self.classes[told.name]
  return class or { name = told.name, counts = counts }
end

-- Return the number of a class name; it never becomes another class's.
local function number_of(self, name)
  local number = self.numbers[name]
  if not number then
    number = #self.by_number + 1
    self.numbers[name], self.by_number[number] = number, name
  end
  return number
end

local function refit(one, rps, burst, now)
  if one then
    bucket.set(one, rps, burst, now)
    return one
  end
  return bucket.new(rps, burst)
end

-- Set the rates by the age of the lease. The new classes replace the old ones at once.
function Limiter:restage(now)
  local lease = self.lease
  if not lease then
    return
  end
  local stage, rps, ends_s = leases.at(lease, now - self.heard)
  local over = stage == "open" or stage == "closed"
  local parts, ceilings, spare = leases.parts(lease, rps)
  local classes, headers, matches, burst = {}, {}, {}, lease.burst
  for i, told in ipairs(lease.classes) do
    local class = class_state(self, told)
    class.barred = over and told.last == "closed"
    class.own = refit(class.own, over and told.last == "open" and INF or parts[i], burst, now)
    class.ceiling = refit(class.ceiling, over and INF or ceilings[i], burst, now)
    classes[told.name] = class
    if told.header then
      matches[#matches + 1] = { header = told.header, value = told.value, number = number_of(self, told.name) }
    end
    if told.header and not told.value then
      headers[#headers + 1] = { name = told.header, class = class }
    end
  end
  bucket.set(self.total, rps, burst, now)
  self.spare = #lease.classes > 0 and refit(self.spare, over and rps or spare, burst, now) or nil
  self.classes, self.headers, self.matches = classes, headers, matches
  self.stage, self.rps = stage, rps
  self.changes_at = self.heard + ends_s
end

-- Whether the lease knows a class by the value of a header, which the rules do not pass to Lua.
function Limiter:knows_values()
  return #self.matches > #self.headers
end

-- Return the number of the class that a request has by its headers, 0 for none.
--
-- Args: header_of(name): its value, or nil.
function Limiter:class_by_headers(header_of)
  for i = 1, #self.matches do
    local one = self.matches[i]
    local said = header_of(one.header)
    if said and (not one.value or said == one.value) then
      return one.number
    end
  end
  return 0
end

-- Return the class whose header is among the header names of a request, "a,b,c ".
local function by_header(headers, names, stop)
  for i = 1, #headers do
    local wanted = headers[i].name
    local from, to = find(names, wanted, 1, true)
    while from and to < stop do
      local before, after = from == 1 or names:byte(from - 1), names:byte(to + 1)
      if (before == true or before == COMMA) and (after == COMMA or after == SPACE) then
        return headers[i].class
      end
      from, to = find(names, wanted, to + 1, true)
    end
  end
  return nil
end

-- Return seconds until the request may pass; 0: now, with the buckets to take it from.
local function pass(self, class, now)
  local total, own = self.total, class and class.own
  if own then
    if class.barred then
      return INF
    end
    local own_wait = wait_of(own, now)
    if own_wait > 0 then
      own = nil
    end
  end
  local ceiling, spare = class and class.ceiling, self.spare
  if not own then
    local wait = wait_of(total, now)
    if spare then
      wait = math.max(wait, wait_of(spare, now))
    end
    if ceiling then
      wait = math.max(wait, wait_of(ceiling, now))
    end
    if wait > 0 then
      return class and math.min(wait, wait_of(class.own, now)) or wait
    end
  end
  return 0, own, spare, ceiling
end

local function put_in(self, own, spare, ceiling, now)
  take(self.total, now)
  if own then
    take(own, now)
  elseif spare then
    take(spare, now)
  end
  if ceiling then
    take(ceiling, now)
  end
  return bucket.room(own or spare or self.total, now)
end

-- Decide on one request, "NAMES CLASS CLIENT": the names of its headers, separated by commas, then its
-- class and its client, either of which may be empty. A class is a name, or "=" and the number that
-- `class_by_headers` has returned, which is the last word.
--
-- Returns 0 if it is admitted without a limit; n > 0 if it is admitted and n - 1 more would be; n < 0
-- if it is refused for -n seconds. The result is a number because HAProxy 2.6 might read a string
-- after another thread has garbage-collected it.
function Limiter:decide(request, now)
  if now >= self.changes_at then
    self:restage(now)
  end
  local first = find(request, " ", 1, true)
  local second = find(request, " ", first + 1, true)
  local class
  if request:byte(first + 1) == EQUALS then
    class = self.classes[self.by_number[tonumber(request:sub(first + 2, second - 1))] or ""]
  elseif self.headers[1] then
    class = by_header(self.headers, request, first)
  end
  if not class and second > first + 1 then
    class = self.classes[request:sub(first + 1, second - 1)]
  end
  local client, lease, wait = nil, self.lease, 0
  if second < #request then
    client = self.clients:seen(request:sub(second + 1, second + MOST_NAME))
    if client and lease and lease.per_client then
      wait = self.clients:wait(client, lease.per_client, now)
    end
  end
  local counts, own, spare, ceiling = class and class.counts or self.rest, nil, nil, nil
  if wait > 0 then
    self.client_denied = self.client_denied + 1
  else
    wait, own, spare, ceiling = pass(self, class, now)
  end
  if wait > 0 then
    counts.denied = counts.denied + 1
    return self.enforced and -self:retry_after(wait) or 0
  end
  if client then
    Clients.take(client, now)
  end
  counts.admitted = counts.admitted + 1
  local room = put_in(self, own, spare, ceiling, now)
  return self.rps < INF and 1 + math.floor(room) or 0
end

-- Whether the rules in haproxy.cfg check all headers by which the lease recognises classes.
function Limiter:is_told_by_rules()
  for _, one in ipairs(self.headers) do
    if not self.options.marking[one.name] then
      return false
    end
  end
  return true
end

-- Return whole seconds; where nothing may pass, until there may be a new lease.
function Limiter:retry_after(wait)
  if wait == INF then
    wait = self.lease and self.lease.refresh_s or 1
  end
  return math.min(math.max(1, math.ceil(wait)), 3600)
end

-- Return the limit as a whole number, for RateLimit-Policy.
function Limiter:quota()
  return self.rps < INF and math.floor(self.rps) or 0
end

return Limiter
