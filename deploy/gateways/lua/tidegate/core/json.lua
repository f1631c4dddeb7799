-- JSON as a lease must be written, so that readers in all languages read the same: I-JSON (RFC 7493).
--
-- A text that is cut off, has more behind it, is not UTF-8, names something twice in an object, has
-- half of a surrogate pair or is nested without end is no JSON. As in scaler/gateway/strict_json.py.
-- Numbers are floats, lists are told from objects, and null is `json.null`.

local byte, char, find, match, sub = string.byte, string.char, string.find, string.match, string.sub
local floor, format = math.floor, string.format

local json = { null = setmetatable({}, { __tostring = function() return "null" end }) }

local MAX_DEPTH = 32
local LIST = {} -- the metatable of lists

local ESCAPED = {
    ['"'] = '"', ["\\"] = "\\", ["/"] = "/",
    b = "\b", f = "\f", n = "\n", r = "\r", t = "\t",
}
local WORDS = { ["true"] = true, ["false"] = false, null = json.null }

-- The forms of a character beyond ASCII (RFC 3629, 4).
local UTF8 = {
    "^[\194-\223][\128-\191]()",
    "^\224[\160-\191][\128-\191]()",
    "^[\225-\236\238\239][\128-\191][\128-\191]()",
    "^\237[\128-\159][\128-\191]()",
    "^\240[\144-\191][\128-\191][\128-\191]()",
    "^[\241-\243][\128-\191][\128-\191][\128-\191]()",
    "^\244[\128-\143][\128-\191][\128-\191]()",
}

-- Marks a table as a list, which an empty table does not show.
function json.list(items)
    return setmetatable(items, LIST)
end

function json.is_list(value)
    return type(value) == "table" and getmetatable(value) == LIST
end

function json.is_object(value)
    return type(value) == "table" and value ~= json.null and getmetatable(value) ~= LIST
end

local value_at -- (text, at, depth) -> value, position behind it

local function fail(what, at)
    error({ json = format("%s at byte %d", what, at) })
end

local function check_utf8(text)
    local at = find(text, "[\128-\255]")
    while at do
        local behind
        for i = 1, #UTF8 do
            behind = behind or match(text, UTF8[i], at)
        end
        at = find(text, "[\128-\255]", behind or fail("no UTF-8", at))
    end
end

local function utf8_of(code)
    if code < 0x80 then
        return char(code)
    elseif code < 0x800 then
        return char(0xC0 + floor(code / 0x40), 0x80 + code % 0x40)
    elseif code < 0x10000 then
        return char(0xE0 + floor(code / 0x1000), 0x80 + floor(code / 0x40) % 0x40, 0x80 + code % 0x40)
    end
    return char(0xF0 + floor(code / 0x40000), 0x80 + floor(code / 0x1000) % 0x40,
        0x80 + floor(code / 0x40) % 0x40, 0x80 + code % 0x40)
end

local function code_unit(text, at)
    local digits = match(text, "^\\u(%x%x%x%x)", at)
    return digits and tonumber(digits, 16)
end

local function escaped_unicode(text, at)
    local unit = code_unit(text, at) or fail("a wrong escape", at)
    if unit < 0xD800 or unit > 0xDFFF then
        return utf8_of(unit), at + 6
    end
    local low = code_unit(text, at + 6)
    if unit > 0xDBFF or not low or low < 0xDC00 or low > 0xDFFF then
        fail("half of a surrogate pair", at)
    end
    return utf8_of(0x10000 + (unit - 0xD800) * 0x400 + (low - 0xDC00)), at + 12
end

