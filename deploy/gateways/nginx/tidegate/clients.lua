-- The rate of each client, and the limit that the lease sets for it.
--
-- A client's rate is estimated over a sliding window: its requests in the current window, and those
-- of the window before in proportion to the overlap. During the very first window all rates are too
-- low by the same factor, so that a few requests do not make a client look busier than others.
-- Windows start with nginx, so all workers use the same ones. Windows of another length, after a
-- new lease, begin with no request in them.
--
-- dict: `tidegate_clients`, which evicts its least recently used entries for new clients.

local bucket = require "tidegate.core.bucket"
local clock = require "tidegate.clock"
local json = require "tidegate.core.json"

local floor, max, min = math.floor, math.max, math.min

-- The first count of each cell of the histogram: 1 to 5, then in steps of a half. Narrower cells
-- would differ by chance only.
local FIRST = { 1, 2, 3, 4, 5 }
while FIRST[#FIRST] < 1e6 do
    FIRST[#FIRST + 1] = floor(FIRST[#FIRST] * 1.5)
end
local CELL = {} -- the cell of a count that is the first of its cell
for cell, count in ipairs(FIRST) do
    CELL[count] = cell
end

-- The suffixes of a client's key in a window and in the one before; made once per window.
local named = { window = nil, window_s = nil, suffix = nil, before = nil }

local function suffixes(window, window_s)
    if named.window ~= window or named.window_s ~= window_s then
        local length = "#" .. window_s .. "/"
        named.window, named.window_s = window, window_s
        named.suffix, named.before = length .. window, length .. window - 1
    end
    return named.suffix, named.before
end

local function cell_key(prefix, window, window_s, cell)
    return prefix .. "clients:" .. window_s .. "/" .. window .. ":" .. cell
end

-- Returns the number of the window, and the seconds since its start.
local function window_at(elapsed_s, window_s)
    local window = floor(elapsed_s / window_s)
    return window, elapsed_s - window * window_s
end

-- Counts one request, admitted or not; returns the client's count in this window.
--
-- counts: the dict for the histogram. A client is moved from cell to cell as its count grows, so the
-- histogram never needs a walk through all clients.
local function counted(dict, counts, prefix, client, elapsed_s, window_s)
    local window = window_at(elapsed_s, window_s)
    local count = dict:incr(client .. suffixes(window, window_s), 1, 0, 2 * window_s)
    local cell = CELL[count]
    if cell then
        counts:incr(cell_key(prefix, window, window_s, cell), 1, 0, 3 * window_s)
        if cell > 1 then
            counts:incr(cell_key(prefix, window, window_s, cell - 1), -1, 0, 3 * window_s)
        end
    end
    return count
end

-- Returns the requests per second of a client that has sent `count` requests in this window.
local function rate_of(dict, client, count, elapsed_s, window_s)
    local window, seconds = window_at(elapsed_s, window_s)
    local _, suffix = suffixes(window, window_s)
    local before = dict:get(client .. suffix) or 0
    return (count + before * (1 - seconds / window_s)) / window_s
end

-- Returns the histogram of clients by requests per second, in the form of a report; nil without
-- clients. It is of the current window in its second half, and of the window before till then.
local function histogram(counts, prefix, elapsed_s, window_s)
    local window, seconds = window_at(elapsed_s, window_s)
    if window == 0 then
        seconds = window_s
    elseif seconds < window_s / 2 then
        window, seconds = window - 1, window_s
    end
    local bounds, clients, any = { 0.5 / seconds }, { 0 }, false
    for cell, first in ipairs(FIRST) do
        local found = max(counts:get(cell_key(prefix, window, window_s, cell)) or 0, 0)
        -- Half way to the next count, so that the middle of a cell is what its clients sent.
        bounds[cell + 1] = ((FIRST[cell + 1] or 2 * first) - 0.5) / seconds
        clients[cell + 1] = found
        any = any or found > 0
    end
    return any and { bounds = json.list(bounds), counts = json.list(clients) } or nil
end

local Clients = {}
Clients.__index = Clients

-- dict: for the clients; counts: for the histogram; window_s: until a lease says.
function Clients.new(dict, counts, prefix, window_s)
    return setmetatable({
        dict = dict, counts = counts, prefix = prefix, window_s = window_s, first_window_s = window_s,
    }, Clients)
end

-- Counts a request of a client, and takes it from the client's bucket.
--
-- lease: nil before the first one; level: its `per_client`, nil if no limit applies now.
-- Returns seconds that the client has to wait (0: none), its rate, and what to give back if the request
-- is refused for another reason; nil: nothing was taken.
function Clients:take(client, lease, level)
    local dict, elapsed_s = self.dict, clock() - self.counts:get(self.prefix .. "since")
    self.window_s = lease and lease.client_window_s or self.first_window_s
    local count = counted(dict, self.counts, self.prefix, client, elapsed_s, self.window_s)
    if not level then
        return 0
    end
    local rate, burst = level.rps, level.burst
    local above, left = level.abusive_above_rps, level.abusive_rps
    if above and left and rate_of(dict, client, count, elapsed_s, self.window_s) > above then
        rate, burst = min(left, rate or left), 1
    end
    if not rate then
        return 0
    end
    local keys = bucket.named(client)
    local wait = bucket.take(dict, keys, clock, rate, burst)
    return wait, rate, wait == 0 and { keys = keys, rate = rate } or nil
end

function Clients:give_back(taken)
    bucket.give_back(self.dict, taken.keys, taken.rate)
end

function Clients:report_fields()
    local elapsed_s = clock() - self.counts:get(self.prefix .. "since")
    return { client_histogram = histogram(self.counts, self.prefix, elapsed_s, self.window_s) }
end

return Clients
