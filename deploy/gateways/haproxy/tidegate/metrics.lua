-- The metrics, in the text format of Prometheus.

local metrics = require("tidegate.core.metrics")

-- name, type, help.
local OWN = {
  { "tidegate_passes_total", "counter", "Requests admitted by a pass, without Lua." },
  { "tidegate_polls_total", "counter", "Responses of the endpoint." },
  { "tidegate_faults_total", "counter", "Faults that were logged." },
}

local function samples(add, gate)
  metrics.of_limiter(add, gate.limiter, next(gate.faults.said) ~= nil or gate.poller:is_overdue())
  add("tidegate_passes_total", gate.books and gate.books.passes or 0)
  for result, number in pairs(gate.poller.polls) do
    add("tidegate_polls_total", number, "result", result)
  end
  add("tidegate_faults_total", gate.faults.number)
end

return {
  -- Return the exposition of these services.
  exposition = function(services, gates)
    return metrics.exposition(OWN, services, function(add, service)
      samples(add, gates[service])
    end)
  end,
}
