-- The monotonic clock in seconds, the same for all workers. `ngx.now` is not used: it is the wall
-- clock, which may jump, and it is cached while a worker is busy.

local ffi = require "ffi"

ffi.cdef [[
typedef struct { long seconds; long nanoseconds; } tidegate_timespec;
int tidegate_clock_gettime(int id, tidegate_timespec *now) __asm__("clock_gettime");
]]

local CLOCK_MONOTONIC = 1 -- Linux
local spec = ffi.new("tidegate_timespec")

return function()
    ffi.C.tidegate_clock_gettime(CLOCK_MONOTONIC, spec)
    return tonumber(spec.seconds) + tonumber(spec.nanoseconds) * 1e-9
end
