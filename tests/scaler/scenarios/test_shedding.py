"""What limiting by what is ready is worth in the scenes of the benchmark, request by request.

Each scene has a tenth of its clients, requests and capacity here, the promotion a twentieth; the
nightly ones have all.
"""

from dataclasses import replace

import pytest

from benchmarks.limiters.closed_loop import shed
from benchmarks.limiters.outcome import interception
from benchmarks.limiters.scenes import (
    LIMITER_ALONE,
    TIDEGATE,
    calm,
    compare,
    rivals,
    scenarios,
    smaller,
)

BLIND = ("AIMD", "gradient", "DAGOR")  # they look at nobody in particular
PROMOTION, CROWD, ABUSE, OVERLOAD = range(4)


def tidegate_in(number, part=0.1):
    (found,) = compare(smaller(scenarios()[number], part), (TIDEGATE,))
    return found


@pytest.fixture(scope="module")
def promotion():
    return tidegate_in(PROMOTION, 0.05)


@pytest.fixture(scope="module")
def abuse():
    return tidegate_in(ABUSE)


@pytest.fixture(scope="module")
def overload():
    """Without its second half, in which the overload goes on and ends."""
    scene = smaller(scenarios()[OVERLOAD], 0.1)
    levels = {"normal_level": scene.normal_level, "abusive_level": scene.abusive_level}
    half = {name: level[: len(level) // 2] for name, level in levels.items()}
    (found,) = compare(replace(scene, **half), (TIDEGATE,))
    return found


def refused(scene):
    happened = shed(scene, scene.traffic(), rivals(scene)[TIDEGATE]())
    return interception(scene, happened).false_rejects


@pytest.mark.parametrize("seed", [0, 3])
def test_in_a_calm_hardly_a_request_is_refused_though_bursts_are_a_dozen_requests(seed):
    assert refused(smaller(calm(seed), 0.1)) < 0.01


@pytest.mark.nightly
def test_in_a_calm_no_request_is_refused_where_bursts_are_large():
    assert refused(calm(seed=0)) == 0.0


@pytest.mark.nightly
def test_a_client_43_times_the_median_is_not_refused_where_all_fit():
    assert refused(calm(seed=1)) == 0.0


def test_an_announced_promotion_is_served(promotion):
    assert promotion.served > 0.99
    assert promotion.false_rejects < 0.01
    assert promotion.violations < 0.001


def test_beside_abusive_clients_normal_ones_are_not_refused(abuse):
    assert abuse.false_rejects <= 0.01
    assert abuse.served > 0.99


def test_the_most_important_class_survives_abuse(promotion, abuse):
    assert promotion.critical > 0.995
    assert abuse.critical > 0.995


def test_the_most_important_class_survives_an_overload(overload):
    assert overload.critical > 0.995


def test_what_is_ready_is_used(promotion, overload):
    assert promotion.goodput > 0.98
    assert overload.goodput > 0.85


def test_what_is_admitted_is_served_in_time(overload):
    assert overload.violations < 0.001
    assert overload.p99_s < 0.5


def test_two_gateways_that_share_a_limit_serve_a_promotion_as_one_does(promotion):
    scene = smaller(scenarios()[PROMOTION], 0.05)
    (two,) = compare(replace(scene, gateways=2), (TIDEGATE,))
    assert two.served == pytest.approx(promotion.served, abs=0.01)
    assert two.violations < 0.001


# Beside the rivals, in full size


def everybody(number):
    return {found.name: found for found in compare(scenarios()[number])}


@pytest.fixture(scope="module")
def full_promotion():
    return everybody(PROMOTION)


@pytest.fixture(scope="module")
def full_abuse():
    return everybody(ABUSE)


@pytest.fixture(scope="module")
def full_overload():
    return everybody(OVERLOAD)


@pytest.mark.nightly
def test_nobody_else_serves_an_announced_promotion_as_well(full_promotion):
    ours = full_promotion.pop(TIDEGATE)
    assert all(found.false_rejects > 3 * ours.false_rejects for found in full_promotion.values())


@pytest.mark.nightly
def test_beside_abuse_others_refuse_normal_clients(full_abuse):
    assert full_abuse[LIMITER_ALONE].false_rejects < 0.5 * min(
        full_abuse[name].false_rejects for name in BLIND
    )


@pytest.mark.nightly
def test_what_is_ready_is_used_beside_an_autoscaler_that_sees_only_what_passed(full_abuse):
    assert full_abuse[LIMITER_ALONE].goodput > 0.94


@pytest.mark.nightly
def test_others_admit_what_is_not_served_in_time(full_overload):
    ours = full_overload[TIDEGATE]
    assert full_overload["gradient"].violations > 10 * ours.violations


@pytest.mark.nightly
def test_refused_demand_still_raises_replicas(full_overload):
    assert full_overload[TIDEGATE].served > full_overload[LIMITER_ALONE].served


@pytest.mark.nightly
def test_a_limit_set_once_wastes_what_was_added(full_promotion):
    assert full_promotion["fixed limit"].goodput < 0.9 * full_promotion[LIMITER_ALONE].goodput
