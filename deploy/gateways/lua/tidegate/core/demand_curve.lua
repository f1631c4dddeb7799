-- How much of the demand of many clients fits under a level that none of them may exceed. As in
-- scaler/gateway/demand_curve.py.
--
-- A client's requests within a window are numbered 1, 2, 3, ... Where each client is admitted `m`
-- requests of a window, those numbered up to `m` are admitted. So the number of requests at each
-- ordinal says what any level comes to, however many clients there are.
--
-- A curve is a table of the requests in each cell of ordinals, and of all of them as `total`.

local floor, huge, max, min = math.floor, math.huge, math.max, math.min

local demand_curve = {}

-- Highest ordinal of each cell: 1 to 16, then in steps of an eighth. Within a cell the requests are
-- taken as evenly spread.
local SINGLE = 16
local TOPS = {}
for top = 1, SINGLE do
    TOPS[top] = top
end
while TOPS[#TOPS] < 1e7 do
    TOPS[#TOPS + 1] = TOPS[#TOPS] + floor(TOPS[#TOPS] / 8)
end

demand_curve.CELLS = #TOPS

-- Returns the cell of an ordinal.
local function cell_of(ordinal)
    if ordinal <= SINGLE then
        return ordinal
    end
    local low, high = SINGLE + 1, #TOPS
    while low < high do
        local middle = floor((low + high) / 2)
        if TOPS[middle] < ordinal then
            low = middle + 1
        else
            high = middle
        end
    end
    return low
end

-- Calls add(cell, requests) for `requests` of a client that are its last ones, up to `ordinal`.
function demand_curve.each_cell(ordinal, requests, add)
    while requests > 0 do
        local cell = cell_of(ordinal)
        local part = min(requests, ordinal - (TOPS[cell - 1] or 0))
        add(cell, part)
        ordinal, requests = ordinal - part, requests - part
    end
end

-- Returns the cell of one request.
demand_curve.cell_of = cell_of

-- Returns how many requests are admitted where each client has `level` of them.
function demand_curve.within(curve, level)
    if level == huge then
        return curve.total
    end
    local found, below = 0, 0
    for cell = 1, #TOPS do
        local top, count = TOPS[cell], curve[cell] or 0
        if level < top then
            return found + count * max(0, level - below) / (top - below)
        end
        found, below = found + count, top
    end
    return found
end

-- Returns the requests of each client at which `capacity` of them are admitted; inf: all fit.
--
-- Below 1 it is the share of the clients that are admitted one.
function demand_curve.level(curve, capacity)
    if curve.total <= capacity then
        return huge
    end
    local left, below = capacity, 0
    for cell = 1, #TOPS do
        local top, count = TOPS[cell], curve[cell] or 0
        if count > left then
            return below + (top - below) * left / count
        end
        left, below = left - count, top
    end
    return below
end

-- Adds a curve to another one.
function demand_curve.add(sum, curve)
    for cell = 1, #TOPS do
        sum[cell] = (sum[cell] or 0) + (curve[cell] or 0)
    end
    sum.total = sum.total + curve.total
end

return demand_curve
