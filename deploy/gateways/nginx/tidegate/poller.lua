-- The poller: one worker gets the leases for all workers. No request ever waits for it.
--
-- The worker that gets the lock in the shared dict polls, and renews the lock every BEAT_S. If it
-- dies the lock expires, and another worker takes over. Each poll is a timer of its own, for a socket
-- lives no longer than the timer that opened it, and a timer frees its memory only when it ends.
--
-- Every `refresh_s` the poller sends a report, whose response is the lease. In between it long-polls
-- (`wait`), so that a change reaches all workers at once. After a fault it backs off.

local clock = require "tidegate.clock"
local json = require "tidegate.core.json"
local wire = require "tidegate.wire"

local BEAT_S, LOCK_S = 0.5, 2
local ANSWER_S = 2 -- time that a response may take, beyond the requested wait
local LEAST_PAUSE_S, MOST_PAUSE_S = 0.25, 2
local LONGEST_WAIT_S = 25
local NO_REPORTS_S = 60 -- pause after the endpoint has refused a report

local function leads(gate)
    return gate.dict:get(gate.keys.poller) == ngx.worker.pid()
end

local function headers_of(gate, etag)
    local headers = { ["If-None-Match"] = etag }
    local path = gate.options.token_file
    if path then
        -- Read each time, for tokens may be rotated.
        local file, err = io.open(path)
        local token = file and file:read("*l")
        if file then
            file:close()
        end
        token = token and token:match("^%s*(%S+)%s*$")
        if not token then
            return nil, "no token in " .. path .. (err and ": " .. err or "")
        end
        headers.Authorization = "Bearer " .. token
    end
    return headers
end

local function ask(gate, asked, etag, wait_s)
    local headers, err = headers_of(gate, etag)
    if not headers then
        return nil, err
    end
    asked.headers = headers
    return wire.request(gate.endpoint, asked, wait_s + ANSWER_S)
end

-- Takes in the response to a request that was sent at `sent`; returns true, or false and a fault:
-- what is wrong, and a detail that may vary while the fault is the same.
local function take(gate, answer, sent, etag)
    local limiter = gate.limiter
    if answer.status == 304 and etag then
        limiter:renew(sent, etag)
        return true
    elseif answer.status ~= 200 then
        local detail = answer.body:sub(1, 200):gsub("%c", " ")
        return false, { "the endpoint answers " .. answer.status, detail }
    end
    local before = limiter:held()
    local held, why = limiter:receive(answer.body, answer.headers.etag, sent)
    if why then
        return false, { "lease refused, the previous one stays in use", why }
    end
    local lease = limiter:held()
    if held and lease ~= before then
        ngx.log(ngx.NOTICE, "tidegate ", gate.service, ": limit ", lease.rps, " rps, version ",
            lease.epoch, "/", lease.version, ", ", lease.enforced and "enforce" or "recommend")
    end
    return true
end

-- The endpoint refuses reports: that is a fault, but the lease is not affected.
local function no_reports(gate, answer, now)
    gate.no_reports_until = now + NO_REPORTS_S
    ngx.log(ngx.ERR, "tidegate ", gate.service, ": the endpoint refuses reports with ",
        answer.status, " ", answer.body:sub(1, 200), "; trying again in ", NO_REPORTS_S, " s")
end

local function refused_report(status)
    return status >= 400 and status < 500 and status ~= 401 and status ~= 408 and status ~= 429
end

local function report(gate, now)
    local fields, arrived = gate.limiter:report(gate.options.instance)
    local answer, err = ask(gate, {
        method = "POST",
        path = "/v1/limits/" .. gate.service .. "/reports",
        body = json.encode(fields),
    }, nil, 0)
    if answer and refused_report(answer.status) then
        no_reports(gate, answer, now)
        return true
    elseif answer and answer.status == 200 then
        arrived()
    end
    return answer, err
end

