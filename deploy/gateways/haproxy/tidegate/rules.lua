-- What the rules of haproxy.cfg hand over: a request as one text, and a class as a number.

local answers = require("tidegate.core.answers")
local classes = require("tidegate.core.classes")

local find, floor, INF = string.find, math.floor, math.huge
local COMMA, SPACE, EQUALS = 44, 32, 61
local MOST_NAME = 200 -- bytes of a client's name that are used

local Rules = {}
Rules.__index = Rules

-- Args: limiter: of the core; checked: the headers with which the rules give no pass, as keys.
function Rules.new(limiter, checked)
  local made = { limiter = limiter, checked = checked, headers = {}, numbers = {}, by_number = {} }
  return setmetatable(made, Rules)
end

-- Return the current lease; the headers by which its classes are known whatever they say follow it.
local function held(self)
  local lease = self.limiter:held()
  if lease ~= self.lease then
    local headers = {}
    for _, class in ipairs(lease and lease.matches or {}) do
      headers[#headers + 1] = not class.value and { name = class.header, class = class.name } or nil
    end
    self.lease, self.headers = lease, headers
  end
  return lease
end

-- Whether the lease knows a class by the value of a header, which the rules do not pass to Lua.
function Rules:knows_values()
  local lease = held(self)
  return lease ~= nil and #lease.matches > #self.headers
end

-- Whether the rules in haproxy.cfg check all headers by which the lease recognises classes.
function Rules:check_all()
  held(self)
  for _, one in ipairs(self.headers) do
    if not self.checked[one.name] then
      return false
    end
  end
  return true
end

-- Return the number of the class that a request has by its headers, 0 for none. A number never becomes
-- another class's.
--
-- Args: values_of: see `classes.by_headers`.
function Rules:number_by_headers(values_of)
  local lease = held(self)
  local class = lease and classes.by_headers(lease, values_of)
  if not class then
    return 0
  elseif not self.numbers[class.name] then
    local number = #self.by_number + 1
    self.numbers[class.name], self.by_number[number] = number, class.name
  end
  return self.numbers[class.name]
end

-- Return the class whose header is among the header names of a request, "a,b,c ".
local function by_name(headers, names, stop)
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

-- Return class and client of a request, "NAMES CLASS CLIENT": the names of its headers, separated by
-- commas, then its class and its client, either of which may be empty. A class is a name, or "=" and
-- the number that `number_by_headers` has returned, which is the last word.
local function read(self, request)
  held(self)
  local first = find(request, " ", 1, true)
  local second = find(request, " ", first + 1, true)
  local class
  if request:byte(first + 1) == EQUALS then
    class = self.by_number[tonumber(request:sub(first + 2, second - 1))]
  elseif self.headers[1] then
    class = by_name(self.headers, request, first)
  end
  if not class and second > first + 1 then
    class = request:sub(first + 1, second - 1)
  end
  return class, second < #request and request:sub(second + 1, second + MOST_NAME) or nil
end

-- Decide on one request, as `read` has it.
--
-- Returns n > 0 if it is admitted, n - 1 more would be, and a second later one more still; n < 0 if it
-- is refused for -n seconds; 0 if it is admitted otherwise: without a limit, or with one below one a
-- second. The result is a number because HAProxy 2.6 might read a string
-- after another thread has garbage-collected it.
function Rules:decide(request)
  local limiter = self.limiter
  local class, client = read(self, request)
  local wait, left, limit = limiter:decide(class, client)
  if wait > 0 then
    return limiter:is_dry() and 0 or -answers.retry_after(wait)
  end
  return limit >= 1 and limit < INF and 1 + answers.whole(left) or 0
end

-- Return the limit of a request as a whole number, for RateLimit-Policy: its client's or its class's, or
-- that of the service where the rules do not say which request.
function Rules:quota(request)
  local class, client
  if request then
    class, client = read(self, request)
  end
  local limit = self.limiter:limit_told(class, client)
  return limit < INF and floor(answers.quota(limit)) or 0
end

return Rules
