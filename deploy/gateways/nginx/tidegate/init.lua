-- The entry points of tidegate's rate limit in nginx. ../tidegate.conf shows where each is called.

local answers = require "tidegate.core.answers"
local gate = require "tidegate.gate"
local metrics = require "tidegate.metrics"
local options_of = require "tidegate.options"
local poller = require "tidegate.poller"

local _M = {}

local gates, by_service = {}, {}

-- For init_by_lua: configures the limit of one service. Call it once for each service.
-- Raises: an error that names every invalid option, so that nginx does not start.
function _M.setup(given)
    local options = options_of(given)
    if by_service[options.service] then
        error("tidegate.setup: " .. options.service .. " is set up already", 0)
    end
    for _, name in ipairs({ "tidegate", "tidegate_clients", "tidegate_newcomers" }) do
        if not ngx.shared[name] then
            error("tidegate.setup: nginx.conf has no `lua_shared_dict " .. name .. "`", 0)
        end
    end
    local new = gate.new(options)
    gates[#gates + 1], by_service[options.service] = new, new
end

-- For init_worker_by_lua.
function _M.start()
    for _, one in ipairs(gates) do
        poller.start(one)
    end
end

-- Sets the RateLimit fields, unless there is no limit.
local function say(limit, left, wait)
    ngx.header["RateLimit-Policy"] = answers.policy(limit)
    ngx.header["RateLimit"] = answers.limit(limit, left, wait)
end

local complained = {}

-- Returns the limit that a call of `check` refers to; nil for an unknown service, logged once.
local function gate_of(service)
    local found = by_service[service or (#gates == 1 and gates[1].service)]
    if not found and not complained[service or ""] then
        complained[service or ""] = true
        ngx.log(ngx.ERR, "tidegate.check(", service or "", ") limits nothing: ",
            "name one of the services that setup was called for")
    end
    return found
end

local function decide(this)
    poller.watch(this)
    return this:decide()
end

-- For access_by_lua: lets the request pass, or ends it with 429.
--
-- service: needed if there are several.
function _M.check(service)
    local this = gate_of(service)
    -- A request that was checked before is not checked again: subrequests, and internal redirects
    -- (error_page, try_files, index). `rewrite` makes a request internal too, but before the check.
    if not this or ngx.is_subrequest or (ngx.req.is_internal() and ngx.header["RateLimit-Policy"]) then
        return
    end
    local ok, wait, left, limit = pcall(decide, this)
    if not ok then
        -- An error in this code must not become an outage of the service.
        this:said("request", "an error in tidegate, the request is admitted", tostring(wait))
        return
    end
    if wait == 0 or this.limiter:is_dry() then
        if this.options.ratelimit_fields then
            say(limit, left, wait)
        end
        return
    end
    say(limit, left, wait)
    ngx.header["Retry-After"] = answers.retry_after(wait)
    return ngx.exit(429)
end

local function watch_all()
    for _, one in ipairs(gates) do
        poller.watch(one)
    end
end

-- For content_by_lua.
function _M.metrics()
    watch_all()
    ngx.header["Content-Type"] = "text/plain; version=0.0.4; charset=utf-8"
    ngx.print(metrics.exposition(gates))
end

function _M.status()
    watch_all()
    ngx.header["Content-Type"] = "application/json"
    ngx.print(metrics.status(gates))
end

return _M
