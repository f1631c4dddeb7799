-- How much each client offers, and what the lease leaves to it.
--
-- dict: `tidegate_clients`, whose least recently used entries make room for new clients.
-- Windows are aligned to the clock, so all workers count into the same one.

local bucket = require "tidegate.bucket"
local clock = require "tidegate.clock"

local floor = math.floor

local _M = {}

-- Clients with one request, two, ...: up to 5, then in steps of a half. No two buckets of the
-- histogram differ by more than rates of so few requests do by chance.
local FIRST = { 1, 2, 3, 4, 5 }
while FIRST[#FIRST] < 1e6 do
    FIRST[#FIRST + 1] = floor(FIRST[#FIRST] * 1.5)
end
local CELL = {} -- of a count that is the first of its cell
for cell, count in ipairs(FIRST) do
    CELL[count] = cell
end

local function cell_key(prefix, window, cell)
    return prefix .. "clients:" .. window .. ":" .. cell
end

-- Counts one request, admitted or not, towards the histogram.
--
-- counts: the dict for the histogram; a client moves to the next cell when it reaches it, so nobody
-- ever has to walk through all clients.
function _M.count(dict, counts, prefix, client, now, window_s)
    local window = floor(now / window_s)
    local count = dict:incr(client .. "#" .. window, 1, 0, 2 * window_s)
    local cell = CELL[count]
    if cell then
        counts:incr(cell_key(prefix, window, cell), 1, 0, 3 * window_s)
        if cell > 1 then
            counts:incr(cell_key(prefix, window, cell - 1), -1, 0, 3 * window_s)
        end
    end
end

-- Returns a histogram of clients by requests per second, as the endpoint takes it; nil where too
-- little of a window has been seen.
--
-- since: when counting began.
function _M.histogram(counts, prefix, now, window_s, since)
    local window = floor(now / window_s)
    local seconds = now - window * window_s
    if seconds < window_s / 2 then
        -- Hardly begun: the one before is whole.
        window, seconds = window - 1, window_s
    end
    if window * window_s < since then
        seconds = seconds - (since - window * window_s)
        if seconds < window_s / 2 then
            return nil
        end
    end
    local bounds, clients, any = { 0.5 / seconds }, { 0 }, false
    for cell, first in ipairs(FIRST) do
        local found = math.max(counts:get(cell_key(prefix, window, cell)) or 0, 0)
        -- Half way to the next count, so that the middle of a cell is what its clients sent.
        bounds[cell + 1] = ((FIRST[cell + 1] or 2 * first) - 0.5) / seconds
        clients[cell + 1] = found
        any = any or found > 0
    end
    return any and { bounds = bounds, counts = clients } or nil
end

-- Whether a client has offered more than `above_rps` over its window.
--
-- The meter is a bucket of a window's worth that is drained at `above_rps`, and full at two. Where
-- two workers meet at either end, a count may be lost; between the ends none is.
local function is_abusive(dict, client, now, above_rps, window_s)
    if above_rps <= 0 then
        return true
    end
    local key, interval = client .. "@", 1 / above_rps
    local tat = dict:incr(key, interval, now)
    if tat < now + interval then
        tat = now + interval
        dict:set(key, tat)
    elseif tat > now + 2 * window_s then
        tat = now + 2 * window_s
        dict:set(key, tat)
    end
    return tat > now + math.max(window_s, interval)
end

-- Returns seconds that a client has to wait (0: none), and its bucket with its rate where it was
-- taken from, for `bucket.give_back`.
function _M.decide(dict, level, client, now, window_s)
    local rate, burst = level.rps, level.burst
    if level.above_rps and is_abusive(dict, client, now, level.above_rps, window_s) then
        rate, burst = level.abusive_rps, 1
    end
    if not rate then
        return 0
    end
    local keys = bucket.named(client)
    return bucket.take(dict, keys, clock, rate, burst), keys, rate
end

return _M
