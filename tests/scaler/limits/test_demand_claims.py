"""What gateways report: followed at once where it moves, steady where it does not, and checked."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.limits.demand_claims import NO_CLAIM, NO_CLASS, DemandEstimate, OfferedDemand
from scaler.limits.priority_classes import ClassLimit, ClassReason, ClassSplit


def said(admitted, refused=0.0, *, pay=None, seconds=2.0):
    """Return a report of so many requests per second of no class; ``pay``: admitted, refused."""
    offered, passed = {NO_CLASS: admitted + refused}, {NO_CLASS: admitted}
    if pay is not None:
        offered["pay"], passed["pay"] = sum(pay), pay[0]
    return OfferedDemand(seconds, offered, passed, by_class=pay is not None)


def leased(spare, pay=0.0):
    limit = ClassLimit("pay", 0, 0.0, pay, pay + spare, ClassReason.DEMAND)
    return ClassSplit((limit,), spare)


def after(*reports, parts=None):
    """Return the claim after these reports, under one lease since the beginning."""
    claim = NO_CLAIM if parts is None else NO_CLAIM.leased(parts)
    for report in reports:
        claim = claim.reported(report)
    return claim


def test_demand_that_moves_is_followed_by_the_first_report():
    claim = after(*[said(100.0)] * 10, said(300.0, seconds=0.2))
    assert claim.rates[NO_CLASS].qps == 300.0
    assert after(*[said(100.0)] * 10, said(5.0, seconds=0.2)).rates[NO_CLASS].qps == 5.0


def test_chance_changes_little_and_seldom():
    rng = np.random.default_rng(3)
    estimate, seen = DemandEstimate.first(100.0, 2.0), []
    for count in rng.poisson(200, 300):
        estimate = estimate.updated_by(count / 2, 2.0)
        seen.append(estimate.qps)
    assert np.mean(np.array(seen[1:]) != seen[:-1]) < 0.4
    assert np.abs(np.array(seen) - 100).mean() < 3.0  # one report is off by 7 as often as not


def test_even_demand_is_known_to_a_hundredth():
    claim = after(*[said(100.5), said(99.5)] * 10)
    assert claim.rates[NO_CLASS].qps == pytest.approx(100.0, rel=0.01)


@given(st.floats(0, 1e6), st.lists(st.floats(-1, 1), min_size=1, max_size=30))
def test_a_claim_covers_what_the_mean_may_be_off(qps, noise):
    estimate = DemandEstimate.first(qps, 10.0)
    for one in noise:
        estimate = estimate.updated_by(qps * (1 + one / 20), 10.0)
        assert estimate.claim_qps >= 0.999 * estimate.mean_qps - 0.06


def test_a_class_that_is_not_named_any_more_is_not_wanted_any_more():
    claim = after(said(10.0, pay=(50.0, 0.0)), said(10.0))
    assert (claim.rates.keys(), claim.by_class) == ({NO_CLASS}, True)


def test_made_up_names_of_classes_are_forgotten():
    claim = NO_CLAIM
    for i in range(200):
        claim = claim.reported(OfferedDemand(2.0, {NO_CLASS: 1.0, f"made-up-{i}": 0.5 + i * 1e3}))
    assert len(claim.rates) < 30


@pytest.mark.parametrize(
    ("parts", "report", "name", "qps"),
    [
        pytest.param(leased(100.0), said(99.0, 400.0), NO_CLASS, 499.0, id="who uses what it has"),
        pytest.param(leased(100.0), said(20.0, 1e9), NO_CLASS, 31.0, id="who does not"),
        pytest.param(leased(100.0), said(20.0), NO_CLASS, 20.0, id="who refuses nothing"),
        pytest.param(
            leased(9, pay=10.0), said(5.0, pay=(10.0, 40.0)), "pay", 50.0, id="a class at its own"
        ),
        pytest.param(
            leased(10.0, pay=90.0), said(9.0, 70.0, pay=(4.0, 0.0)), NO_CLASS, 79.0, id="the spare"
        ),
        pytest.param(
            leased(10.0, pay=90.0), said(0.0, pay=(4.0, 1e9)), "pay", 7.0, id="a class with room"
        ),
        pytest.param(
            leased(40.0, pay=10.0), said(4.0, 70.0, pay=(46.0, 9.0)), NO_CLASS, 74.0,
            id="where a class has used up the spare",
        ),
        pytest.param(None, said(1.0, 1e6), NO_CLASS, 1e6 + 1, id="nobody knows what it has"),
    ],
)  # fmt: skip
def test_what_is_refused_for_long_counts_for_who_uses_what_it_has(parts, report, name, qps):
    assert after(report, report, parts=parts).rates[name].qps == pytest.approx(qps)


def test_what_is_refused_for_the_first_time_counts_for_demand_may_just_have_come():
    assert after(said(20.0, 400.0), parts=leased(100.0)).rates[NO_CLASS].qps == 420.0


def test_small_buckets_refuse_some_of_any_traffic_and_are_not_judged():
    few = said(2.0, 3.0)
    assert after(few, few, parts=leased(9.0)).rates[NO_CLASS].qps == pytest.approx(5.0)


def test_a_gateway_is_held_to_the_least_that_it_had_since_its_last_report():
    short = said(12.0, 300.0)
    grown = after(short, parts=leased(12.0)).leased(leased(500.0)).reported(short)
    assert grown.rates[NO_CLASS].qps == pytest.approx(312.0)
    # From then on it has 500, and uses little of it.
    assert grown.reported(short).rates[NO_CLASS].qps < 20.0


@given(st.lists(st.tuples(st.floats(0, 1e9), st.floats(0.01, 10)), max_size=20))
def test_estimates_are_finite_and_never_below_nothing(reports):
    estimate = DemandEstimate.first(0.0, 1.0)
    for qps, seconds in reports:
        estimate = estimate.updated_by(qps, seconds)
        assert 0 <= estimate.qps <= 1e9 * (1 + 1e-9)
        assert math.isfinite(estimate.claim_qps)
