"""The limit follows the ready capacity and names the constraint that bound it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.decision.limit import Limit, LimitPolicy, LimitReason, Ramp, limit_for, ready_capacity

RAMP = Ramp(duration_s=60, initial=0.2)
ages = st.lists(st.floats(-300, 300), max_size=20)
ramps = st.builds(Ramp, st.floats(0, 300), st.floats(0, 1))
policies = st.builds(
    LimitPolicy, headroom=st.floats(0.1, 1), ceiling_qps=st.floats(0, 1e5), burst_s=st.floats(0, 5)
)


@pytest.mark.parametrize(
    ("pods", "expected"),
    [
        pytest.param([], 0.0, id="no pod serves nothing"),
        pytest.param([-1e-6], 0.0, id="a pod that is still starting serves nothing"),
        pytest.param([0], 20.0, id="a pod begins at the ramp's initial share"),  # 100 x 0.2
        pytest.param([15], 40.0, id="the ramp is linear"),  # 100 x (0.2 + 0.8 x 15/60)
        pytest.param([60], 100.0, id="at the ramp's end a pod is warm"),
        pytest.param([600, 600, 30], 260.0, id="pods add up"),  # 100 x (1 + 1 + 0.6)
    ],
)
def test_ready_capacity_counts_each_pod_by_its_ramp(pods, expected):
    assert ready_capacity(pods, 100.0, RAMP) == pytest.approx(expected)


@given(ages, ramps)
def test_a_group_of_pods_counts_as_the_pods_in_it(pods, ramp):
    groups = sorted(set(pods))
    counts = [pods.count(age) for age in groups]
    assert ready_capacity(groups, 50.0, ramp, counts) == pytest.approx(
        ready_capacity(pods, 50.0, ramp)
    )


@given(ages, ramps, st.floats(0, 60))
def test_the_capacity_of_pods_only_grows_with_time(pods, ramp, later_s):
    later = ready_capacity([age + later_s for age in pods], 50.0, ramp)
    assert later >= ready_capacity(pods, 50.0, ramp) - 1e-9


@pytest.mark.parametrize(
    ("ready_qps", "policy", "given_", "expected"),
    [
        pytest.param(
            1000.0,
            LimitPolicy(headroom=0.95),
            {},
            Limit(950.0, 95, LimitReason.CAPACITY),  # 1000 x 0.95; x 0.1 s
            id="capacity with headroom",
        ),
        pytest.param(
            1000.0,
            LimitPolicy(headroom=1.0, ceiling_qps=400.0),
            {},
            Limit(400.0, 40, LimitReason.CEILING),
            id="the policy's ceiling binds",
        ),
        pytest.param(
            1000.0,
            LimitPolicy(headroom=1.0),
            {"capacity_factor": 0.7},
            Limit(700.0, 70, LimitReason.OVERLOAD),
            id="overload lowers the capacity",
        ),
        pytest.param(
            1000.0,
            LimitPolicy(headroom=1.0, ceiling_qps=600.0),
            {"capacity_factor": 0.7},
            Limit(600.0, 60, LimitReason.CEILING),
            id="a ceiling below the overloaded capacity is the one that binds",
        ),
        pytest.param(
            0.0,
            LimitPolicy(ceiling_qps=400.0),
            {},
            Limit(0.0, 0, LimitReason.NOTHING_READY),
            id="nothing Ready admits nothing",
        ),
        pytest.param(
            0.5,
            LimitPolicy(headroom=1.0),
            {},
            Limit(0.5, 1, LimitReason.CAPACITY),
            id="a burst has room for at least one request",
        ),
        pytest.param(
            3.0,
            LimitPolicy(headroom=1.0, burst_s=1.1),
            {},
            Limit(3.0, 4, LimitReason.CAPACITY),  # 3.3 requests need room for 4
            id="a burst is rounded up",
        ),
    ],
)
def test_the_limit_names_the_constraint_that_bound_it(ready_qps, policy, given_, expected):
    assert limit_for(ready_qps, policy, **given_) == expected


@given(st.floats(0, 1e6), policies, st.floats(0.01, 1))
def test_the_limit_never_exceeds_the_ready_capacity_nor_the_ceiling(ready_qps, policy, factor):
    limit = limit_for(ready_qps, policy, capacity_factor=factor)
    assert 0 <= limit.qps <= min(ready_qps, policy.ceiling_qps)


@given(st.floats(0, 1e6), st.floats(0, 1e6), policies, st.floats(0.01, 1))
def test_more_ready_capacity_never_lowers_the_limit(ready_qps, more, policy, factor):
    less = limit_for(ready_qps, policy, capacity_factor=factor)
    limit = limit_for(ready_qps + more, policy, capacity_factor=factor)
    assert limit.qps >= less.qps
    assert limit.burst >= less.burst


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(lambda: Ramp(-1.0), id="ramp of negative length"),
        pytest.param(lambda: Ramp(1.0, 1.5), id="ramp from above one"),
        pytest.param(lambda: LimitPolicy(headroom=0.0), id="no headroom at all"),
        pytest.param(lambda: LimitPolicy(headroom=1.1), id="more than is ready"),
        pytest.param(lambda: LimitPolicy(ceiling_qps=math.nan), id="unknown ceiling"),
        pytest.param(lambda: LimitPolicy(burst_s=-1.0), id="negative burst"),
        pytest.param(lambda: ready_capacity([math.nan], 1.0, RAMP), id="pod of unknown age"),
        pytest.param(lambda: ready_capacity([1.0], math.nan, RAMP), id="unknown capacity"),
        pytest.param(lambda: ready_capacity([1.0], 1.0, RAMP, [-1]), id="negative count"),
        pytest.param(lambda: limit_for(math.nan, LimitPolicy()), id="unknown ready capacity"),
        pytest.param(
            lambda: limit_for(1.0, LimitPolicy(), capacity_factor=0.0), id="a factor of 0"
        ),
    ],
)
def test_impossible_input_is_refused(broken):
    with pytest.raises(ValueError, match=r"but|leave out"):
        broken()