local function text_at(text, at)
    local parts, from, stop = {}, at + 1, at
    while true do
        stop = find(text, '[%c"\\]', stop + 1) or fail("a string without its end", at)
        local code = byte(text, stop)
        if code == 34 then -- "
            parts[#parts + 1] = sub(text, from, stop - 1)
            return table.concat(parts), stop + 1
        elseif code == 92 then -- \
            parts[#parts + 1] = sub(text, from, stop - 1)
            local kind = sub(text, stop + 1, stop + 1)
            if kind == "u" then
                parts[#parts + 1], from = escaped_unicode(text, stop)
            else
                parts[#parts + 1] = ESCAPED[kind] or fail("a wrong escape", stop)
                from = stop + 2
            end
            stop = from - 1
        elseif code < 32 then -- a byte of another language's control characters may be one of a letter
            fail("a control character", stop)
        end
    end
end

local function number_at(text, at)
    local stop = match(text, "^-?%d+()", at) or fail("no value", at)
    if find(text, "^-?0%d", at) then
        fail("a number with a leading zero", at)
    end
    stop = match(text, "^%.%d+()", stop) or stop
    stop = match(text, "^[eE][+-]?%d+()", stop) or stop
    return tonumber(sub(text, at, stop - 1)) + 0.0, stop
end

local function behind_space(text, at)
    return match(text, "^[ \t\r\n]*()", at)
end

-- Reads items, with commas between them, until `close`; `item` reads one and returns what is behind it.
local function items_at(text, at, close, item)
    at = behind_space(text, at + 1)
    if sub(text, at, at) == close then
        return at + 1
    end
    while true do
        at = behind_space(text, item(at))
        local mark = sub(text, at, at)
        if mark == close then
            return at + 1
        elseif mark ~= "," then
            fail("no , or " .. close, at)
        end
        at = at + 1
    end
end

local function list_at(text, at, depth)
    local list = json.list({})
    return list, items_at(text, at, "]", function(from)
        list[#list + 1], from = value_at(text, from, depth + 1)
        return from
    end)
end

local function object_at(text, at, depth)
    local object = {}
    return object, items_at(text, at, "}", function(from)
        from = behind_space(text, from)
        if sub(text, from, from) ~= '"' then
            fail("no name", from)
        end
        local name, colon
        name, colon = text_at(text, from)
        if object[name] ~= nil then
            fail("a name that was there before", from)
        end
        colon = behind_space(text, colon)
        if sub(text, colon, colon) ~= ":" then
            fail("no :", colon)
        end
        object[name], from = value_at(text, colon + 1, depth + 1)
        return from
    end)
end

function value_at(text, at, depth)
    at = behind_space(text, at)
    local mark = sub(text, at, at)
    if mark == "{" or mark == "[" then
        if depth > MAX_DEPTH then
            fail("too deep", at)
        end
        return (mark == "{" and object_at or list_at)(text, at, depth)
    elseif mark == '"' then
        return text_at(text, at)
    elseif find(mark, "%a") then
        local word = match(text, "^%a+", at)
        if WORDS[word] == nil then
            fail("no value", at)
        end
        return WORDS[word], at + #word
    end
    return number_at(text, at)
end

local function decode(text)
    check_utf8(text)
    local value, at = value_at(text, 1, 1)
    at = behind_space(text, at)
    if at <= #text then
        fail("something behind the value", at)
    end
    return value
end

-- Returns the value of the whole text; or nil and why it is no JSON.
function json.decode(text)
    local well, found = pcall(decode, text)
    if well then
        return found
    end
    return nil, type(found) == "table" and found.json or tostring(found)
end

local function quoted(text)
    return '"' .. text:gsub('[%c"\\]', function(one)
        return byte(one) < 32 and format("\\u%04x", byte(one)) or byte(one) > 126 and one or "\\" .. one
    end) .. '"'
end

local function number(value)
    if value == floor(value) and value > -1e15 and value < 1e15 then
        return format("%.0f", value)
    end
    return format("%.15g", value)
end

-- Returns a value as JSON: text, a finite number, true, false, null, a list made by `json.list`, or an
-- object, whose names come in order.
function json.encode(value)
    if type(value) == "string" then
        return quoted(value)
    elseif type(value) == "number" then
        return number(value)
    elseif type(value) ~= "table" or value == json.null then
        return tostring(value)
    end
    local parts = {}
    if json.is_list(value) then
        for i, one in ipairs(value) do
            parts[i] = json.encode(one)
        end
        return "[" .. table.concat(parts, ",") .. "]"
    end
    for name in pairs(value) do
        parts[#parts + 1] = name
    end
    table.sort(parts)
    for i, name in ipairs(parts) do
        parts[i] = quoted(name) .. ":" .. json.encode(value[name])
    end
    return "{" .. table.concat(parts, ",") .. "}"
end

return json
