-- The lease: parsed and checked, and the limit that it means at a given age, as in
-- scaler/limits/lease.py:
--
--   age    0          valid_for_s          last step + valid_for_s      + max_stale_s
--   stage  fresh      schedule             safe                         open or closed
--   limit  rps        the last step due    safe_rps                     inf or 0
--
-- While the lease is fresh it follows the falls of the schedule, not its rises.

local json = require("tidegate.json")

local lease = {}

-- Larger values than these are mistakes of units.
local MOST_RPS = 1e9
local MOST_AGE_S = 7 * 24 * 3600.0
local MOST_VERSION = 1e15
local ROUNDED = 0.01

local function refuse(...)
  error({ refused = string.format(...) })
end

local function field(body, name, kind)
  local found = body[name]
  if type(found) ~= kind or found == json.null then
    refuse("%s is %s, but must be a %s", name, found == nil and "missing" or tostring(found), kind)
  end
  return found
end

local function number(body, name, most, least)
  local found = field(body, name, "number")
  -- Written this way round because NaN fails every comparison.
  if not (found >= (least or 0) and found <= most) then
    refuse("%s is %g, but must be in [%g, %g]", name, found, least or 0, most)
  end
  return found
end

local function optional(body, name, kind)
  if body[name] == nil or body[name] == json.null then
    return nil
  end
  return field(body, name, kind)
end

local function optional_number(body, name, most, least)
  return optional(body, name, "number") and number(body, name, most, least)
end

local function one_of(body, name, this, that)
  local found = field(body, name, "string")
  if found ~= this and found ~= that then
    refuse("%s is %q, but must be %s or %s", name, found, this, that)
  end
  return found
end

