-- The poller: one worker gets the leases for all workers. No request ever waits for it.
--
-- The worker that gets the lock in the shared dict polls, and renews the lock at each beat. If it
-- dies the lock expires, and another worker takes over. Each poll is a timer of its own, for a socket
-- lives no longer than the timer that opened it, and a timer frees its memory only when it ends.
--
-- Every `refresh_s` the poller sends a report, whose response is the lease. In between it long-polls
-- (`wait`), so that a change reaches all workers at once. After a fault it backs off.
--
-- A chain of timers breaks without a word where nginx has no room for one more, be it when it is made
-- or when it is due: other Lua may have used up the timers, clients the connections. So each poll says
-- by when the next word is due, and a beat that finds it overdue begins the chain anew. The beats are
-- a timer that nginx repeats by itself; where none has come for WATCH_S, requests start it.

local clock = require "tidegate.clock"
local json = require "tidegate.core.json"
local wire = require "tidegate.wire"

local BEAT_S, LOCK_S = 0.5, 2
local WATCH_S = 5 -- without a beat
local GRACE_S = 3 -- that a timer may be late
local ANSWER_S = 2 -- time that a response may take, beyond the requested wait
local LEAST_PAUSE_S, MOST_PAUSE_S = 0.25, 2
local LONGEST_WAIT_S = 25
local NO_REPORTS_S = 60 -- pause after the endpoint has refused a report
local STANDS_STILL = "polling stands still, the lease ages"

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
    local within_s = wait_s + ANSWER_S
    gate.due = clock() + wire.longest_s(within_s) + GRACE_S
    return wire.request(gate.endpoint, asked, within_s)
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

local cycle

-- Starts the timer of the next poll. If there is none, it is due now: the next beat tries again.
local function go_on(gate, pause, number)
    local ok, err = ngx.timer.at(pause, cycle, gate, number)
    gate.due = clock() + (ok and pause + GRACE_S or 0)
    return ok, err
end

-- One poll of the chain of that number; if another one has begun, this one ends.
function cycle(premature, gate, number)
    if number ~= gate.chain then
        return
    elseif premature or ngx.worker.exiting() or not leads(gate) then
        gate.due = nil
        return
    end
    local ok, pause, fault = pcall(exchange, gate)
    if number ~= gate.chain then
        return
    elseif not ok then
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
    local started, err = go_on(gate, pause, number)
    if not started then
        gate:said(STANDS_STILL, err)
    end
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

-- Begins the chain of polls, and begins it anew if its next word is overdue.
local function watch_chain(gate)
    local now = clock()
    if gate.due and now < gate.due then
        return
    end
    if gate.due then
        gate:said(STANDS_STILL, ("nothing came of it for %.1f s, it begins anew"):format(now - gate.due))
    end
    gate.chain = (gate.chain or 0) + 1
    local ok, err = go_on(gate, 0, gate.chain)
    if not ok then
        gate:said(STANDS_STILL, err)
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
    gate.beaten = clock()
    if leads(gate) then
        dict:set(key, pid, LOCK_S)
    elseif not dict:add(key, pid, LOCK_S) then
        return
    end
    dict:set(gate.keys.beaten, gate.beaten)
    gate.limiter:tune()
    watch_stage(gate)
    watch_chain(gate)
end

-- Starts the beats of this worker. Where a timer cannot be made, the next request tries again.
local function start_beats(gate)
    gate.beaten = clock()
    gate.beats = gate.beats or ngx.timer.every(BEAT_S, beat, gate)
    local ok, err = ngx.timer.at(0, beat, gate)
    if not (ok and gate.beats) then
        gate:said(STANDS_STILL, err)
    end
end

-- For each request: starts the beats of this worker if none has come for long.
local function watch(gate)
    if clock() - gate.beaten > WATCH_S and not ngx.worker.exiting() then
        start_beats(gate)
    end
end

-- Returns the fault of the poller, that of all workers: none of them may have noticed.
local function fault_of(gate)
    local beaten = gate.dict:get(gate.keys.beaten)
    local is_still = beaten and clock() - beaten > WATCH_S
    return gate.dict:get(gate.keys.fault) or is_still and STANDS_STILL or nil
end

-- For init_worker: starts the timers of the poller, for init_worker itself has no sockets.
local function start(gate)
    math.randomseed(ngx.worker.pid() + ngx.now() * 1000)
    local said = gate.options
    gate.endpoint = wire.endpoint(said.endpoint, said.tls_server_name or nil, said.tls_verify)
    gate.limiter:begin()
    start_beats(gate)
end

return { start = start, watch = watch, fault_of = fault_of }
