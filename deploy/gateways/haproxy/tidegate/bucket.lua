-- A leaky bucket as a meter (GCRA), as in scaler/limits/gcra.py. Its state is `tat`, the time at which
-- it will have drained. An interval of 0 lets every request pass, one of inf none.

local bucket = {}

-- Floating point sums are not exact, so a millionth of a request is tolerated.
local SLACK = 1e-6
local INF = math.huge

-- Return an empty bucket.
function bucket.new(rps, burst)
  local made = { tat = -INF }
  bucket.set(made, rps, burst, 0)
  return made
end

-- Change rate and depth; the number of requests in it stays the same.
function bucket.set(one, rps, burst, now)
  local old, new = one.interval, 1 / rps
  if one.tat > now and old and old ~= new and old > 0 and old < INF and new > 0 and new < INF then
    one.tat = now + (one.tat - now) * (new / old)
  end
  one.interval, one.burst = new, burst
  one.depth = new > 0 and new < INF and burst * new or 0
end

-- Return seconds until a request would pass; 0: now.
function bucket.wait(one, now)
  local interval = one.interval
  if interval == INF then
    return INF
  end
  local tat = one.tat
  -- It is never taken for fuller than its depth, so that neither an older time nor a smaller burst
  -- refuses for ever.
  if tat <= now then
    return 0
  elseif tat > now + one.depth then
    return interval
  end
  local wait = tat + interval - one.depth - now
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

-- Take out requests that were put in and were not used.
function bucket.put_back(one, requests)
  if one.interval > 0 and one.interval < INF then
    one.tat = one.tat - one.interval * requests
  end
end

-- Return how many requests would pass at once.
function bucket.room(one, now)
  if one.interval == INF then
    return 0
  elseif one.tat <= now then
    return one.burst
  end
  return math.max(0, one.burst - (one.tat - now) / one.interval)
end

return bucket
