"""The level of a demand curve beside the max-min fair division of the same clients."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.gateway.demand_curve import DemandCurve
from scaler.limits.max_min import max_min_fair

COUNTS = st.lists(st.integers(1, 400), min_size=1, max_size=40)


def curve_of(counts) -> DemandCurve:
    curve = DemandCurve()
    for count in counts:
        for ordinal in range(1, count + 1):
            curve.add(ordinal)
    return curve


@given(COUNTS, st.floats(0.5, 5000))
def test_the_level_is_that_of_max_min_fairness(counts, capacity):
    curve = curve_of(counts)
    fair = max_min_fair(capacity, counts).level
    found = curve.level(capacity)

    assert (found == math.inf) == (fair == math.inf)
    if fair < math.inf:
        # Exact for the first 16 requests of a client; beyond, within a cell of an eighth.
        assert found == pytest.approx(fair, rel=1e-9 if fair <= 15 else 0.13)
        assert curve.within(found) == pytest.approx(min(capacity, curve.total), rel=1e-9)


@given(COUNTS)
def test_without_a_level_all_requests_are_within(counts):
    assert curve_of(counts).within(math.inf) == sum(counts)


@given(COUNTS, st.data())
def test_what_is_within_grows_with_the_level(counts, data):
    curve = curve_of(counts)
    low, high = sorted(data.draw(st.tuples(st.floats(0, 500), st.floats(0, 500))))

    assert curve.within(low) <= curve.within(high) + 1e-9


@given(st.lists(st.integers(1, 30), min_size=1, max_size=20))
def test_requests_that_count_as_several_are_as_many_single_ones(hits):
    several, total = DemandCurve(), 0
    for one in hits:
        total += one
        several.add(total, one)
    single = curve_of([total])

    levels = np.linspace(0, total + 1, 50)
    assert [several.within(x) for x in levels] == pytest.approx([single.within(x) for x in levels])


def test_what_is_taken_out_leaves_nothing():
    curve = curve_of([37])
    curve.add(37, 37, -1)

    assert (curve.total, curve.within(100)) == (0, 0)


def test_below_one_request_each_the_level_is_a_share_of_the_clients():
    assert curve_of([1] * 10).level(4) == pytest.approx(0.4)


def test_the_curve_of_several_classes_is_their_sum():
    merged = DemandCurve.merged([curve_of([3, 1]), curve_of([2])])

    assert (merged.total, merged.within(1), merged.within(2)) == (6, 3, 5)
