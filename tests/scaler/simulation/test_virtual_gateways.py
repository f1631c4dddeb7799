"""Gateways on virtual time keep what real ones promise, without a network or a clock."""

from contextlib import ExitStack

import numpy as np
import pytest

from scaler.adapters.http.settings import ApiSettings
from scaler.limits.lease import LeaseTerms
from scaler.simulation.virtual_gateways import VirtualGateways
from tests.scaler.adapters.http.snapshots import snapshot, view

SHOP = "prod/shop"
USUAL = LeaseTerms()


@pytest.fixture
def starting():
    """Return a function that starts gateways, which end with the test."""
    with ExitStack() as ending:
        yield lambda *args, **options: ending.enter_context(VirtualGateways(*args, **options))


@pytest.fixture
def site(starting):
    """Return a function that starts gateways of a service whose replicas sustain 155 QPS each."""

    def started(count, *, start=0.0, ready=8, lease=USUAL, **options):
        gateways = starting(SHOP, count, start, np.random.default_rng(0), **options)
        gateways.publish(snapshot(view(ready=ready, lease=lease)), start)
        return gateways

    return started


def sent(gateways, begin, end, rates):
    """Send evenly spaced requests to each gateway; return how many of each passed."""
    admit = gateways.admit
    passed = [0] * len(rates)
    requests = sorted(
        (now, i) for i, qps in enumerate(rates) for now in np.arange(begin, end, 1 / qps).tolist()
    )
    for now, i in requests:
        if now >= gateways.due:
            gateways.run(now)
        passed[i] += admit[i](None, None, now).allowed
    return passed


def test_no_gateways_are_refused():
    with pytest.raises(ValueError, match="0 gateways"):
        VirtualGateways(SHOP, 0, 0.0, np.random.default_rng(0))


def test_before_the_first_tick_everything_passes_and_then_a_lease_is_asked_for(starting):
    gateways = starting(SHOP, 1, 0.0, np.random.default_rng(0))
    assert sent(gateways, 0.0, 5.0, [3000.0]) == [15000]
    gateways.publish(snapshot(view()), 5.0)
    gateways.run(8.0)  # it was told to come back in 2 s
    assert gateways.limits_qps() == pytest.approx([1240 * 0.98], abs=0.01)  # 2 % for newcomers


def test_a_limit_is_enforced_by_all_gateways_together(site):
    gateways = site(2)
    sent(gateways, 0.0, 10.0, [800.0, 800.0])  # until both have said what they want
    passed = sent(gateways, 10.0, 20.0, [800.0, 800.0])
    assert sum(passed) <= 10 * 1240 + 124  # the burst
    assert sum(passed) > 0.97 * 10 * 1240 * 0.98


def test_gateways_that_begin_with_the_first_tick_ask_only_after_it(site, caplog):
    gateways = site(2)
    assert [record.getMessage() for record in caplog.records] == []
    assert 0.97 * 1240 < sum(gateways.limits_qps()) <= 1240


def test_shares_follow_what_each_gateway_is_asked_for(site):
    gateways = site(2)
    sent(gateways, 0.0, 20.0, [900.0, 100.0])
    first, second = gateways.limits_qps()
    left = 1240 * 0.98 - 1000 - 120  # and what pay is guaranteed, which goes as all does
    assert first - second == pytest.approx(800 + 0.4 * (left + 120), rel=0.05)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_all_shares_together_never_exceed_the_limits_of_a_lease_s_time(site, count):
    gateways = site(count)
    rng, limits = np.random.default_rng(1), [1240.0]
    for second in range(1, 60):
        if second % 15 == 0:
            ready = int(rng.integers(2, 12))
            limits.append(155.0 * ready)
            gateways.publish(snapshot(view(ready=ready)), float(second))
        sent(gateways, float(second), second + 1.0, rng.uniform(1, 500, count).tolist())
        assert sum(gateways.limits_qps()) <= max(limits[-2:]) + 1e-6


def test_a_tick_is_known_to_those_that_wait_at_once(site):
    gateways = site(1)
    gateways.run(10.0)
    gateways.publish(snapshot(view(ready=2)), 10.0)
    assert sum(gateways.limits_qps()) <= 2 * 155.0


def test_a_lease_is_renewed_for_as_long_as_ticks_come(site):
    gateways = site(1)
    for second in range(15, 300, 15):
        gateways.publish(snapshot(view()), float(second))
        gateways.run(second + 14.9)
        assert gateways.limits_qps() == pytest.approx([1240 * 0.98], abs=0.01)


def test_while_no_tick_comes_the_lease_ages(site):
    gateways = site(1, settings=ApiSettings(learns_shares=False, stale_after_s=45.0))
    gateways.run(1000.0)
    assert gateways.limits_qps() == [np.inf]  # safe, then open


def test_the_same_seed_gives_the_same_decisions(site):
    one, again = (sent(site(3), 0.0, 10.0, [700.0, 200.0, 900.0]) for _ in range(2))
    assert one == again
