"""A short soak, and an hour in which policies are edited, added and removed each second.

What leaks by the tick shows in the short one, what leaks by the minute in the other.
"""

from __future__ import annotations

import faulthandler
import sys

import pytest

from benchmarks.soak import Seen, figures, soaked
from benchmarks.soak_scene import Soak

pytestmark = [pytest.mark.prometheus, pytest.mark.nightly]

SHORT = Soak(services=50, minutes=1 / 3, tick_s=1.0, gateways=3, days=1, warm_up_s=6.0)
HOUR = Soak(services=300, minutes=60.0, churn=True)
# Until then windows fill, of the latest latencies and of the threads' heaps.
SETTLED_S = 1200.0
# What 300 services that stay still gather: samples to judge forecasts by take 8 MB in four hours.
MOST_MB_PER_H = 12.0


def assert_nothing_piles_up(seen: Seen) -> None:
    assert seen.errors == []
    assert max(seen.files) <= min(seen.files) + 5  # connections that come and go
    assert max(seen.threads) <= min(seen.threads) + 3


@pytest.mark.usefixtures("prometheus_installed")
def test_ticks_go_on_and_nothing_piles_up() -> None:
    seen = soaked(SHORT)
    assert_nothing_piles_up(seen)
    assert len(seen.began) >= 5  # of 20 that there is time for, on a machine that does a lot else
    assert seen.rss_mb[-1] - seen.rss_mb[0] < 40


@pytest.mark.usefixtures("prometheus_installed")
def test_memory_is_flat_while_policies_come_and_go_for_an_hour() -> None:
    faulthandler.cancel_dump_traceback_later()  # it is meant to take longer than any other
    seen = soaked(HOUR)
    print(*figures(seen, HOUR), sep="\n", file=sys.stderr)
    assert_nothing_piles_up(seen)
    assert seen.slope_mb_per_h(SETTLED_S) < MOST_MB_PER_H
