"""A limit that gateways share, on virtual time: the figures of `python -m benchmarks fairness`."""

import numpy as np
import pytest

from benchmarks.limiters.sharing import (
    Doorman,
    SharedLimit,
    guarantee_kept,
    moving,
    third_starts,
    two_start,
)

WITHIN = 1 + 1e-9


def test_a_class_at_its_guarantee_is_served_while_others_flood_and_nothing_idles():
    found = guarantee_kept(seconds=20.0)
    assert found.served >= 0.99
    assert found.idle <= 0.03
    assert found.most_booked <= WITHIN


@pytest.mark.parametrize(
    ("gateways", "limit_qps"), [(2, 1000.0), (3, 1000.0), (8, 1000.0), (2, 100.0), (8, 100.0)]
)
def test_hardly_a_request_is_refused_while_demand_moves_between_gateways(gateways, limit_qps):
    with SharedLimit(gateways, limit_qps=limit_qps) as sharing:
        refused = moving(sharing, gateways, np.random.default_rng(1), limit_qps, moves=5)
        assert sharing.most_booked <= WITHIN
    assert refused <= 0.06


def test_fewer_are_refused_than_by_doorman_s_fair_share():
    with SharedLimit(3) as sharing:
        ours = moving(sharing, 3, np.random.default_rng(1), moves=4)
    assert ours < moving(Doorman(3), 3, np.random.default_rng(1), moves=4) / 3


def test_where_two_idle_gateways_are_loaded_at_once_neither_is_held_back():
    found = two_start()
    assert found.least_qps >= 200.0  # of 450 that are offered, and in any quarter of a second
    assert found.refused <= 0.05


def test_a_third_gateway_has_its_part_within_its_first_quarter_of_a_second():
    found = third_starts()
    assert found.least_qps >= 0.9 * 1000 * 0.98 / 3
