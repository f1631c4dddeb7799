-- The max-min fair levels of known clients and of newcomers in each class, in a window of requests. As
-- in scaler/gateway/fair_levels.py.
--
-- 1. Over all classes: the level at which each client may have so many requests in a class, so that
--    together they fit the limit. For its usual share of all requests a class has a higher level.
-- 2. In each class, within what the classes before it leave: the level at which its clients fit.
--
-- Newcomers are one pool beside the known clients: it has what these leave, and at least its usual
-- share.

local demand_curve = require "tidegate.core.demand_curve"

local within, level = demand_curve.within, demand_curve.level
local huge, max, min = math.huge, math.max, math.min

-- A class keeps its usual share of all requests, up to so many times the limit.
local USUAL_UP_TO = 2

local function within_both(curves, levels)
    return within(curves.known, levels.known) + within(curves.newcomers, levels.newcomers)
end

local function total(curves)
    return curves.known.total + curves.newcomers.total
end

-- Returns the levels at which all clients fit a capacity.
local function levels_of(curves, capacity, usual_share)
    if total(curves) <= capacity then
        return { known = huge, newcomers = huge }
    end
    local left = max(capacity - curves.known.total, usual_share * capacity)
    local pool = min(curves.newcomers.total, left)
    return { known = level(curves.known, capacity - pool), newcomers = level(curves.newcomers, pool) }
end

-- Returns what each class can have of its own rate and, by priority, the spare; inf: all that it wants.
-- What is left of the spare is that of requests of no class.
local function divided(demands, share)
    local found, spare = {}, share.spare_rps
    for _, class in ipairs(share.classes) do
        local wanted = demands[class.name] or 0
        local above = min(max(wanted - class.rps, 0), class.ceiling_rps - class.rps, spare)
        spare = spare - above
        found[class.name] = class.rps + above >= wanted and huge or class.rps + above
    end
    return found, spare
end

local function merged(curves)
    local whole = { known = { total = 0 }, newcomers = { total = 0 } }
    for _, of_class in pairs(curves) do
        demand_curve.add(whole.known, of_class.known)
        demand_curve.add(whole.newcomers, of_class.newcomers)
    end
    return whole
end

-- Returns the levels in each class: requests in the window that a known client may have, and a newcomer;
-- inf: all of them.
--
-- curves: of each class `known` and `newcomers`, in a window of so many `seconds`.
-- share: what may be admitted: qps in all, spare_rps, and classes in order, each with name, rps and
--     ceiling_rps.
-- fill: part of the limit that the fair parts may add up to.
-- usual: shares of all requests: `newcomers`, and `classes` by name.
return function(curves, share, seconds, fill, usual)
    local limit, whole = share.qps * seconds, merged(curves)
    local top = levels_of(whole, fill * limit, usual.newcomers)
    local kept = min(total(whole), USUAL_UP_TO * limit)
    local tops, demands = {}, {}
    for name, of_class in pairs(curves) do
        local usual_level = level(of_class.known, (usual.classes[name] or 0) * kept)
        tops[name] = { known = max(top.known, usual_level), newcomers = top.newcomers }
        demands[name] = within_both(of_class, tops[name]) / seconds
    end
    local shares, spare = divided(demands, share)
    local found = {}
    for name, of_class in pairs(curves) do
        local capacity = fill * (shares[name] or spare) * seconds
        local own, most = levels_of(of_class, capacity, usual.newcomers), tops[name]
        found[name] = {
            known = min(own.known, most.known), newcomers = min(own.newcomers, most.newcomers),
        }
    end
    return found
end
