"""Properties of the HPA for any rules, readings and history."""

import copy

from hypothesis import given
from hypothesis import strategies as st

from scaler.hpa.controller import (
    HPA,
    HPASpec,
    MetricKind,
    PolicyKind,
    Reading,
    Reason,
    ScalingPolicy,
    ScalingRules,
    Select,
)

policies = st.builds(
    ScalingPolicy, st.sampled_from(PolicyKind), st.integers(1, 200), st.sampled_from([15, 60, 600])
)
directions = st.builds(
    ScalingRules,
    st.lists(policies, min_size=1, max_size=3).map(tuple),
    st.sampled_from(Select),
    st.sampled_from([0, 15, 60, 300]),
    st.sampled_from([0.0, 0.05, 0.1, 0.5]),
)
specs = st.builds(
    HPASpec,
    st.integers(1, 5),
    st.integers(5, 60),
    st.sampled_from(MetricKind),
    st.sampled_from([0.05, 0.6, 1.0, 1.5, 2.0]),
    directions,
    directions,
)
# Seconds since the last sync; a total as a multiple of the target; a share of the pods that is
# unready, and one that is missing; None where there is no metric; a raised floor.
totals = st.floats(0, 100)
pods = st.tuples(st.integers(0, 100), st.integers(0, 100))
steps = st.lists(
    st.tuples(
        st.sampled_from([0, 14, 15, 16, 60]),
        st.none() | st.tuples(totals, pods),
        st.none() | st.integers(1, 80),
    ),
    max_size=40,
)


def reading(spec, current, total, shares):
    """Every pod of the count is ready, unready or missing; an external metric sees them ready."""
    unready = missing = 0
    if spec.metric in (MetricKind.UTILIZATION, MetricKind.PODS):
        unready = current * shares[0] // 100
        missing = (current - unready) * shares[1] // 100
    return Reading(total * spec.target, current - unready - missing, unready, missing)


def replay(spec, start, steps):
    """Return (floor, count, recommendation) of every sync, the autoscaler and the last count."""
    hpa, now, current, seen = HPA(spec), 0, start, []
    for wait, sample, floor in steps:
        now += wait
        answer = None if sample is None else reading(spec, current, *sample)
        found = hpa.sync(now, current, answer, floor=floor)
        seen.append((floor, current, found))
        current = found.replicas
    return seen, hpa, current, now


@given(specs, st.integers(1, 80), steps)
def test_the_count_is_always_within_the_bounds(spec, start, steps):
    for floor, _, found in replay(spec, start, steps)[0]:
        low = min(max(spec.min_replicas, floor or 0), spec.max_replicas)
        assert low <= found.replicas <= spec.max_replicas


@given(specs, st.integers(1, 80), steps)
def test_the_same_inputs_give_the_same_counts(spec, start, steps):
    assert replay(spec, start, steps)[0] == replay(spec, start, steps)[0]


@given(specs, st.integers(1, 80), steps, totals, totals, pods)
def test_a_higher_reading_never_gives_fewer_replicas(spec, start, steps, one, other, shares):
    _, hpa, current, now = replay(spec, start, steps)
    counts = [
        copy.deepcopy(hpa).sync(now + 15, current, reading(spec, current, total, shares)).replicas
        for total in sorted((one, other))
    ]
    assert counts == sorted(counts)


@given(specs, st.integers(1, 80), steps)
def test_a_disabled_direction_moves_by_bounds_alone(spec, start, steps):
    for floor, current, found in replay(spec, start, steps)[0]:
        low = max(spec.min_replicas, floor or 0)
        if spec.scale_up.select is Select.DISABLED and current >= low:
            assert found.replicas <= current
        if spec.scale_down.select is Select.DISABLED and current <= spec.max_replicas:
            assert found.replicas >= current


@given(specs, st.integers(1, 80), steps)
def test_stabilization_equals_a_scan_over_all_earlier_recommendations(spec, start, steps):
    """Compare with the plain rule, which scans all recommendations of a window."""
    now, recommendations = 0, [(steps[0][0] if steps else 0, start)]
    seen = replay(spec, start, steps)[0]
    for (wait, sample, _), (_, current, found) in zip(steps, seen, strict=True):
        now += wait
        by_bounds = found.wanted == current and found.reason in (
            Reason.TOO_FEW_REPLICAS,
            Reason.TOO_MANY_REPLICAS,
        )
        if sample is None or by_bounds or found.reason is Reason.FAILED_GET_METRIC:
            continue
        ups = [w for t, w in recommendations if t > now - spec.scale_up.stabilization_s]
        downs = [w for t, w in recommendations if t > now - spec.scale_down.stabilization_s]
        least, most = min([found.wanted, *ups]), max([found.wanted, *downs])
        stable = min(max(current, least), most)
        recommendations.append((now, found.wanted))
        # Between the count and the stable one: policies and bounds only ever hold back.
        assert min(current, stable) <= found.replicas <= max(current, stable)
        if found.reason in (Reason.DESIRED_WITHIN_RANGE, Reason.SCALE_UP_STABILIZED):
            assert found.replicas == stable
