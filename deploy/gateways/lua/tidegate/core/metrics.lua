-- The metrics of limiters, in the text format of Prometheus (0.0.4).

local metrics = {}

-- name, type, help.
local FAMILIES = {
    { "tidegate_requests_total", "counter", "Requests by class and verdict; in dry-run the denied ones passed." },
    { "tidegate_requests_beyond_total", "counter", "Those of them beyond the fair part of their client." },
    { "tidegate_limit_rps", "gauge", "Limit in requests per second now." },
    { "tidegate_lease_age_seconds", "gauge", "Seconds since the lease was issued or renewed." },
    { "tidegate_lease_stage", "gauge", "1 at the stage of the lease; none: no lease yet." },
    { "tidegate_lease_version", "gauge", "Version of the current lease." },
    { "tidegate_enforcing", "gauge", "0 in dry-run, or without a lease." },
    { "tidegate_fault", "gauge", "1 while the endpoint does not answer, its leases are refused, or polling stands still." },
}
local STAGES = { "none", "fresh", "schedule", "safe", "open", "closed" }

local function escaped(text)
    return (text:gsub('[\\"\n]', { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n" }))
end

local function shown(number)
    return number == math.huge and "+Inf" or string.format("%.15g", number)
end

-- Adds the samples of a limiter. add(name, value, label, its value, ...); is_faulty: of its poller.
function metrics.of_limiter(add, limiter, is_faulty)
    for _, one in ipairs(limiter.counts:totals()) do
        for _, verdict in ipairs({ "admitted", "denied" }) do
            add("tidegate_requests_total", one[verdict], "class", one.name, "verdict", verdict)
            local beyond = one[verdict .. "_beyond"]
            add("tidegate_requests_beyond_total", beyond, "class", one.name, "verdict", verdict)
        end
    end
    local stage, limit, age_s = limiter:standing()
    add("tidegate_limit_rps", limit or limiter.without_lease)
    for _, known in ipairs(STAGES) do
        add("tidegate_lease_stage", known == (stage or "none") and 1 or 0, "stage", known)
    end
    if stage then
        add("tidegate_lease_age_seconds", age_s)
        add("tidegate_lease_version", limiter.lease.version)
    end
    add("tidegate_enforcing", stage and not limiter:is_dry() and 1 or 0)
    add("tidegate_fault", is_faulty and 1 or 0)
end

-- Returns the exposition.
--
-- more: families of the gateway's own, as above; services: a list of service names;
-- samples_of(add, service): adds the samples of a service.
function metrics.exposition(more, services, samples_of)
    local series, lines = {}, {}
    for _, service in ipairs(services) do
        samples_of(function(name, value, ...)
            local labels, given = { 'service="' .. escaped(service) .. '"' }, { ... }
            for i = 1, #given, 2 do
                labels[#labels + 1] = given[i] .. '="' .. escaped(given[i + 1]) .. '"'
            end
            series[name] = series[name] or {}
            table.insert(series[name], name .. "{" .. table.concat(labels, ",") .. "} " .. shown(value))
        end, service)
    end
    for _, families in ipairs({ FAMILIES, more }) do
        for _, family in ipairs(families) do
            lines[#lines + 1] = "# HELP " .. family[1] .. " " .. family[3]
            lines[#lines + 1] = "# TYPE " .. family[1] .. " " .. family[2]
            for _, line in ipairs(series[family[1]] or {}) do
                lines[#lines + 1] = line
            end
        end
    end
    lines[#lines + 1] = ""
    return table.concat(lines, "\n")
end

return metrics
