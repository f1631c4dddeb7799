"""A short soak, and an hour in which policies are edited, added and removed each second.

What leaks by the tick shows in the short one, what leaks by the minute in the other.
"""

from __future__ import annotations

import faulthandler

import pytest

from benchmarks.soak import figures, soaked
from benchmarks.soak_scene import Soak

pytestmark = [pytest.mark.prometheus, pytest.mark.nightly]

SHORT = Soak(services=50, minutes=1 / 3, tick_s=1.0, gateways=3, days=1, warm_up_s=6.0)
HOUR = Soak(services=300, minutes=60.0, churn=True)
# In half an hour, in which 1,800 services that left 57 kB each behind took 100 MB. Before, heaps of
# threads take their size; samples to judge forecasts by gather for four hours.
MOST_MB = 10.0


@pytest.mark.usefixtures("prometheus_installed")
def test_ticks_go_on_and_nothing_piles_up() -> None:
    seen = soaked(SHORT)
    assert seen.errors == []
    assert len(seen.began) >= 5  # of 20 that there is time for, on a machine that does a lot else
    assert max(seen.files) <= min(seen.files) + 5  # connections that come and go
    assert max(seen.threads) <= min(seen.threads) + 3
    assert seen.rss_mb[-1] - seen.rss_mb[0] < 40


@pytest.mark.usefixtures("prometheus_installed")
def test_memory_is_flat_while_policies_come_and_go_for_an_hour() -> None:
    faulthandler.cancel_dump_traceback_later()  # it is meant to take longer than any other
    seen = soaked(HOUR)
    early, late = seen.least_mb(900.0, 1800.0), seen.least_mb(2700.0, 3600.0)
    assert late - early < MOST_MB, figures(seen, HOUR)
