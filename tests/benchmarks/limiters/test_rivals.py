import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.limiters.rivals import (
    AIMD,
    AIMDSettings,
    Arrivals,
    Both,
    Fixed,
    FixedPerClient,
    FluidBucket,
    Gradient,
    GradientSettings,
    LimiterReport,
    gradient2,
)


def arrivals(*by_client, now=0.0, inflight=0.0, draining=1000.0):
    return Arrivals(now, np.array([by_client], dtype=float), inflight, draining)


def report(now=0.0, admitted=100.0, latency=0.06, slow=0.0, inflight=1e9, ready=1):
    return LimiterReport(
        now, admitted, latency, latency - 0.05, slow, inflight, ready, float(ready)
    )


def admitted(limiter, came):
    return came.counts * limiter.shares(came)


@given(
    st.lists(st.tuples(st.floats(0, 500), st.floats(0, 200)), min_size=1, max_size=60),
    st.floats(0, 100),
)
def test_no_window_passes_more_than_its_limits_and_one_burst(seconds, burst):
    bucket = FluidBucket()
    taken = [bucket.take(wanted, qps, burst) for wanted, qps in seconds]
    limits = [qps for _, qps in seconds]
    for start in range(len(seconds)):
        for end in range(start + 1, len(seconds) + 1):
            assert sum(taken[start:end]) <= sum(limits[start:end]) + burst + 1e-6


def test_a_fixed_limit_cuts_everybody_alike():
    passed = admitted(Fixed("fixed", 100.0), arrivals(150, 50))
    assert passed.tolist() == [[75.0, 25.0]]


def test_a_limit_per_client_cuts_who_exceeds_it_once_its_burst_is_used():
    limiter = FixedPerClient("clients", 5.0, burst_s=2.0)
    first = admitted(limiter, arrivals(50, 3))
    assert first.tolist() == [[15.0, 3.0]]  # 5 + 2 s x 5
    assert admitted(limiter, arrivals(50, 3)).tolist() == [[5.0, 3.0]]


def test_the_second_of_two_limiters_sees_what_the_first_lets_through():
    both = Both("both", FixedPerClient("clients", 5.0, burst_s=0.0), Fixed("fixed", 4.0))
    assert admitted(both, arrivals(50, 3)).sum() == pytest.approx(4.0)
    assert both.wanted_qps == 8.0
    assert both.limit_qps == 4.0


@pytest.mark.parametrize(
    ("slow", "offered", "limit"),
    [
        pytest.param(0.05, 100.0, 76.0, id="slow requests: 0.95 of the 80 that were admitted"),
        pytest.param(0.005, 100.0, 101.0, id="in use and well: a hundredth more"),
        pytest.param(0.0, 80.0, 100.0, id="not in use: it proves nothing, so it stays"),
    ],
)
def test_aimd_falls_by_a_factor_and_rises_by_a_step(slow, offered, limit):
    limiter = AIMD("AIMD", 100.0, AIMDSettings(0.95, 0.01, tolerated=0.01))
    limiter.shares(arrivals(offered))
    limiter.learn(report(admitted=80.0, slow=slow))
    assert limiter.limit_qps == pytest.approx(limit)


def test_aimd_lets_a_queue_drain_before_it_falls_again():
    limiter = AIMD("AIMD", 100.0, AIMDSettings(decrease=0.5, cool_down_s=3))
    for now in range(4):
        limiter.learn(report(now=float(now), slow=0.5))
    assert limiter.limit_qps == 25.0  # at 0 and at 3 s


@pytest.mark.parametrize(
    ("limit", "short", "long", "after"),
    [
        pytest.param(20.0, 0.1, 0.1, 20.8, id="no queue: a fifth of the 4 that may wait"),
        pytest.param(40.0, 0.3, 0.1, 36.8, id="three times the usual: 0.8 x 40 + 0.2 x (20 + 4)"),
        pytest.param(40.0, 9.0, 0.1, 36.8, id="never by more than half"),
        pytest.param(8.0, 9.0, 0.1, 8.0, id="not below the least"),
        pytest.param(200.0, 0.1, 0.1, 200.0, id="not above the most"),
    ],
)
def test_gradient2_follows_the_change_of_latency(limit, short, long, after):
    assert gradient2(limit, short, long, GradientSettings()) == pytest.approx(after)


def test_gradient_admits_what_ends_and_what_there_is_room_for():
    limiter = Gradient("gradient", GradientSettings(first=20.0))
    limiter.learn(report(inflight=0.0, ready=2))
    came = arrivals(500, inflight=30.0, draining=300.0)
    assert admitted(limiter, came).sum() == pytest.approx(310.0)  # 300 + (2 x 20 - 30)


def test_gradient_does_not_grow_while_it_is_not_in_use():
    limiter = Gradient("gradient")
    limiter.learn(report(inflight=limiter.limit / 2 - 1))
    assert limiter.limit == 20.0
    limiter.learn(report(inflight=limiter.limit))
    assert limiter.limit > 20.0


@pytest.mark.parametrize(
    "limiter", [Fixed("f", 1.0), AIMD("a", 1.0), Gradient("g"), FixedPerClient("c", 1.0)]
)
def test_where_nothing_arrives_nothing_is_refused(limiter):
    assert not math.isnan(limiter.shares(arrivals(0.0)).sum())
    assert limiter.wanted_qps == 0.0
