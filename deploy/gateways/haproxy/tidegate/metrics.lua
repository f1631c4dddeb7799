-- The metrics, in the text format of Prometheus.

local metrics = {}

local STAGES = { "none", "fresh", "schedule", "safe", "open", "closed" }
local ABOUT = {
  { "tidegate_limit_rps", "gauge", "Requests per second that may be admitted now." },
  { "tidegate_lease_stage", "gauge", "1 at the stage of the lease; none: no lease yet." },
  { "tidegate_lease_age_seconds", "gauge", "Seconds since the lease was issued or renewed." },
  { "tidegate_lease_version", "gauge", "Version of the current lease." },
  { "tidegate_enforcing", "gauge", "0 in dry-run, in which denied requests pass." },
  { "tidegate_requests_total", "counter", "Decisions; in dry-run those that would be made." },
  { "tidegate_passes_total", "counter", "Requests admitted by a pass, without Lua." },
  { "tidegate_client_denied_total", "counter", "Requests denied by the limit per client." },
  { "tidegate_clients", "gauge", "Clients in the current window." },
  { "tidegate_clients_overlooked_total", "counter", "Requests of clients beyond TIDEGATE_MOST_CLIENTS." },
  { "tidegate_polls_total", "counter", "Responses of the endpoint." },
  { "tidegate_fault", "gauge", "1 while a logged fault is not over." },
  { "tidegate_faults_total", "counter", "Faults that were logged." },
}

local function escaped(text)
  return (text:gsub('[\\"\n]', { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n" }))
end

local function shown(number)
  return number == math.huge and "+Inf" or string.format("%.15g", number)
end

local function of_service(add, poller, now)
  local limiter, lease = poller.limiter, poller.limiter.lease
  add("tidegate_limit_rps", limiter.rps)
  for _, stage in ipairs(STAGES) do
    add("tidegate_lease_stage", stage == limiter.stage and 1 or 0, "stage", stage)
  end
  if lease then
    add("tidegate_lease_age_seconds", now - limiter.heard)
    add("tidegate_lease_version", lease.version)
  end
  add("tidegate_enforcing", limiter.enforced and 1 or 0)
  for name, counts in pairs(limiter.counts) do
    add("tidegate_requests_total", counts.admitted, "class", name, "verdict", "admitted")
    add("tidegate_requests_total", counts.denied, "class", name, "verdict", "denied")
  end
  add("tidegate_requests_total", limiter.rest.admitted, "class", "", "verdict", "admitted")
  add("tidegate_requests_total", limiter.rest.denied, "class", "", "verdict", "denied")
  add("tidegate_passes_total", limiter.passes)
  add("tidegate_client_denied_total", limiter.client_denied)
  add("tidegate_clients", #limiter.clients.young_list)
  add("tidegate_clients_overlooked_total", limiter.clients.overlooked)
  for result, number in pairs(poller.polls) do
    add("tidegate_polls_total", number, "result", result)
  end
  add("tidegate_fault", next(poller.faults.said) and 1 or 0)
  add("tidegate_faults_total", poller.faults.number)
end

-- Return the exposition (text format 0.0.4) of all services.
function metrics.exposition(pollers, now)
  local series = {}
  for service, poller in pairs(pollers) do
    of_service(function(name, number, ...)
      local labels, given = { string.format('service="%s"', escaped(service)) }, { ... }
      for i = 1, #given, 2 do
        labels[#labels + 1] = string.format('%s="%s"', given[i], escaped(given[i + 1]))
      end
      series[name] = series[name] or {}
      local line = string.format("%s{%s} %s", name, table.concat(labels, ","), shown(number))
      table.insert(series[name], line)
    end, poller, now)
  end
  local lines = {}
  for _, about in ipairs(ABOUT) do
    lines[#lines + 1] = string.format("# HELP %s %s", about[1], about[3])
    lines[#lines + 1] = string.format("# TYPE %s %s", about[1], about[2])
    for _, line in ipairs(series[about[1]] or {}) do
      lines[#lines + 1] = line
    end
  end
  return table.concat(lines, "\n") .. "\n"
end

return metrics
