-- Every worker takes from the same buckets as fast as it can: what no load from outside can do.
--
-- Bucket "over" is asked for more than it has all the time, at a rate that changes; "under" for half
-- of its burst by all workers at once, then left alone until it has drained: who lifts it?

local bucket = require "tidegate.core.bucket"
local clock = require "tidegate.clock"

local SECONDS = 2
local BURST = 500 -- 1/8 s: for so long all workers may be asleep, and nothing is lost
local IDLE_S = 0.02
local over, under = bucket.named("over"), bucket.named("under")

local function hammer(premature, dict)
    if premature then
        return
    end
    dict:add("start", clock() + 0.3)
    local start = dict:get("start")
    local now, due, passed, offered, refused = clock(), start, 0, 0, 0
    while now < start + SECONDS do
        now = clock()
        if now >= start then
            -- 4,000 a second in the first half, 1,000 in the second.
            local rate = now < start + SECONDS / 2 and 4000 or 1000
            if bucket.take(dict, over, clock, rate, BURST) == 0 then
                passed = passed + 1
            end
            if now >= due then
                -- The same moment for all, for which the bucket has long been drained.
                due = (math.floor(now / IDLE_S) + 1) * IDLE_S
                for _ = 1, 5 do
                    offered = offered + 1
                    if bucket.take(dict, under, clock, 8000, 40) > 0 then
                        refused = refused + 1
                    end
                end
            end
        end
    end
    dict:incr("passed", passed, 0)
    dict:incr("offered", offered, 0)
    dict:incr("refused", refused, 0)
    dict:incr("done", 1, 0)
end

return {
    start = function()
        ngx.timer.at(0, hammer, ngx.shared.tidegate)
    end,
    result = function()
        local dict = ngx.shared.tidegate
        for _, name in ipairs({ "done", "passed", "offered", "refused" }) do
            ngx.say(dict:get(name) or 0)
        end
    end,
}
