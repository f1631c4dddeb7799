"""Max-min fair: who gets less than wanted gets no less than any other claimant."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.limits.max_min import max_min_by_owner, max_min_fair

amounts = st.floats(0, 1e6).map(lambda qps: round(qps, 3))
claims = st.lists(st.tuples(amounts, st.floats(0.1, 10)), min_size=1, max_size=30)


@pytest.mark.parametrize(
    ("capacity", "wants", "weights", "qps", "level"),
    [
        pytest.param(120, [1000, 50, 10], None, [60, 50, 10], 60, id="Doorman's FAIR_SHARE"),
        pytest.param(60, [1000, 50, 10], None, [25, 25, 10], 25, id="two share what one leaves"),
        pytest.param(30, [1000, 50, 10], None, [10, 10, 10], 10, id="the level meets a want"),
        pytest.param(1060, [1000, 50, 10], None, [1000, 50, 10], math.inf, id="all satisfied"),
        pytest.param(5000, [1000, 50, 10], None, [1000, 50, 10], math.inf, id="no more than wants"),
        pytest.param(0, [1000, 50, 0], None, [0, 0, 0], 0, id="of nothing all get nothing"),
        pytest.param(7, [], None, [], math.inf, id="nobody"),
        pytest.param(90, [100, 100], [2, 1], [60, 30], 30, id="the level counts by weight"),
        pytest.param(90, [40, 100], [2, 1], [40, 50], 50, id="satisfied below a double part"),
    ],
)
def test_claimants_are_filled_up_to_one_level(capacity, wants, weights, qps, level):
    fair = max_min_fair(capacity, wants, weights)
    assert (fair.qps.tolist(), fair.level) == (qps, level)


@given(amounts, claims)
def test_all_capacity_is_used_and_no_claimant_gets_more_than_it_wants(capacity, claims):
    wants, weights = np.array(claims).T
    fair = max_min_fair(capacity, wants, weights)
    assert fair.qps.sum() == pytest.approx(min(capacity, wants.sum()))
    assert (fair.qps <= wants).all()
    assert (fair.qps >= 0).all()


@given(amounts, claims)
def test_no_claimant_is_below_the_level_unless_satisfied(capacity, claims):
    wants, weights = np.array(claims).T
    fair = max_min_fair(capacity, wants, weights)
    unsatisfied = fair.qps < wants
    assert (fair.qps[unsatisfied] == weights[unsatisfied] * fair.level).all()
    assert (fair.qps <= weights * fair.level).all()


@given(amounts, claims, st.randoms(use_true_random=False))
def test_the_order_of_claimants_does_not_matter(capacity, claims, random):
    shuffled = random.sample(range(len(claims)), len(claims))
    wants, weights = np.array(claims).T
    fair = max_min_fair(capacity, wants, weights)
    again = max_min_fair(capacity, wants[shuffled], weights[shuffled])
    np.testing.assert_allclose(again.qps, fair.qps[shuffled], rtol=1e-9, atol=1e-6)


@given(amounts, amounts, claims)
def test_more_capacity_lowers_no_share(capacity, more, claims):
    wants, weights = np.array(claims).T
    before = max_min_fair(capacity, wants, weights).qps
    after = max_min_fair(capacity + more, wants, weights).qps
    assert (after >= before - 1e-6).all()


owned = st.lists(st.tuples(amounts, st.integers(0, 4)), min_size=1, max_size=30)


def by_owner(capacity, owned):
    wants, owners = np.array(owned).T
    _, owners = np.unique(owners, return_inverse=True)
    return wants, owners, max_min_by_owner(capacity, wants, owners)


@given(amounts, owned)
def test_each_owner_gets_what_it_would_as_one_claimant(capacity, owned):
    wants, owners, qps = by_owner(capacity, owned)
    each = max_min_fair(capacity, np.bincount(owners, weights=wants)).qps
    np.testing.assert_allclose(np.bincount(owners, weights=qps), each, rtol=1e-9, atol=1e-6)


@given(amounts, owned)
def test_an_owner_s_part_is_divided_by_max_min_too(capacity, owned):
    wants, owners, qps = by_owner(capacity, owned)
    for owner in set(owners):
        mine = owners == owner
        fair = max_min_fair(qps[mine].sum(), wants[mine]).qps
        np.testing.assert_allclose(qps[mine], fair, rtol=1e-6, atol=1e-3)


def test_wants_that_exceed_a_capacity_in_the_last_digit_alone_are_met():
    wants = np.array([0.0, 127.87831512015211, 0.3, 221.15918570268022, 290.0540747779282])
    capacity = math.nextafter(wants.sum(), 0)  # which another order of the sum does not exceed

    assert max_min_fair(capacity, wants).qps == pytest.approx(wants)


def test_absurd_wants_cost_the_others_no_digits():
    qps = max_min_by_owner(100.0, [1e300, 1e300, 30.0, 20.0], np.array([0, 0, 1, 1]))
    assert qps.tolist() == pytest.approx([25.0, 25.0, 30.0, 20.0])


def test_ten_thousand_clients_are_divided_at_once():
    wants = np.random.default_rng(7).lognormal(sigma=2.0, size=10_000)
    fair = max_min_fair(wants.sum() / 2, wants)
    assert np.minimum(wants, fair.level).sum() == pytest.approx(wants.sum() / 2)


@pytest.mark.parametrize(
    ("capacity", "wants", "weights"),
    [
        pytest.param(-1, [1], None, id="negative capacity"),
        pytest.param(math.inf, [1], None, id="infinite capacity"),
        pytest.param(1, [math.nan], None, id="unknown wants"),
        pytest.param(1, [-1], None, id="negative wants"),
        pytest.param(1, [2, 2], [1], id="a weight too few"),
        pytest.param(1, [2, 2], [1, 0], id="weight of nothing"),
    ],
)
def test_impossible_claims_are_refused(capacity, wants, weights):
    with pytest.raises(ValueError, match="must be finite"):
        max_min_fair(capacity, wants, weights)