local function schedule_of(body)
  local steps, before = {}, 0
  for _, told in ipairs(field(body, "schedule", "table")) do
    local step = { in_s = number(told, "in_s", MOST_AGE_S), rps = number(told, "rps", MOST_RPS) }
    if step.in_s <= before then
      refuse("schedule has a step at %g s after %g s, but steps must ascend", step.in_s, before)
    end
    steps[#steps + 1], before = step, step.in_s
  end
  return steps
end

local function classes_of(body)
  local classes, known = {}, {}
  for _, told in ipairs(field(body, "classes", "table")) do
    local name = field(told, "name", "string")
    if known[name] then
      refuse("class %q is there twice", name)
    end
    known[name] = true
    local class = {
      name = name,
      priority = number(told, "priority", MOST_RPS),
      guaranteed_rps = number(told, "guaranteed_rps", MOST_RPS),
      rps = number(told, "rps", MOST_RPS),
      ceiling_rps = number(told, "ceiling_rps", MOST_RPS),
      last = one_of(told, "then", "open", "closed"),
    }
    if type(told.match) == "table" and told.match ~= json.null then
      class.header = field(told.match, "header", "string"):lower()
      class.value = optional(told.match, "value", "string")
    end
    classes[#classes + 1] = class
  end
  table.sort(classes, function(a, b)
    return a.priority < b.priority or a.priority == b.priority and a.name < b.name
  end)
  return classes
end

local function per_client_of(body)
  local told = body.per_client
  if told == nil or told == json.null then
    return nil
  end
  field(body, "per_client", "table")
  return {
    rps = optional_number(told, "rps", MOST_RPS),
    burst = math.max(1, number(told, "burst", MOST_RPS)),
    abusive_above_rps = optional_number(told, "abusive_above_rps", MOST_RPS),
    abusive_rps = optional_number(told, "abusive_rps", MOST_RPS),
  }
end

local function read(text, service)
  local body, why = json.read(text)
  if type(body) ~= "table" then
    refuse("it is not JSON: %s", why or "no object")
  elseif body.schema ~= 1 then
    refuse("schema is %s, but only 1 is known here; update tidegate.lua", tostring(body.schema))
  elseif body.service ~= service then
    refuse("it is of %s, but %s was asked for", tostring(body.service), service)
  end
  local on_expiry, share = field(body, "on_expiry", "table"), field(body, "share", "table")
  return {
    version = number(body, "version", MOST_VERSION),
    epoch = field(body, "epoch", "string"),
    enforced = one_of(body, "mode", "enforce", "recommend") == "enforce",
    valid_for_s = number(body, "valid_for_s", MOST_AGE_S, 0.001),
    refresh_s = number(body, "refresh_s", 3600, 0.001),
    safe_rps = number(on_expiry, "safe_rps", MOST_RPS),
    max_stale_s = number(on_expiry, "max_stale_s", MOST_AGE_S),
    last = one_of(on_expiry, "then", "open", "closed"),
    rps = number(share, "rps", MOST_RPS),
    burst = math.max(1, number(share, "burst", MOST_RPS)),
    spare_rps = number(body, "spare_rps", MOST_RPS),
    schedule = schedule_of(body),
    classes = classes_of(body),
    -- An endpoint of version 0.1 does not say.
    client_window_s = optional_number(body, "client_window_s", MOST_AGE_S, 0.001),
    per_client = per_client_of(body),
  }
end

-- Return the lease in a body; or nil and why it is refused, so that the current one stays in use.
function lease.received(held, text, service)
  local well, found = pcall(read, text, service)
  if not well then
    return nil, type(found) == "table" and found.refused or tostring(found)
  end
  if held and held.epoch == found.epoch and found.version < held.version then
    local text = "version %.0f came after version %.0f; a limit never goes back"
    return nil, text:format(found.version, held.version)
  end
  return found
end

-- Return stage and limit at an age in seconds, and the age at which either may change.
function lease.at(held, age_s)
  local steps = held.schedule
  local scheduled, next_step_s = held.rps, math.huge
  for _, step in ipairs(steps) do
    if step.in_s > age_s then
      next_step_s = step.in_s
      break
    end
    scheduled = step.rps
  end
  local ends_s = held.valid_for_s + (#steps > 0 and steps[#steps].in_s or 0)
  if age_s < held.valid_for_s then
    return "fresh", math.min(held.rps, scheduled), math.min(held.valid_for_s, next_step_s)
  elseif age_s < ends_s then
    return "schedule", scheduled, math.min(ends_s, next_step_s)
  elseif age_s < ends_s + held.max_stale_s then
    return "safe", held.safe_rps, ends_s + held.max_stale_s
  end
  return held.last, held.last == "open" and math.huge or 0, math.huge
end

-- Give each class what it wants, in order of priority; equal priorities shrink in proportion. Return
-- the rest.
local function hand_out(classes, left, wants, given)
  local first = 1
  while first <= #classes do
    local last, wanted = first, wants[first]
    while classes[last + 1] and classes[last + 1].priority == classes[first].priority do
      last = last + 1
      wanted = wanted + wants[last]
    end
    local part = wanted > left and left / wanted or 1
    for i = first, last do
      given[i] = (given[i] or 0) + wants[i] * part
    end
    left, first = math.max(0, left - wanted), last + 1
  end
  return left
end

-- Return each class's own rate at a limit, its ceiling, and the spare. A limit below the sum of the
-- rates keeps guarantees first; what exceeds the sum is spare. As in scaler/gateway/class_parts.py.
function lease.parts(held, rps)
  local classes, kept, beyond, given, ceilings = held.classes, {}, {}, {}, {}
  for i, one in ipairs(classes) do
    kept[i], beyond[i] = one.guaranteed_rps, math.max(0, one.rps - one.guaranteed_rps)
  end
  local spare = hand_out(classes, hand_out(classes, rps, kept, given), beyond, given)
  for i, one in ipairs(classes) do
    -- Rates are rounded: a ceiling that is about rate and spare is no ceiling, and moves with the limit.
    local bound = one.ceiling_rps < one.rps + held.spare_rps - ROUNDED
    local most = given[i] + spare
    ceilings[i] = bound and math.min(one.ceiling_rps, most) or most
  end
  return given, ceilings, spare
end

return lease
