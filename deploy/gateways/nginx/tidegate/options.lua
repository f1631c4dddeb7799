-- The options of `setup`, checked; nginx does not start with an invalid one.

local wire = require "tidegate.wire"

local function text(value)
    return type(value) == "string" and value ~= "", "text"
end

local function yes_no(value)
    return type(value) == "boolean", "true or false"
end

local function variable(value)
    return type(value) == "string" and value:match("^[%w_]*$") ~= nil,
        "the name of an nginx variable, without the $"
end

local function endpoint(value)
    return type(value) == "string" and wire.endpoint(value) ~= nil, "http(s)://host or http(s)://host:port"
end

local function service(value)
    return type(value) == "string" and value:match("^[%w%-.]+/[%w%-.]+$") ~= nil, "namespace/name"
end

local function instance(value)
    return type(value) == "string" and #value <= 128 and value:match("^%w[%w._:%-]*$") ~= nil,
        "1 to 128 letters, digits and . _ : -"
end

local function without_lease(value)
    return value == "open" or value == "closed", '"open" or "closed"'
end

local function hostname()
    local file = io.open("/proc/sys/kernel/hostname")
    local name = file and file:read("*l")
    if file then
        file:close()
    end
    return name
end

-- name, rule, default (nil: required; false: none)
local KNOWN = {
    { "endpoint", endpoint },
    { "service", service },
    { "instance", instance, hostname() },
    { "token_file", text, false },
    { "tls_verify", yes_no, true },
    { "tls_server_name", text, false },
    { "dry_run", yes_no, false },
    { "without_lease", without_lease, "open" },
    { "class_variable", variable, "tidegate_class" },
    { "client_variable", variable, "binary_remote_addr" },
    { "ratelimit_fields", yes_no, true },
}

-- Returns the options with their defaults.
-- Raises: an error that names every invalid option, its value and the rule.
return function(given)
    local options, faults, known = {}, {}, {}
    for _, entry in ipairs(KNOWN) do
        local name, rule, default = unpack(entry)
        known[name] = true
        local value = given[name]
        if value == nil then
            value = default
        end
        options[name] = value
        if value == nil or given[name] ~= nil then
            local ok, needed = rule(value)
            if not ok then
                local found = value == nil and "missing" or tostring(value)
                faults[#faults + 1] = name .. " is " .. found .. ", but it must be " .. needed
            end
        end
    end
    for name in pairs(given) do
        if not known[name] then
            faults[#faults + 1] = tostring(name) .. " is not an option; see the table in README.md"
        end
    end
    if #faults > 0 then
        table.sort(faults)
        error("tidegate.setup is wrong:\n    " .. table.concat(faults, "\n    "), 0)
    end
    return options
end
