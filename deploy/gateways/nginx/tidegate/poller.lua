-- The poller: one worker gets the leases for all workers. No request ever waits for it.
--
-- The worker that gets the lock in the shared dict polls, and renews the lock at each beat. If it
-- dies the lock expires, and another worker takes over. It does two things beside each other, each a
-- chain of timers, for a socket lives no longer than the timer that opened it, and a timer frees its
-- memory only when it ends:
--
--   poll    waits for a change of the lease (`wait`), so that it reaches all workers at once; after a
--           fault it backs off
--   report  looks five times a second whether demand has moved, and reports every `refresh_s`, or at
--           once if it has; the response is the lease, and renews it while the poll waits
--
-- A chain of timers breaks without a word where nginx has no room for one more, be it when it is made
-- or when it is due: other Lua may have used up the timers, clients the connections. So each link says
-- by when the next word is due, and a beat that finds it overdue begins the chain anew. The beats are
-- a timer that nginx repeats by itself; where none has come for WATCH_S, requests start it.

local clock = require "tidegate.clock"
local json = require "tidegate.core.json"
local wire = require "tidegate.wire"

local BEAT_S, LOCK_S = 0.5, 2
local WATCH_S = 5 -- without a beat
local GRACE_S = 3 -- that a timer may be late
local ANSWER_S = 2 -- time that a response may take, beyond the requested wait
local FIRST_REFRESH_S = 1 -- before the first lease, which has its own
local LEAST_PAUSE_S, MOST_PAUSE_S = 0.25, 2
local SETTLE_S = 0.05 -- pause after a change: more of them often follow at once
local LONGEST_WAIT_S = 25
local LOOK_S = 0.2
local NO_REPORTS_S = 60 -- pause after the endpoint has refused a report
local STANDS_STILL = "polling stands still, the lease ages"

local function jittered(seconds)
    return seconds * (0.9 + 0.2 * math.random())
end

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

local function ask(gate, chain, asked, etag, wait_s)
    local headers, err = headers_of(gate, etag)
    if not headers then
        return nil, err
    end
    asked.headers = headers
    local within_s = wait_s + ANSWER_S
    chain.due = clock() + wire.longest_s(within_s) + GRACE_S
    return wire.request(gate.endpoint, asked, within_s)
end

-- Takes in the response to a request that was sent at `sent`, while the lease of this ETag was held.
--
-- Returns whether it is a lease or a renewal; otherwise perhaps what it is, and a detail.
local function take(gate, answer, sent, etag)
    local limiter = gate.limiter
    if answer.status == 304 and etag then
        limiter:renew(sent, etag)
    elseif answer.status ~= 200 then
        local detail = answer.body:sub(1, 200):gsub("%c", " ")
        return false, "the endpoint answers " .. answer.status, detail
    else
        local before = limiter:held()
        local held, why = limiter:receive(answer.body, answer.headers.etag, sent)
        if why and etag == limiter:etag() then -- otherwise a newer one has overtaken it
            gate:said("lease", "lease refused, the previous one stays in use", why)
            return false
        end
        local lease = limiter:held()
        if held and lease ~= before then
            ngx.log(ngx.NOTICE, "tidegate ", gate.service, ": limit ", lease.rps, " rps, version ",
                lease.epoch, "/", lease.version, ", ", lease.enforced and "enforce" or "recommend")
        end
    end
    gate:said("lease", nil)
    return true
end

-- Polls once. Returns seconds until the next poll; nil: back off.
local function poll(gate, chain)
    local limiter, sent = gate.limiter, clock()
    local lease, etag = limiter:held(), limiter:etag()
    local refresh_s = lease and lease.refresh_s or FIRST_REFRESH_S
    -- Without reports nothing else renews the lease.
    local reports = sent >= (gate.no_reports_until or 0)
    local wait_s = etag and math.min(reports and LONGEST_WAIT_S or refresh_s, LONGEST_WAIT_S) or 0
    if gate:fault("poll") then
        wait_s = 0 -- its end is known at once, not when the lease changes next
    end
    local path = ("/v1/limits/%s?instance=%s"):format(gate.service, gate.options.instance)
    if wait_s > 0 then
        path = path .. ("&wait=%.2f"):format(wait_s)
    end
    local answer, err = ask(gate, chain, { method = "GET", path = path }, etag, wait_s)
    if not answer then
        gate:said("poll", "the endpoint does not answer", err)
        return nil
    end
    local ok, fault, detail = take(gate, answer, sent, etag)
    gate:said("poll", fault, detail)
    if not ok then
        return answer.status == 200 and jittered(refresh_s) or nil
    elseif answer.status == 200 and answer.headers.etag and answer.headers.etag ~= etag then
        return SETTLE_S
    end
    -- An endpoint that answers without a wait is polled each `refresh_s`.
    return math.max(0, refresh_s - (clock() - sent))
end

-- What an endpoint answers to reports that it does not understand.
local function refuses_reports(status)
    return status == 400 or status == 404 or status == 405 or status == 413 or status == 422
end

