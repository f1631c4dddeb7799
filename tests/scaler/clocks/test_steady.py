"""The clock that ages are measured by."""

from __future__ import annotations

import time

import pytest

from scaler.clocks.steady import steady_seconds


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="this system does not have it")
def test_it_counts_the_time_that_the_machine_sleeps():
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    found = steady_seconds()
    assert before <= found <= time.clock_gettime(time.CLOCK_BOOTTIME)