local function poll(gate, wait_s, etag)
    local path = "/v1/limits/" .. gate.service .. "?instance=" .. gate.options.instance
    if wait_s > 0 then
        path = path .. ("&wait=%.2f"):format(wait_s)
    end
    return ask(gate, { method = "GET", path = path }, etag, wait_s)
end

-- Polls once. Returns seconds until the next poll (nil: back off), and the fault if there was one.
local function exchange(gate)
    local sent, lease, etag = clock(), gate.limiter:held(), gate.limiter:etag()
    local reporting = lease and sent >= (gate.no_reports_until or 0)
    local wait_s = 0
    local answer, err
    if reporting and sent >= (gate.report_at or 0) then
        answer, err = report(gate, sent)
        gate.report_at = sent + lease.refresh_s
        if answer == true then
            return 0
        end
    else
        if lease and etag then
            wait_s = reporting and gate.report_at - sent or lease.refresh_s
            wait_s = math.min(wait_s, LONGEST_WAIT_S)
        end
        answer, err = poll(gate, wait_s, etag)
    end
    if not answer then
        return nil, { "the endpoint does not answer", err }
    end
    local ok, fault = take(gate, answer, sent, etag)
    lease = gate.limiter:held()
    if not ok and answer.status == 200 then
        return (lease and lease.refresh_s or 1) * (0.9 + 0.2 * math.random()), fault
    elseif not ok then
        return nil, fault
    elseif answer.status == 304 and clock() - sent < wait_s / 2 then
        return wait_s - (clock() - sent) -- the endpoint does not support `wait`
    elseif answer.status == 200 and not etag then
        return reporting and 0 or lease.refresh_s -- without an ETag it cannot wait for a change
    end
    return 0
end

local function cycle(premature, gate)
    if premature or ngx.worker.exiting() or not leads(gate) then
        gate.polling = false
        return
    end
    local ok, pause, fault = pcall(exchange, gate)
    if not ok then
        pause, fault = nil, { "the poll failed", tostring(pause) }
    end
    if pause then
        gate.failures = 0
    else
        gate.failures = math.min((gate.failures or 0) + 1, 10)
        local doubled = math.min(LEAST_PAUSE_S * 2 ^ (gate.failures - 1), MOST_PAUSE_S)
        pause = doubled * (0.5 + 0.5 * math.random())
    end
    gate:said(fault and fault[1], fault and fault[2])
    ngx.timer.at(pause, cycle, gate)
end

-- Logs a change of the stage of the lease; only the polling worker does.
local function watch_stage(gate)
    local stage, limit = gate.limiter:standing()
    local before = gate.dict:get(gate.keys.stage)
    if stage and stage ~= before then
        gate.dict:set(gate.keys.stage, stage)
        if before then
            ngx.log(stage == "fresh" and ngx.NOTICE or ngx.ERR, "tidegate ", gate.service,
                ": the lease is at stage ", stage, " after ", before, ", limit ", limit, " rps")
        end
    end
end

-- Becomes the polling worker if there is none, and renews the lock if it is.
local function beat(premature, gate)
    local dict, key, pid = gate.dict, gate.keys.poller, ngx.worker.pid()
    if premature or ngx.worker.exiting() then
        if leads(gate) then
            dict:delete(key) -- so that a new worker can take over at once
        end
        return
    end
    if leads(gate) then
        dict:set(key, pid, LOCK_S)
    elseif not dict:add(key, pid, LOCK_S) then
        return
    end
    gate.limiter:tune()
    watch_stage(gate)
    if not gate.polling then
        gate.polling = true
        ngx.timer.at(0, cycle, gate)
    end
end

-- For init_worker: starts the timers of the poller, for init_worker itself has no sockets.
local function start(gate)
    math.randomseed(ngx.worker.pid() + ngx.now() * 1000)
    local said = gate.options
    gate.endpoint = wire.endpoint(said.endpoint, said.tls_server_name or nil, said.tls_verify)
    gate.limiter:begin()
    ngx.timer.at(0, beat, gate)
    ngx.timer.every(BEAT_S, beat, gate)
end

return { start = start }
