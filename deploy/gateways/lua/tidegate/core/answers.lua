-- The header fields by which a client is told of its limit. As in scaler/gateway/responses.py.
--
-- Source: draft-ietf-httpapi-ratelimit-headers-11, and 10 as well; RFC 9110, 10.2.3 for Retry-After.

local ceil, floor, format, huge, max = math.ceil, math.floor, string.format, math.huge, math.max

-- So much may be missing from a whole request, as the rest of a bucket is a difference of sums.
local TOLERANCE = 1e-3

local answers = {}

-- Texts that were made before: a lookup is cheaper than to format a number.
local policies, limits, cached = {}, {}, 0
local MAX_CACHED = 4000

-- Returns the value of a cache, made if need be; the caches are emptied when there are too many.
local function remembered(cache, key, make)
    local text = cache[key]
    if not text then
        if cached >= MAX_CACHED then
            policies, limits, cached = {}, {}, 0
            return make(key)
        end
        text, cached = make(key), cached + 1
        cache[key] = text
    end
    return text
end

-- Returns the whole number of requests a second that a limit is told as.
function answers.quota(limit)
    -- The field holds whole numbers only, so a lower quota than one per second is given as 1.
    return limit > 0 and max(1, floor(limit)) or 0
end

local function policy_text(limit)
    return format('"default";q=%.0f;w=1', answers.quota(limit))
end

local function limit_text(left)
    return format('"default";r=%.0f;t=', left)
end

-- Returns RateLimit-Policy; nil where there is no limit.
function answers.policy(limit)
    return limit < huge and remembered(policies, limit, policy_text) or nil
end

-- Returns how many whole requests the rest of a bucket is.
function answers.whole(left)
    return floor(left + TOLERANCE)
end

-- Returns RateLimit: requests that would pass now, and seconds within which no more would; nil where
-- there is no limit.
--
-- wait: seconds until this request may pass; 0: it has passed.
function answers.limit(limit, left, wait)
    if limit == huge then
        return nil
    end
    local whole = answers.whole(left)
    local window = wait > 0 and wait or (whole + 1 - TOLERANCE - left) / limit
    return remembered(limits, whole, limit_text) .. format("%.0f", ceil(window))
end

-- Returns Retry-After: whole seconds, at least 1.
function answers.retry_after(wait_s)
    return max(1, ceil(wait_s))
end

return answers
