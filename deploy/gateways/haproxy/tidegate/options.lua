-- The options, from environment variables that `setenv` and `presetenv` lines of haproxy.cfg set.
-- HAProxy does not start with an invalid one.

local options = {}

local INSTANCE = "^[%w][%w._:%-]*$"

local function wrong(name, value, rule)
  error(string.format("%s is %q, but it must be %s", name, tostring(value), rule), 0)
end

local function number(get, name, default, least, most)
  local text = get(name)
  if not text or text == "" then
    return default
  end
  local value = tonumber(text)
  if not value or not (value >= least and value <= most) then
    wrong(name, text, string.format("a number from %g to %g", least, most))
  end
  return value
end

local function switch(get, name)
  local text = get(name) or ""
  if text ~= "" and text ~= "0" and text ~= "1" then
    wrong(name, text, "0 or 1")
  end
  return text == "1"
end

local function first_rps(get)
  local name = "TIDEGATE_WITHOUT_LEASE"
  local text = get(name) or ""
  if text == "" or text == "open" then
    return math.huge
  elseif text == "closed" then
    return 0
  end
  local value = tonumber(text)
  if not value or not (value >= 0 and value <= 1e9) then
    wrong(name, text, "open, closed or requests per second")
  end
  return value
end

local function read_token(path)
  local file, why = io.open(path, "r")
  if not file then
    return nil, why
  end
  local token = file:read("l") or ""
  file:close()
  if not token:find("^[%w%-._~+/]+=*$") then
    return nil, "its first line is not a bearer token"
  end
  return token
end

local function services_of(get)
  local services = {}
  for service in (get("TIDEGATE_SERVICES") or ""):gmatch("%S+") do
    if not service:find("^[%w%-.]+/[%w%-.]+$") then
      wrong("TIDEGATE_SERVICES", service, "namespace/name, with spaces between several")
    end
    services[#services + 1] = service
  end
  if #services == 0 then
    wrong("TIDEGATE_SERVICES", "", "namespace/name, with spaces between several")
  end
  return services
end

-- Return the headers that the rules check before a request may take a pass.
local function marking_of(get)
  local marking = {}
  for header in (get("TIDEGATE_BOOKS_HEADERS") or "x-stress-test"):gmatch("%S+") do
    marking[header:lower()] = true
  end
  return marking
end

-- Return the options; `get` is os.getenv.
function options.from_environment(get)
  local endpoint = (get("TIDEGATE_ENDPOINT") or ""):gsub("/+$", "")
  if not endpoint:find("^https?://[^/%s]+") then
    wrong("TIDEGATE_ENDPOINT", endpoint, "http://host:port or https://host:port")
  end
  local instance = get("TIDEGATE_INSTANCE") or ""
  if instance ~= "" and (not instance:find(INSTANCE) or #instance > 128) then
    wrong("TIDEGATE_INSTANCE", instance, "1 to 128 letters, digits and . _ : -")
  end
  local path, token = get("TIDEGATE_TOKEN_FILE") or "", nil
  if path ~= "" then
    local why
    token, why = read_token(path)
    if not token then
      wrong("TIDEGATE_TOKEN_FILE", path, "a readable file with a token: " .. why)
    end
  end
  local via = get("TIDEGATE_VIA") or ""
  if via ~= "" and endpoint:find("^https:") then
    wrong("TIDEGATE_ENDPOINT", endpoint, "http:// with TIDEGATE_VIA; TLS is its server line's")
  end
  return {
    endpoint = endpoint,
    via = via ~= "" and via or nil,
    services = services_of(get),
    books = get("TIDEGATE_BOOKS") ~= "" and get("TIDEGATE_BOOKS") or nil,
    marking = marking_of(get),
    dry_run = switch(get, "TIDEGATE_DRY_RUN"),
    first_rps = first_rps(get),
    most_clients = number(get, "TIDEGATE_MOST_CLIENTS", 20000, 1, 1e6),
    instance = function() return instance end,
    -- HAProxy knows its node name only after the start.
    named = function(node)
      if instance == "" then
        instance = node:gsub("[^%w._:%-]", "-"):gsub("^[^%w]+", "")
      end
    end,
    token = function() return token end,
    -- In a chroot the file cannot be read any more; the token from the start is kept then.
    renew_token = function()
      token = path ~= "" and read_token(path) or token
    end,
  }
end

return options
