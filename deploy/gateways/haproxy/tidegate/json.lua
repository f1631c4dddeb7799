-- A strict JSON parser (RFC 8259): a truncated text, or anything after the value, is an error.
-- HAProxy's own json_query reads single values, and does not notice a body that ends too early.

local json = { null = setmetatable({}, { __tostring = function() return "null" end }) }

local MOST_DEPTH = 16
local ESCAPED = {
  ['"'] = '"', ["\\"] = "\\", ["/"] = "/",
  b = "\b", f = "\f", n = "\n", r = "\r", t = "\t",
}

local value -- (text, at, depth) -> value, position behind it

local function fail(what, at)
  error({ json = string.format("%s at byte %d", what, at) })
end

local function behind_space(text, at)
  return text:match("^[ \t\r\n]*()", at)
end

local function code_unit(text, at)
  local digits = text:match("^\\u(%x%x%x%x)", at)
  return digits and tonumber(digits, 16)
end

local function unicode(text, at)
  local unit = code_unit(text, at) or fail("a wrong escape", at)
  if unit < 0xD800 or unit > 0xDFFF then
    return utf8.char(unit), at + 6
  end
  local low = code_unit(text, at + 6)
  if unit > 0xDBFF or not low or low < 0xDC00 or low > 0xDFFF then
    fail("half of a surrogate pair", at)
  end
  return utf8.char(0x10000 + (unit - 0xD800) * 0x400 + (low - 0xDC00)), at + 12
end

local function text_at(text, at)
  local parts, from = {}, at + 1
  while true do
    local stop = text:find('[%z\1-\31"\\]', from) or fail("a string without its end", at)
    parts[#parts + 1] = text:sub(from, stop - 1)
    local mark = text:sub(stop, stop)
    if mark == '"' then
      return table.concat(parts), stop + 1
    elseif mark ~= "\\" then
      fail("a control character", stop)
    end
    local kind = text:sub(stop + 1, stop + 1)
    if kind == "u" then
      parts[#parts + 1], from = unicode(text, stop)
    else
      parts[#parts + 1] = ESCAPED[kind] or fail("a wrong escape", stop)
      from = stop + 2
    end
  end
end

local function number_at(text, at)
  local stop = text:match("^-?%d+()", at) or fail("no value", at)
  if text:find("^-?0%d", at) then
    fail("a number with a leading zero", at)
  end
  stop = text:match("^%.%d+()", stop) or stop
  stop = text:match("^[eE][+-]?%d+()", stop) or stop
  return tonumber(text:sub(at, stop - 1)) + 0.0, stop
end

local function list_at(text, at, depth)
  local list, from = {}, behind_space(text, at + 1)
  if text:sub(from, from) == "]" then
    return list, from + 1
  end
  while true do
    list[#list + 1], from = value(text, from, depth + 1)
    local mark = text:sub(from, from)
    if mark == "]" then
      return list, from + 1
    elseif mark ~= "," then
      fail("no , or ]", from)
    end
    from = from + 1
  end
end

local function object_at(text, at, depth)
  local object, from = {}, behind_space(text, at + 1)
  if text:sub(from, from) == "}" then
    return object, from + 1
  end
  while true do
    from = behind_space(text, from)
    if text:sub(from, from) ~= '"' then
      fail("no name", from)
    end
    local name
    name, from = text_at(text, from)
    if object[name] ~= nil then
      fail("a name twice", from)
    end
    from = behind_space(text, from)
    if text:sub(from, from) ~= ":" then
      fail("no :", from)
    end
    object[name], from = value(text, from + 1, depth + 1)
    local mark = text:sub(from, from)
    if mark == "}" then
      return object, from + 1
    elseif mark ~= "," then
      fail("no , or }", from)
    end
    from = from + 1
  end
end

local WORDS = { ["true"] = true, ["false"] = false, null = json.null }

function value(text, at, depth)
  if depth > MOST_DEPTH then
    fail("too deep", at)
  end
  local found
  at = behind_space(text, at)
  local mark = text:sub(at, at)
  if mark == "{" then
    found, at = object_at(text, at, depth)
  elseif mark == "[" then
    found, at = list_at(text, at, depth)
  elseif mark == '"' then
    found, at = text_at(text, at)
  elseif mark:find("%a") then
    local word = text:match("^%a+", at)
    found, at = WORDS[word], at + #word
    if found == nil then
      fail("no value", at - #word)
    end
  else
    found, at = number_at(text, at)
  end
  return found, behind_space(text, at)
end

-- Return the value of the whole text; or nil and what is wrong with it. Numbers are floats, null
-- is json.null.
function json.read(text)
  local well, found, at = pcall(value, text, 1, 1)
  if not well then
    return nil, type(found) == "table" and found.json or tostring(found)
  elseif at <= #text then
    return nil, string.format("more at byte %d", at)
  end
  return found
end

-- Return text as a JSON string.
function json.quoted(text)
  return '"' .. text:gsub('[%z\1-\31"\\]', function(one)
    return string.format("\\u%04x", one:byte())
  end) .. '"'
end

return json
