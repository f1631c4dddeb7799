-- Answers on stdout, a line for each line on stdin: what HAProxy's Lua makes of a lease or a request.
--   lease JSON            -> ok | refused REASON
--   at AGE                -> STAGE LIMIT, of the lease before
--   parts RPS             -> SPARE, then OWN CEILING of each class
--   bucket RPS BURST      -> ok, a new one
--   rate RPS BURST NOW    -> ok, the same one from now on
--   reserve REQUESTS      -> ok, so much of its room is kept; below 0: is free again
--   ask NOW               -> seconds to wait; 0: it has passed
--   class NAME=VALUE ...  -> the class of a request with these headers, by the lease before; or none

package.path = arg[1] .. "/?.lua;" .. package.path
local leases = require("tidegate.lease")
local bucket = require("tidegate.bucket")
local Limiter = require("tidegate.limiter")

local held, one
local does = {
  lease = function(text)
    local found, why = leases.received(nil, text, "prod/shop")
    held = found
    return found and "ok" or "refused " .. why:gsub("%s+", " ")
  end,
  at = function(text)
    local stage, rps = leases.at(held, tonumber(text))
    return string.format("%s %.17g", stage, rps)
  end,
  parts = function(text)
    local parts, ceilings, spare = leases.parts(held, tonumber(text))
    local told = { string.format("%.17g", spare) }
    for i, class in ipairs(held.classes) do
      told[#told + 1] = string.format("%s %.17g %.17g", class.name, parts[i], ceilings[i])
    end
    return table.concat(told, " ")
  end,
  bucket = function(text)
    local rps, burst = text:match("(%S+) (%S+)")
    one = bucket.new(tonumber(rps), tonumber(burst))
    return "ok"
  end,
  rate = function(text)
    local rps, burst, now = text:match("(%S+) (%S+) (%S+)")
    bucket.set(one, tonumber(rps), tonumber(burst), tonumber(now))
    return "ok"
  end,
  class = function(text)
    local limiter, headers = Limiter.new("prod/shop", { client_window_s = 60, most_clients = 10, first_rps = 1 }, 0), {}
    for name, value in text:gmatch("(%S+)=(%S*)") do
      headers[name] = value
    end
    limiter:renew(held, 0, 0)
    local number = limiter:class_by_headers(function(name) return headers[name] end)
    return string.format("%s %g", limiter.by_number[number] or "none", limiter.clients.window_s)
  end,
  reserve = function(text)
    bucket.reserve(one, tonumber(text))
    return "ok"
  end,
  ask = function(text)
    local now = tonumber(text)
    local wait = bucket.wait(one, now)
    if wait == 0 then
      bucket.take(one, now)
    end
    return string.format("%.17g", wait)
  end,
}
for line in io.lines() do
  local what, text = line:match("^(%a+) ?(.*)$")
  io.write(does[what](text), "\n")
end
