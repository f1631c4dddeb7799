-- The entry point of tidegate in HAProxy: holds the lease of each service, and decides on requests.
--
--   global
--     setenv TIDEGATE_ENDPOINT http://tidegate.example:8080
--     setenv TIDEGATE_SERVICES prod/shop
--     lua-load /etc/haproxy/tidegate.lua
--
-- haproxy.cfg beside this file has the rules that call it; README.md lists the options.
--
-- Why the buckets are in Lua, and not a stick table whose rate is compared with a map: a rate over one
-- second admits a second's requests at once whatever the burst is; it is checked and counted in two
-- steps, between which other threads pass; it has whole requests per second only; and the number of
-- classes is fixed. Map and stick table are used where they are exact: to count passes (books.lua).
--
-- Load this file with `lua-load`, not `lua-load-per-thread`. Then all threads share one Lua state, in
-- which HAProxy runs one call at a time. A converter cannot yield, so each decision is atomic.

local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or "."
package.path = here .. "/?.lua;" .. package.path

local options = require("tidegate.options").from_environment(os.getenv)
local Books = require("tidegate.books")
local Faults = require("tidegate.faults")
local Limiter = require("tidegate.core.limiter")
local Lru = require("tidegate.core.lru")
local Poller = require("tidegate.poller")
local Rules = require("tidegate.rules")
local Store = require("tidegate.core.store")
local metrics = require("tidegate.metrics")

local TICK_MS = 100
local WATCH_S = 5 -- without a tick

local epoch_s = core.now().sec

local latest = 0

-- Return seconds since the start, which never decrease. Each HAProxy thread has a time of its own, that
-- of its last wake-up, so a thread that has waited for a core is behind the others.
local function clock()
  local now = core.now()
  local seconds = (now.sec - epoch_s) + now.usec / 1e6
  if seconds > latest then
    latest = seconds
  end
  return latest
end

-- Return the time of the call that is running: no other one runs meanwhile, and to ask costs.
local function call_time()
  return latest
end

local function warn(text)
  core.log(core.warning, text)
end

clock()
local gates = {}
for _, service in ipairs(options.services) do
  local store = Store.new(call_time)
  local limiter = Limiter.new({
    service = service, store = store, curves = store, clock = call_time,
    without_lease = options.first_rps, dry_run = options.dry_run,
    -- Of a known client two values are kept, of a newcomer three.
    clients = Lru.new(2 * options.most_clients), newcomers = Lru.new(3 * options.most_clients),
  })
  limiter:begin()
  local faults = Faults.new(service, warn)
  gates[service] = {
    limiter = limiter, faults = faults,
    rules = Rules.new(limiter, options.marking), poller = Poller.new(limiter, options, faults, clock),
  }
end

-- Reads the clock for a call, and begins to tick anew if that has ended; see `tick_on`.
local ticked, tick_on = latest, nil

local function begin_call()
  if clock() - ticked <= WATCH_S then
    return
  end
  for _, gate in pairs(gates) do
    gate.faults:say("ticks stand still", string.format("none for %.1f s, they begin anew", latest - ticked))
  end
  tick_on()
end

-- str,lua.tidegate(SERVICE): see Rules:decide for its input and result.
local unknown = {}
core.register_converters("tidegate", function(request, service)
  local gate = gates[service]
  if gate then
    begin_call()
    return gate.rules:decide(request)
  elseif not unknown[service] then
    unknown[service] = true
    warn(string.format("tidegate: %s is not in TIDEGATE_SERVICES, so it has no limit", service))
  end
  return 0
end)

-- lua.tidegate_class(SERVICE): the number of the class that a request has by its headers; 0: of none.
core.register_fetches("tidegate_class", function(txn, service)
  local gate = gates[service]
  return gate and gate.rules:number_by_headers(function(name, value)
    local last = txn.f:req_fhdr(name)
    local lines = last and value and txn.f:req_fhdr_cnt(name) or 1
    if lines == 1 then
      return last
    end
    local all = {}
    for line = 1, lines do
      all[line] = txn.f:req_fhdr(name, line)
    end
    return all
  end) or 0
end)

-- str,lua.tidegate_quota(SERVICE): the limit of that request in whole requests per second.
-- str(SERVICE),lua.tidegate_quota: that of the service.
core.register_converters("tidegate_quota", function(said, service)
  local gate = gates[service or said]
  if not gate then
    return 0
  end
  begin_call()
  return gate.rules:quota(service and said)
end)

core.register_service("tidegate_metrics", "http", function(applet)
  begin_call()
  local text = metrics.exposition(options.services, gates)
  applet:set_status(200)
  applet:add_header("content-type", "text/plain; version=0.0.4; charset=utf-8")
  applet:add_header("content-length", tostring(#text))
  applet:start_response()
  applet:send(text)
end)

-- Passes: in the stick table `tidegate_books` of haproxy.cfg, and the map that TIDEGATE_BOOKS names.
for _, gate in pairs(options.books and gates or {}) do
  gate.books = Books.new(gate.rules, function(key, value)
    core.set_map(options.books, key, string.format("%d", value))
  end, function(value)
    local entry = core.backends.tidegate_books.stktable:lookup(string.format("%d", value))
    return entry and entry.gpc0 or 0
  end)
end

-- Says that a lease has aged, once.
local function watch_stage(gate)
  local stage, limit, age_s = gate.limiter:standing()
  if stage and stage ~= gate.stage and stage ~= "fresh" then
    local text = "its lease is %.1f s old: stage %s, limit %.15g rps"
    gate.faults:say("stale", text:format(age_s, stage, limit))
  elseif stage == "fresh" then
    gate.faults:over("stale")
  end
  gate.stage = stage
end

local function tick(gate)
  gate.poller:watch()
  gate.limiter:tune()
  watch_stage(gate)
  if gate.books then
    local well, why = pcall(gate.books.tick, gate.books)
    if not well then
      gate.books:abandon()
      gate.books = nil
      gate.faults:say("no passes", tostring(why))
    end
  end
end

-- Updates stages and windows also without requests, and while a poll hangs; and watches the pollers. A
-- task ends for good where Lua fails outside of a `pcall`, or a limit of HAProxy ends it: a request that
-- finds no tick for WATCH_S begins another one.
local tasks = 0

function tick_on()
  tasks, ticked = tasks + 1, clock()
  local number = tasks
  core.register_task(function()
    while tasks == number do
      ticked = clock()
      for _, gate in pairs(gates) do
        local well, why = pcall(tick, gate)
        gate.faults:over("ticks stand still")
        if well then
          gate.faults:over("tick failed")
        else
          gate.faults:say("tick failed", tostring(why))
        end
      end
      core.msleep(TICK_MS)
    end
  end)
end

-- HAProxy knows its node name only when tasks run.
core.register_task(function()
  pcall(function()
    local node = tostring(core.get_info().node or core.get_info().Node or "haproxy")
    options.named(node)
    math.randomseed(core.now().usec + #node)
  end)
  tick_on()
end)
