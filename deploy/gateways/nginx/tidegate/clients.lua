-- How much each client offers, and what the lease leaves to it.
--
-- A client's rate is counted over a sliding window: what it sent in this one, and as much of the one
-- before as the window that ends now still covers. While the very first window lasts all rates are
-- too low by the same factor, so no few requests make a client look busier than the others. Windows
-- begin with this nginx, so all workers count into the same one.
--
-- dict: `tidegate_clients`, whose least recently used entries make room for new clients.

local bucket = require "tidegate.bucket"
local clock = require "tidegate.clock"

local floor, max, min = math.floor, math.max, math.min

local _M = {}

-- Clients with one request, two, ...: up to 5, then in steps of a half. No two cells of the
-- histogram differ by less than chance does.
local FIRST = { 1, 2, 3, 4, 5 }
while FIRST[#FIRST] < 1e6 do
    FIRST[#FIRST + 1] = floor(FIRST[#FIRST] * 1.5)
end
local CELL = {} -- of a count that is the first of its cell
for cell, count in ipairs(FIRST) do
    CELL[count] = cell
end

-- What is added to a client's name in a window; made once a window.
local named = { window = nil, suffix = nil }

local function count_key(client, window)
    if named.window ~= window then
        named.window, named.suffix = window, "#" .. window
    end
    return client .. named.suffix
end

local function cell_key(prefix, window, cell)
    return prefix .. "clients:" .. window .. ":" .. cell
end

-- Returns which window it is, and how many of its seconds are over.
local function window_at(elapsed_s, window_s)
    local window = floor(elapsed_s / window_s)
    return window, elapsed_s - window * window_s
end

-- Counts one request, admitted or not; returns the client's count in this window.
--
-- counts: the dict for the histogram; a client moves to the next cell when it reaches it, so nobody
-- ever has to walk through all clients.
function _M.count(dict, counts, prefix, client, elapsed_s, window_s)
    local window = window_at(elapsed_s, window_s)
    local count = dict:incr(count_key(client, window), 1, 0, 2 * window_s)
    local cell = CELL[count]
    if cell then
        counts:incr(cell_key(prefix, window, cell), 1, 0, 3 * window_s)
        if cell > 1 then
            counts:incr(cell_key(prefix, window, cell - 1), -1, 0, 3 * window_s)
        end
    end
    return count
end

-- Returns requests per second that a client offers, which has sent `count` in this window.
local function rate_of(dict, client, count, elapsed_s, window_s)
    local window, seconds = window_at(elapsed_s, window_s)
    local before = dict:get(client .. "#" .. (window - 1)) or 0
    return (count + before * (1 - seconds / window_s)) / window_s
end

-- Returns a histogram of clients by requests per second, as the endpoint takes it: of this window
-- once half of it is over, till then of the one before. nil: of none.
function _M.histogram(counts, prefix, elapsed_s, window_s)
    local window, seconds = window_at(elapsed_s, window_s)
    if window == 0 then
        seconds = window_s
    elseif seconds < window_s / 2 then
        window, seconds = window - 1, window_s
    end
    local bounds, clients, any = { 0.5 / seconds }, { 0 }, false
    for cell, first in ipairs(FIRST) do
        local found = max(counts:get(cell_key(prefix, window, cell)) or 0, 0)
        -- Half way to the next count, so that the middle of a cell is what its clients sent.
        bounds[cell + 1] = ((FIRST[cell + 1] or 2 * first) - 0.5) / seconds
        clients[cell + 1] = found
        any = any or found > 0
    end
    return any and { bounds = bounds, counts = clients } or nil
end

-- Returns seconds that a client has to wait (0: none), and its bucket with its rate where it was
-- taken from, for `bucket.give_back`.
--
-- level: `per_client` of the lease; count: see `count`.
function _M.decide(dict, level, client, count, elapsed_s, window_s)
    local rate, burst = level.rps, level.burst
    if level.above_rps and rate_of(dict, client, count, elapsed_s, window_s) > level.above_rps then
        rate, burst = min(level.abusive_rps, rate or level.abusive_rps), 1
    end
    if not rate then
        return 0
    end
    local keys = bucket.named(client)
    return bucket.take(dict, keys, clock, rate, burst), keys, rate
end

return _M
