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
local Limiter = require("tidegate.limiter")
local Poller = require("tidegate.poller")
local metrics = require("tidegate.metrics")

local TICK_MS = 100

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

local function warn(text)
  core.log(core.warning, text)
end

local pollers, limiters = {}, {}
for _, service in ipairs(options.services) do
  limiters[service] = Limiter.new(service, options, clock())
  pollers[service] = Poller.new(limiters[service], options, Faults.new(service, warn), clock)
end

-- str,lua.tidegate(SERVICE): see Limiter:decide for its input and result.
local unknown = {}
core.register_converters("tidegate", function(request, service)
  local limiter = limiters[service]
  if limiter then
    return limiter:decide(request, clock())
  elseif not unknown[service] then
    unknown[service] = true
    warn(string.format("tidegate: %s is not in TIDEGATE_SERVICES, so it has no limit", service))
  end
  return 0
end)

-- lua.tidegate_class(SERVICE): the number of the class that a request has by its headers; 0: of none.
core.register_fetches("tidegate_class", function(txn, service)
  local limiter = limiters[service]
  return limiter and limiter:class_by_headers(function(name)
    return txn.f:req_fhdr(name)
  end) or 0
end)

-- str(SERVICE),lua.tidegate_quota: the limit of the service in whole requests per second.
core.register_converters("tidegate_quota", function(service)
  return limiters[service] and limiters[service]:quota() or 0
end)

core.register_service("tidegate_metrics", "http", function(applet)
  local text = metrics.exposition(pollers, clock())
  applet:set_status(200)
  applet:add_header("content-type", "text/plain; version=0.0.4; charset=utf-8")
  applet:add_header("content-length", tostring(#text))
  applet:start_response()
  applet:send(text)
end)

for _, poller in pairs(pollers) do
  core.register_task(function()
    local node = tostring(core.get_info().node or core.get_info().Node or "haproxy")
    options.named(node)
    math.randomseed(core.now().usec + #node)
    poller:run()
  end)
end

-- Passes: in the stick table `tidegate_books` of haproxy.cfg, and the map that TIDEGATE_BOOKS names.
local books = {}
for service, limiter in pairs(options.books and limiters or {}) do
  books[service] = Books.new(limiter, function(key, value)
    core.set_map(options.books, key, string.format("%d", value))
  end, function(value)
    local entry = core.backends.tidegate_books.stktable:lookup(string.format("%d", value))
    return entry and entry.gpc0 or 0
  end)
end

-- Updates stages and windows also without requests, and while a poll hangs.
core.register_task(function()
  while true do
    local now = clock()
    for service, limiter in pairs(limiters) do
      local before = limiter.stage
      if now >= limiter.changes_at then
        limiter:restage(now)
      end
      if limiter.stage ~= before and limiter.stage ~= "fresh" then
        local text = "its lease is %.1f s old: stage %s, limit %.15g rps"
        pollers[service].faults:say("stale", text:format(now - limiter.heard, limiter.stage, limiter.rps))
      elseif limiter.stage == "fresh" then
        pollers[service].faults:over("stale")
      end
      limiter.clients:turn(now)
      if books[service] then
        local well, why = pcall(books[service].tick, books[service], now)
        if not well then
          books[service] = nil
          pollers[service].faults:say("no passes", tostring(why))
        end
      end
    end
    core.msleep(TICK_MS)
  end
end)
