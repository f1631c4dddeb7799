-- A leaky bucket as a meter (GCRA), as in scaler/limits/gcra.py. Its state is `tat`, the time at which
-- it will have drained, and `reserved`, the number of requests that room is kept for: they do not
-- drain. An interval of 0 lets every request pass, one of inf none.

local bucket = {}

-- Floating point sums are not exact, so a millionth of a request is tolerated.
local SLACK = 1e-6
local INF = math.huge

-- Return an empty bucket.
function bucket.new(rps, burst)
  local made = { tat = -INF, reserved = 0 }
  bucket.set(made, rps, burst, 0)
  return made
end

-- Change rate and depth; the number of requests in it stays the same, unless it is smaller now.
function bucket.set(one, rps, burst, now)
  local old, new = one.interval, 1 / rps
  if one.tat > now and old and old ~= new and old > 0 and old < INF and new > 0 and new < INF then
    one.tat = now + (one.tat - now) * (new / old)
  end
  one.interval, one.burst = new, burst
  one.depth = new > 0 and new < INF and burst * new or 0
  if one.depth > 0 then
    one.tat = math.min(one.tat, now + one.depth)
  end
end

-- Return seconds until a request would pass; 0: now.
function bucket.wait(one, now)
  local interval, tat = one.interval, one.tat
  if interval == INF then
    return INF
  elseif interval == 0 then
    return 0
  elseif tat < now then
    tat = now
  end
  local wait = tat + (1 + one.reserved) * interval - one.depth - now
  return wait > SLACK * interval and wait or 0
end

-- Put in one request, or `requests` of them.
function bucket.take(one, now, requests)
  local interval, tat = one.interval, one.tat
  if interval == INF then
    return
  elseif tat < now then
    tat = now
  elseif tat > now + one.depth then
    tat = now + one.depth
  end
  one.tat = tat + interval * (requests or 1)
end

-- Keep room for so many requests; a negative number frees it again.
function bucket.reserve(one, requests)
  one.reserved = one.reserved + requests
end

-- Return how many requests would pass at once.
function bucket.room(one, now)
  if one.interval == INF then
    return 0
  end
  local level = one.tat > now and (one.tat - now) / one.interval or 0
  return math.max(0, one.burst - level - one.reserved)
end

return bucket
