"""A short soak: `python -m benchmarks soak` takes half an hour of the same.

What leaks by the minute shows in half an hour; what leaks by the tick shows here.
"""

from __future__ import annotations

import pytest

from benchmarks.soak import soaked
from benchmarks.soak_scene import Soak

pytestmark = [pytest.mark.prometheus, pytest.mark.nightly]

PLAN = Soak(services=50, minutes=1 / 3, tick_s=1.0, gateways=3, days=1, warm_up_s=6.0)


@pytest.mark.usefixtures("prometheus_installed")
def test_ticks_go_on_and_nothing_piles_up() -> None:
    seen = soaked(PLAN)
    assert seen.errors == []
    assert len(seen.began) >= 5  # of 20 that there is time for, on a machine that does a lot else
    assert max(seen.files) <= min(seen.files) + 5  # connections that come and go
    assert max(seen.threads) <= min(seen.threads) + 3
    assert seen.rss_mb[-1] - seen.rss_mb[0] < 40
