-- The poller of one service: gets its lease, waits for changes and sends reports. No request waits
-- for it.
--
-- * Two tasks do it, beside each other. One polls, and waits for a change; the other looks five times a
--   second whether demand has moved, and reports every `refresh_s`, or at once if it has. The response to
--   a report is the lease, and renews it while the poll waits.
-- * core.httpclient may take long to fail: it tries four times, each with the given time-out. The
--   limiter checks the age of the lease by itself.
-- * A task ends for good and without a word where Lua fails outside of a `pcall`, or a limit of HAProxy
--   (`tune.lua.task-timeout`, `tune.lua.maxmem`) ends it. So each says by when its next word is due, and
--   `watch` begins anew in another task where it is overdue.

local json = require("tidegate.core.json")

local REFRESH_S = 1 -- before the first lease, which has its own
local LONGEST_WAIT_S = 15 -- less than `timeout server` in haproxy.cfg, whatever the lease says
local SLACK_MS = 2000
local LONGEST_PAUSE_S = 2
local SETTLE_S = 0.05 -- pause after a change: more of them often follow at once
local LOOK_S = 0.2
local NO_REPORTS_S = 60 -- pause after the endpoint has refused a report
local TRIES = 4 -- of core.httpclient
local GRACE_S = 3 -- that a word may be late

local Poller = {}
Poller.__index = Poller

-- Args: faults: the log of faults; clock: monotonic seconds.
function Poller.new(limiter, options, faults, clock)
  local made = {
    limiter = limiter, options = options, faults = faults, clock = clock,
    url = options.endpoint .. "/v1/limits/" .. limiter.service,
    failures = 0, failed = false, tasks = { poll = { number = 0 }, report = { number = 0 } },
    polls = { renewed = 0, changed = 0, refused = 0, failed = 0 },
  }
  return setmetatable(made, Poller)
end

local function jittered(seconds)
  return seconds * (0.9 + 0.2 * math.random())
end

local function headers_of(self)
  local headers = { ["accept"] = { "application/json" } }
  if self.failed then
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

-- Take in the response to a request that was sent while the lease of this ETag was held; return whether
-- it was a lease or a renewal, and otherwise what it was, unless it is told already.
local function take_in(self, response, asked_at, etag)
  local limiter, polls, faults = self.limiter, self.polls, self.faults
  self.failed = response.status ~= 200 and response.status ~= 304
  if response.status == 304 and etag then
    polls.renewed = polls.renewed + 1
    limiter:renew(asked_at, etag)
  elseif response.status == 200 then
    local new_etag = response.headers and response.headers["etag"] and response.headers["etag"][0]
    local _, why = limiter:receive(response.body or "", new_etag, asked_at)
    if why and etag == limiter:etag() then -- otherwise a newer one has overtaken it
      polls.refused = polls.refused + 1
      faults:say("lease refused", why .. "; the previous one stays in use")
      return false
    end
    polls.changed = polls.changed + 1
  else
    polls.failed = polls.failed + 1
    if response.status == 401 then
      self.options.renew_token()
    end
    return false, said_by(response)
  end
  faults:over("lease refused")
  return true
end

local function exchange(self, task, method, request)
  request.dst = self.options.via
  task.due = self.clock() + TRIES * request.timeout / 1000 + GRACE_S
  local client = core.httpclient()
  local response = client[method](client, request)
  if not response or not response.status or response.status == 0 then
    return { status = 0, body = "no answer" }
  end
  return response
end

