"""Seconds that are never set and go on while the machine sleeps, for ages.

`time.monotonic` stands still on Linux while the machine is suspended: a leader that wakes up after
ten minutes would still hold its Lease by it, and a lease would still be fresh.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial


def _steady_clock() -> Callable[[], float]:
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    if boottime is None:
        return time.monotonic
    try:
        time.clock_gettime(boottime)
    except OSError:  # the sandbox of some containers does not have it
        return time.monotonic
    return partial(time.clock_gettime, boottime)


# Seconds since some moment; comparable within this machine until it boots.
steady_seconds = _steady_clock()
