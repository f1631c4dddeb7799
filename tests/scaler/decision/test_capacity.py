"""The capacity of a replica: given, and lowered while the SLO is missed."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.decision.capacity import (
    MIN_FACTOR,
    Capacity,
    CapacityReason,
    corrected_factor,
    given_capacity,
    lowered_capacity,
)


@pytest.mark.parametrize(
    ("factor", "over_slo", "load", "expected"),
    [
        pytest.param(1.0, True, 0.8, 0.9, id="a missed SLO lowers by a factor"),  # 1 x 0.9
        pytest.param(0.9, True, 0.8, 0.81, id="at each tick"),  # 0.9 x 0.9
        pytest.param(0.9, True, 1.0, 0.81, id="at a load of all the capacity"),
        pytest.param(0.9, True, 1.01, 0.9, id="above it there are too few replicas"),
        pytest.param(0.9, True, math.nan, 0.9, id="under an unknown load nothing changes"),
        pytest.param(0.52, True, 0.8, 0.5, id="never below the minimum"),  # 0.468
        pytest.param(
            0.81, False, 0.8, 0.82, id="a met SLO increases it by a constant"
        ),  # 0.81 + 0.01
        pytest.param(0.995, False, 0.8, 1.0, id="never above what was given"),
        pytest.param(0.81, False, 1.5, 0.82, id="a met SLO counts under any load"),
        pytest.param(0.7, None, 0.8, 0.7, id="an unknown SLO changes nothing"),
    ],
)
def test_the_factor_decreases_by_a_ratio_and_increases_by_a_constant(
    factor, over_slo, load, expected
):
    assert corrected_factor(factor, over_slo=over_slo, load=load) == pytest.approx(expected)


@given(st.lists(st.tuples(st.sampled_from([True, False, None]), st.floats(0, 3))))
def test_the_factor_always_stays_within_its_bounds(observed):
    factor = 1.0
    for over_slo, load in observed:
        factor = corrected_factor(factor, over_slo=over_slo, load=load)
        assert MIN_FACTOR <= factor <= 1.0


def test_the_factor_falls_faster_than_it_recovers():
    factor = corrected_factor(1.0, over_slo=True, load=0.5)
    ticks = 0
    while factor < 1.0:
        factor = corrected_factor(factor, over_slo=False, load=0.5)
        ticks += 1
    assert ticks == 10  # 0.1 / 0.01


def test_a_given_capacity_has_an_interval_of_one_value():
    assert given_capacity(155.0) == Capacity(155.0, CapacityReason.GIVEN, 155.0, 155.0)


def test_lowering_a_capacity_scales_its_interval_and_sets_the_reason():
    learned = Capacity(100.0, CapacityReason.LEARNED, 80.0, 120.0)
    assert lowered_capacity(learned, 0.5) == Capacity(50.0, CapacityReason.LOWERED, 40.0, 60.0)
    assert lowered_capacity(learned, 1.0) is learned


@pytest.mark.parametrize(
    ("figures", "message"),
    [
        pytest.param((0.0, 0.0, 0.0), "capacity is 0.0", id="no capacity"),
        pytest.param((-5.0, -5.0, -5.0), "capacity is -5.0", id="a negative one"),
        pytest.param((math.nan, 1.0, 2.0), "capacity is nan", id="an unknown one"),
        pytest.param((math.inf, 1.0, math.inf), "capacity is inf", id="an endless one"),
        pytest.param((5.0, 6.0, 7.0), r"\[6.0, 7.0\]", id="outside its interval"),
    ],
)
def test_an_impossible_capacity_is_refused(figures, message):
    qps, low, high = figures
    with pytest.raises(ValueError, match=message):
        Capacity(qps, CapacityReason.GIVEN, low, high)
