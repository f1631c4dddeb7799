-- The poller of one service: gets its lease, waits for changes and sends reports. No request waits
-- for it.
--
-- * The age of a lease counts from the request for it. So a wait must be short compared with
--   `valid_for_s`: it is the refresh interval, and a change still arrives at once.
-- * One task does everything in turn, so no response overtakes another.
-- * core.httpclient may take long to fail: it tries four times, each with the given time-out. The
--   limiter checks the age of the lease by itself.
-- * A task ends for good and without a word where Lua fails outside of a `pcall`, or a limit of HAProxy
--   (`tune.lua.task-timeout`, `tune.lua.maxmem`) ends it. So the poller says by when its next word is
--   due, and `watch` begins anew in another task where it is overdue.

local json = require("tidegate.core.json")

local REFRESH_S = 2 -- before the first lease, which has its own
local LONGEST_WAIT_S = 15 -- less than `timeout server` in haproxy.cfg, whatever the lease says
local SLACK_MS = 2000
local LONGEST_PAUSE_S = 2
local TRIES = 4 -- of core.httpclient
local GRACE_S = 3 -- that a word may be late

local Poller = {}
Poller.__index = Poller

-- Args: faults: the log of faults; clock: monotonic seconds.
function Poller.new(limiter, options, faults, clock)
  local made = {
    limiter = limiter, options = options, faults = faults, clock = clock,
    url = options.endpoint .. "/v1/limits/" .. limiter.service,
    failures = 0, reported_at = clock(), number = 0,
    polls = { renewed = 0, changed = 0, refused = 0, failed = 0 },
  }
  return setmetatable(made, Poller)
end

local function headers_of(self)
  local headers = { ["accept"] = { "application/json" } }
  if self.failures > 0 then
    -- A connection that is kept would stay with an address that has moved.
    headers["connection"] = { "close" }
  end
  local token = self.options.token()
  if token then
    headers["authorization"] = { "Bearer " .. token }
  end
  return headers
end

local function said_by(response)
  local detail = (response.body or ""):gsub("<[^>]*>", ""):gsub("%s+", " "):sub(1, 200)
  return string.format("HTTP %d %s", response.status, detail)
end

-- Take in the response to a request that asked with this ETag; return whether it was a lease or a
-- renewal.
local function take_in(self, response, asked_at, etag)
  local limiter, polls, faults = self.limiter, self.polls, self.faults
  if response.status == 304 and etag then
    polls.renewed = polls.renewed + 1
    limiter:renew(asked_at, etag)
  elseif response.status == 200 then
    local new_etag = response.headers and response.headers["etag"] and response.headers["etag"][0]
    local _, why = limiter:receive(response.body or "", new_etag, asked_at)
    if why then
      polls.refused = polls.refused + 1
      faults:say("lease refused", why .. "; the previous one stays in use")
      return false
    end
    polls.changed = polls.changed + 1
  else
    polls.failed = polls.failed + 1
    faults:say("no lease", self.url .. " says " .. said_by(response))
    if response.status == 401 then
      self.options.renew_token()
    end
    return false
  end
  faults:over("lease refused")
  faults:over("no lease")
  return true
end

local function exchange(self, method, request)
  request.dst = self.options.via
  self.due = self.clock() + TRIES * request.timeout / 1000 + GRACE_S
  local client = core.httpclient()
  local response = client[method](client, request)
  if not response or not response.status or response.status == 0 then
    return { status = 0, body = "no answer" }
  end
  return response
end

local function ask(self, etag, wait_s)
  local headers = headers_of(self)
  headers["if-none-match"] = etag and { etag } or nil
  local asked_at = self.clock()
  local url = string.format("%s?instance=%s&wait=%.3g", self.url, self.options.instance(), wait_s)
  local timeout = math.floor(wait_s * 1000) + SLACK_MS
  local response = exchange(self, "get", { url = url, headers = headers, timeout = timeout })
  return take_in(self, response, asked_at, etag)
end

local function report(self)
  local asked_at = self.clock()
  local fields, arrived = self.limiter:report(self.options.instance())
  local headers = headers_of(self)
  headers["content-type"] = { "application/json" }
  local response = exchange(self, "post", {
    url = self.url .. "/reports", headers = headers, body = json.encode(fields), timeout = SLACK_MS,
  })
  if response.status == 200 then
    arrived()
    self.reported_at = asked_at
    self.faults:over("no report")
    return take_in(self, response, asked_at)
  end
  self.faults:say("no report", self.url .. "/reports says " .. said_by(response))
  return true -- a refused report does not affect the lease
end

local function pause(self, well, refresh_s, asked_at)
  if well then
    self.failures = 0
    -- A pause, even if the lease keeps changing or the endpoint does not support `wait`.
    local left = refresh_s - (self.clock() - asked_at)
    local least = math.min(0.05, refresh_s)
    return self.changed and least or math.max(left, least)
  end
  self.failures = self.failures + 1
  local most = math.min(refresh_s * 2 ^ math.min(self.failures - 1, 10), LONGEST_PAUSE_S)
  return most * (0.5 + math.random() / 2)
end

-- One round: get the lease, report if that is due, and return the seconds until the next round.
function Poller:round()
  local lease, etag = self.limiter:held(), self.limiter:etag()
  local report_s = lease and math.min(lease.refresh_s, lease.valid_for_s / 4) or REFRESH_S
  local refresh_s = math.min(report_s, LONGEST_WAIT_S)
  local asked_at = self.clock()
  local well = ask(self, etag, self.failures == 0 and etag and refresh_s or 0)
  self.changed = self.limiter:held() ~= lease
  if well and self.clock() - self.reported_at >= report_s then
    local stopping = core.get_info()["Stopping"]
    -- A process that is about to end does not report; its successor does.
    if not stopping or tonumber(stopping) == 0 then
      well = report(self)
    end
  end
  return pause(self, well, refresh_s, asked_at)
end

-- Polls until another task does; an error in a round is logged and does not end the task.
local function run(self, number)
  while self.number == number do
    local well, seconds = pcall(self.round, self)
    if self.number ~= number then
      return
    elseif well then
      self.faults:over("poll failed")
      self.faults:over("polling stands still")
    else
      self.faults:say("poll failed", tostring(seconds))
      seconds = REFRESH_S
    end
    self.due = self.clock() + seconds + GRACE_S
    core.msleep(math.max(1, math.floor(seconds * 1000)))
  end
end

-- Whether nothing was heard of the task for longer than that may take.
function Poller:is_overdue()
  return self.due ~= nil and self.clock() > self.due
end

-- Begin to poll; and begin anew in another task, if nothing is heard of this one. Call it now and then.
function Poller:watch()
  if self.due and not self:is_overdue() then
    return
  elseif self.due then
    local late_s = self.clock() - self.due
    self.faults:say("polling stands still", string.format("overdue by %.1f s, it begins anew", late_s))
  end
  self.number, self.due = self.number + 1, self.clock() + GRACE_S
  local number = self.number
  core.register_task(function()
    run(self, number)
  end)
end

return Poller