-- Sends one report. One that is lost is not repeated.
local function send(gate, chain, fields)
    local sent, etag = clock(), gate.limiter:etag()
    local answer, err = ask(gate, chain, {
        method = "POST",
        path = "/v1/limits/" .. gate.service .. "/reports",
        body = json.encode(fields),
    }, nil, 0)
    if answer and refuses_reports(answer.status) then
        -- That is a fault, but the lease is not affected.
        gate.no_reports_until = clock() + NO_REPORTS_S
        err = ("the endpoint answers %d %s; trying again in %d s"):format(
            answer.status, answer.body:sub(1, 200), NO_REPORTS_S)
    elseif answer then
        local _, fault, detail = take(gate, answer, sent, etag)
        err = fault and fault .. " " .. detail
    end
    gate:said("report", err and "a report is lost", err)
end

-- Looks whether demand has moved, and reports if it has, or if that is due. Returns seconds until the
-- next look.
local function report(gate, chain)
    local limiter, now = gate.limiter, clock()
    local lease = limiter:held()
    if not lease or now < (gate.no_reports_until or 0) then
        return jittered(LOOK_S)
    end
    gate.report_at = gate.report_at or now + jittered(lease.refresh_s)
    local moved = limiter:demand_moved()
    if moved or now >= gate.report_at then
        local earlier = moved and limiter:report_before_move(gate.options.instance)
        if earlier then
            send(gate, chain, earlier)
        end
        send(gate, chain, limiter:report(gate.options.instance))
        -- What has moved may still be on the move.
        gate.report_at = clock() + jittered(moved and LOOK_S or lease.refresh_s)
    end
    return math.max(0, math.min(jittered(LOOK_S), gate.report_at - clock()))
end

local WORKS = { poll = poll, report = report }

local cycle

-- Starts the timer of the next link of a chain. If there is none, it is due now: the next beat tries
-- again.
local function go_on(gate, name, pause, number)
    local chain = gate.chains[name]
    local ok, err = ngx.timer.at(pause, cycle, gate, name, number)
    chain.due = clock() + (ok and pause + GRACE_S or 0)
    return ok, err
end

-- One link of the chain of that name and number; if another one has begun, this one ends.
function cycle(premature, gate, name, number)
    local chain = gate.chains[name]
    if number ~= chain.number then
        return
    elseif premature or ngx.worker.exiting() or not leads(gate) then
        chain.due = nil
        return
    end
    local ok, pause = pcall(WORKS[name], gate, chain)
    if number ~= chain.number then
        return
    elseif not ok then
        gate:said(name, "the " .. name .. " failed", tostring(pause))
        pause = nil
    end
    if pause then
        chain.failures = 0
    else
        chain.failures = math.min((chain.failures or 0) + 1, 10)
        local doubled = math.min(LEAST_PAUSE_S * 2 ^ (chain.failures - 1), MOST_PAUSE_S)
        pause = doubled * (0.5 + 0.5 * math.random())
    end
    local started, err = go_on(gate, name, pause, number)
    if not started then
        gate:said(name, STANDS_STILL, err)
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

-- Begins the chains, and begins one anew if its next word is overdue.
local function watch_chains(gate)
    for name in pairs(WORKS) do
        local chain, now = gate.chains[name], clock()
        if not chain.due or now >= chain.due then
            if chain.due then
                local late = ("nothing came of the %s for %.1f s, it begins anew"):format(name, now - chain.due)
                gate:said(name, STANDS_STILL, late)
            end
            chain.number = chain.number + 1
            local ok, err = go_on(gate, name, 0, chain.number)
            if not ok then
                gate:said(name, STANDS_STILL, err)
            end
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
    gate.beaten = clock()
    if leads(gate) then
        dict:set(key, pid, LOCK_S)
    elseif not dict:add(key, pid, LOCK_S) then
        return
    end
    dict:set(gate.keys.beaten, gate.beaten)
    gate.limiter:tune()
    watch_stage(gate)
    watch_chains(gate)
end

-- Starts the beats of this worker. Where a timer cannot be made, the next request tries again.
local function start_beats(gate)
    gate.beaten = clock()
    gate.beats = gate.beats or ngx.timer.every(BEAT_S, beat, gate)
    local ok, err = ngx.timer.at(0, beat, gate)
    if not (ok and gate.beats) then
        gate:said("poll", STANDS_STILL, err)
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
    for _, kind in ipairs({ "poll", "lease", "report", "request" }) do
        if gate:fault(kind) then
            return gate:fault(kind)
        end
    end
    return is_still and STANDS_STILL or nil
end

-- For init_worker: starts the timers of the poller, for init_worker itself has no sockets.
local function start(gate)
    math.randomseed(ngx.worker.pid() + ngx.now() * 1000)
    local said = gate.options
    gate.endpoint = wire.endpoint(said.endpoint, said.tls_server_name or nil, said.tls_verify)
    gate.limiter:begin()
    gate.chains = { poll = { number = 0 }, report = { number = 0 } }
    start_beats(gate)
end

return { start = start, watch = watch, fault_of = fault_of }