-- Poll once, and return the seconds until the next time.
local function poll(self, task)
  local limiter, asked_at = self.limiter, self.clock()
  local lease, etag = limiter:held(), limiter:etag()
  local refresh_s = lease and lease.refresh_s or REFRESH_S
  -- Without reports nothing else renews the lease.
  local reports = asked_at >= (self.no_reports_until or 0)
  local wait_s = etag and math.min(reports and LONGEST_WAIT_S or refresh_s, LONGEST_WAIT_S) or 0
  if self.faults.said["no lease"] or self.faults.said["poll stands still"] then
    wait_s = 0 -- its end is known at once, not when the lease changes next
  end
  local headers = headers_of(self)
  headers["if-none-match"] = etag and { etag } or nil
  local url = string.format("%s?instance=%s&wait=%.3g", self.url, self.options.instance(), wait_s)
  local timeout = math.floor(wait_s * 1000) + SLACK_MS
  local response = exchange(self, task, "get", { url = url, headers = headers, timeout = timeout })
  local well, fault = take_in(self, response, asked_at, etag)
  if well then
    self.failures = 0
    self.faults:over("no lease")
    -- An endpoint that answers without a wait is polled each `refresh_s`.
    local left = math.max(SETTLE_S, refresh_s - (self.clock() - asked_at))
    return limiter:etag() ~= etag and SETTLE_S or left
  elseif fault then
    self.faults:say("no lease", self.url .. " says " .. fault)
    self.failures = self.failures + 1
    local most = math.min(refresh_s * 2 ^ math.min(self.failures - 1, 10), LONGEST_PAUSE_S)
    return most * (0.5 + math.random() / 2)
  end
  return jittered(refresh_s) -- the endpoint answers, but its lease was refused
end

-- What an endpoint answers to reports that it does not understand.
local REFUSES = { [400] = true, [404] = true, [405] = true, [413] = true, [422] = true }

-- Send one report. One that is lost is not repeated.
local function send(self, task, fields)
  local asked_at, etag, headers = self.clock(), self.limiter:etag(), headers_of(self)
  headers["content-type"] = { "application/json" }
  local response = exchange(self, task, "post", {
    url = self.url .. "/reports", headers = headers, body = json.encode(fields), timeout = SLACK_MS,
  })
  if REFUSES[response.status] then
    self.no_reports_until = self.clock() + NO_REPORTS_S
  end
  local _, fault = take_in(self, response, asked_at, etag)
  if fault then
    self.faults:say("no report", self.url .. "/reports says " .. fault)
  else
    self.faults:over("no report")
  end
end

local function is_stopping()
  local stopping = core.get_info()["Stopping"]
  return stopping and tonumber(stopping) ~= 0
end

-- Look whether demand has moved, and report if it has, or if that is due; return the seconds until the
-- next look.
local function report(self, task)
  local limiter, now = self.limiter, self.clock()
  local lease = limiter:held()
  if not lease or now < (self.no_reports_until or 0) then
    return jittered(LOOK_S)
  end
  self.report_at = self.report_at or now + jittered(lease.refresh_s)
  local moved = limiter:demand_moved()
  -- A process that is about to end does not report; its successor does.
  if (moved or now >= self.report_at) and not is_stopping() then
    local instance = self.options.instance()
    local earlier = moved and limiter:report_before_move(instance)
    if earlier then
      send(self, task, earlier)
    end
    send(self, task, limiter:report(instance))
    -- What has moved may still be on the move.
    self.report_at = self.clock() + jittered(moved and LOOK_S or lease.refresh_s)
  end
  return math.max(0, math.min(jittered(LOOK_S), self.report_at - self.clock()))
end

local WORKS = { poll = poll, report = report }

-- Work until another task of that name does; an error is logged and does not end the task.
local function run(self, name, number)
  local task = self.tasks[name]
  while task.number == number do
    local well, seconds = pcall(WORKS[name], self, task)
    if task.number ~= number then
      return
    elseif well then
      self.faults:over(name .. " failed")
      self.faults:over(name .. " stands still")
    else
      self.faults:say(name .. " failed", tostring(seconds))
      seconds = REFRESH_S
    end
    task.due = self.clock() + seconds + GRACE_S
    core.msleep(math.max(1, math.floor(seconds * 1000)))
  end
end

-- Whether nothing was heard of a task for longer than that may take.
function Poller:is_overdue()
  for _, task in pairs(self.tasks) do
    if task.due and self.clock() > task.due then
      return true
    end
  end
  return false
end

-- Begin to poll and to report; and begin anew in another task, if nothing is heard of one. Call it now and
-- then.
function Poller:watch()
  for name, task in pairs(self.tasks) do
    local now = self.clock()
    if not task.due or now > task.due then
      if task.due then
        local late = string.format("overdue by %.1f s, it begins anew", now - task.due)
        self.faults:say(name .. " stands still", late)
      end
      task.number, task.due = task.number + 1, now + GRACE_S
      local number = task.number
      core.register_task(function()
        run(self, name, number)
      end)
    end
  end
end

return Poller
