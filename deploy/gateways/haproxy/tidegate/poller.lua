-- The poller of one service: gets its lease, waits for changes and sends reports. No request waits
-- for it.
--
-- * The age of a lease counts from the request for it. So a wait must be short compared with
--   `valid_for_s`: it is the refresh interval, and a change still arrives at once.
-- * One task does everything in turn, so no response overtakes another.
-- * core.httpclient may take long to fail: it tries four times, each with the given time-out. The
--   limiter checks the age of the lease by itself.

local json = require("tidegate.json")
local leases = require("tidegate.lease")

local REFRESH_S = 2 -- before the first lease, which has its own
local LONGEST_WAIT_S = 15 -- less than `timeout server` in haproxy.cfg, whatever the lease says
local SLACK_MS = 2000
local MOST_BYTES = 1024 * 1024
local LONGEST_PAUSE_S = 2

local Poller = {}
Poller.__index = Poller

-- Args: faults: the log of faults; clock: monotonic seconds.
function Poller.new(limiter, options, faults, clock)
  local made = {
    limiter = limiter, options = options, faults = faults, clock = clock,
    url = options.endpoint .. "/v1/limits/" .. limiter.service,
    etag = nil, failures = 0, reported_at = clock(), reported = {},
    polls = { renewed = 0, changed = 0, refused = 0, failed = 0 },
  }
  return setmetatable(made, Poller)
end

local function headers_of(self)
  local headers = { ["accept"] = { "application/json" } }
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

-- Take in a response; return whether it was a lease or a renewal.
local function take_in(self, response, asked_at)
  local limiter, polls, faults = self.limiter, self.polls, self.faults
  if response.status == 304 and limiter.lease then
    polls.renewed = polls.renewed + 1
    limiter:renew(limiter.lease, asked_at, self.clock())
  elseif response.status == 200 then
    local body = response.body or ""
    local lease, why
    if #body > MOST_BYTES then
      why = string.format("it has %d bytes", #body)
    else
      lease, why = leases.received(limiter.lease, body, limiter.service)
    end
    if not lease then
      polls.refused = polls.refused + 1
      faults:say("lease refused", why .. "; the previous one stays in use")
      return false
    end
    polls.changed = polls.changed + 1
    self.etag = response.headers and response.headers["etag"] and response.headers["etag"][0]
    limiter:renew(lease, asked_at, self.clock())
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
  local client = core.httpclient()
  local response = client[method](client, request)
  if not response or not response.status or response.status == 0 then
    return { status = 0, body = "no answer" }
  end
  return response
end

local function ask(self, wait_s)
  local headers = headers_of(self)
  if self.etag and self.limiter.lease then
    headers["if-none-match"] = { self.etag }
  end
  local asked_at = self.clock()
  local url = string.format("%s?instance=%s&wait=%.3g", self.url, self.options.instance(), wait_s)
  local timeout = math.floor(wait_s * 1000) + SLACK_MS
  local response = exchange(self, "get", { url = url, headers = headers, timeout = timeout })
  return take_in(self, response, asked_at)
end

-- Return the requests counted since the last report, and the counters to remember once it is sent.
local function counted(self)
  local limiter, before, classes = self.limiter, self.reported, {}
  local admitted, denied, now = 0, 0, {}
  local function add(name, counts)
    local last = before[name] or { 0, 0 }
    now[name] = { counts.admitted, counts.denied }
    local passed, refused = counts.admitted - last[1], counts.denied - last[2]
    admitted, denied = admitted + passed, denied + refused
    return passed, refused
  end
  add("", limiter.rest)
  for name, counts in pairs(limiter.counts) do
    local passed, refused = add(name, counts)
    if limiter.classes[name] then
      local text = '%s:{"admitted":%d,"denied":%d}'
      classes[#classes + 1] = text:format(json.quoted(name), passed, refused)
    end
  end
  return admitted, denied, classes, now
end

local function histogram_of(clients, now)
  local bounds, counts = clients:histogram(now)
  if not bounds then
    return ""
  end
  for i = 1, #bounds do
    bounds[i] = string.format("%.6g", bounds[i])
  end
  local text = ',"client_histogram":{"bounds":[%s],"counts":[%s]}'
  return text:format(table.concat(bounds, ","), table.concat(counts, ","))
end

local function report(self)
  local asked_at = self.clock()
  local interval_s = math.min(math.max(asked_at - self.reported_at, 0.001), 3600)
  local limiter, lease = self.limiter, self.limiter.lease
  local admitted, denied, classes, now = counted(self)
  local clients = histogram_of(limiter.clients, asked_at)
  local held = ',"version":%d,"epoch":%s,"holds_rps":%.3f'
  local body = string.format(
    '{"instance":%s,"interval_s":%.3f,"admitted":%d,"denied":%d,"classes":{%s}%s%s}',
    json.quoted(self.options.instance()), interval_s, admitted, denied,
    table.concat(classes, ","), clients,
    lease and held:format(lease.version, json.quoted(lease.epoch), lease.rps) or ""
  )
  local headers = headers_of(self)
  headers["content-type"] = { "application/json" }
  local response = exchange(self, "post", {
    url = self.url .. "/reports", headers = headers, body = body, timeout = SLACK_MS,
  })
  if response.status == 200 then
    self.reported, self.reported_at = now, asked_at
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
  local lease = self.limiter.lease
  local report_s = lease and math.min(lease.refresh_s, lease.valid_for_s / 4) or REFRESH_S
  local refresh_s = math.min(report_s, LONGEST_WAIT_S)
  local asked_at = self.clock()
  local well = ask(self, self.failures == 0 and self.etag and refresh_s or 0)
  self.changed = self.limiter.lease ~= lease
  if well and self.clock() - self.reported_at >= report_s then
    local stopping = core.get_info()["Stopping"]
    -- A process that is about to end does not report; its successor does.
    if not stopping or tonumber(stopping) == 0 then
      well = report(self)
    end
  end
  return pause(self, well, refresh_s, asked_at)
end

-- Polls for ever; an error in a round is logged and does not end the task.
function Poller:run()
  while true do
    local well, seconds = pcall(self.round, self)
    if not well then
      self.faults:say("poll failed", tostring(seconds))
      seconds = REFRESH_S
    end
    core.msleep(math.max(1, math.floor(seconds * 1000)))
  end
end

return Poller
