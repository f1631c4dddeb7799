-- What a lease means as it ages. As in scaler/limits/lease.py:
--
--   age    0          valid_for_s          last step + valid_for_s      + max_stale_s
--   stage  fresh      schedule             safe                         open or closed
--   limit  rps        the last step due    safe_rps                     inf or 0
--
-- The age is the seconds since the request was sent whose response brought or renewed the lease. While
-- the lease is fresh it follows the falls of the schedule, not its rises.

local huge, min = math.huge, math.min

local aging = {}

function aging.stage_at(held, age_s)
    if age_s < held.valid_for_s then
        return "fresh"
    elseif age_s < held.schedule_ends_s then
        return "schedule"
    elseif age_s < held.safe_ends_s then
        return "safe"
    end
    return held.last
end

-- Returns the limit of all classes together in requests per second; inf: no limit.
function aging.limit_at(held, age_s)
    local stage = aging.stage_at(held, age_s)
    if stage == "open" then
        return huge
    elseif stage == "closed" then
        return 0
    elseif stage == "safe" then
        return held.safe_rps
    end
    local scheduled = held.rps
    for _, step in ipairs(held.schedule) do
        if step.in_s <= age_s then
            scheduled = step.rps
        end
    end
    -- A fresh lease never exceeds its share, for the other shares were assigned beside it.
    return stage == "fresh" and min(held.rps, scheduled) or scheduled
end

return aging
