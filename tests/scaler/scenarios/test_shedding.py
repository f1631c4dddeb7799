"""What limiting by what is ready is worth, beside what others do; ratios, with room."""

import pytest

from scaler.simulation.interception import interception
from scaler.simulation.shedding import shed
from scaler.simulation.shedding_scenarios import (
    LIMITER_ALONE,
    TIDEGATE,
    calm,
    compare,
    rivals,
    scenarios,
)

BLIND = ("AIMD", "gradient", "DAGOR")  # they look at nobody in particular


def figures(number):
    return {found.name: found for found in compare(scenarios()[number])}


@pytest.fixture(scope="module")
def promotion():
    return figures(0)


@pytest.fixture(scope="module")
def crowd():
    return figures(1)


@pytest.fixture(scope="module")
def abuse():
    return figures(2)


@pytest.fixture(scope="module")
def overload():
    return figures(3)


def refused_in_a_calm(seed):
    scene = calm(seed)
    happened = shed(scene, scene.traffic(), *rivals(scene)[TIDEGATE]())
    return interception(scene, happened).false_rejects


@pytest.mark.parametrize("seed", [0, 2, 5])
def test_in_a_calm_no_normal_client_is_ever_refused(seed):
    assert refused_in_a_calm(seed) == pytest.approx(0, abs=1e-9)


def test_a_client_43_times_the_median_is_taken_for_abusive_but_for_moments():
    assert refused_in_a_calm(seed=1) < 0.001  # it sends a 74th of all requests


def test_an_announced_promotion_is_served_in_full(promotion):
    ours = promotion[TIDEGATE]
    assert ours.served > 0.99
    assert ours.false_rejects < 0.01
    assert ours.violations < 0.001
    others = [found for name, found in promotion.items() if name != TIDEGATE]
    assert all(found.false_rejects > 3 * ours.false_rejects for found in others)


def test_abusive_clients_are_refused_and_normal_ones_are_not(abuse):
    assert abuse[TIDEGATE].accuracy >= 0.97
    assert abuse[TIDEGATE].false_rejects <= 0.01
    assert abuse[TIDEGATE].abuse_blocked > 0.98


def test_who_is_abusive_is_seen_without_looking_ahead(abuse):
    assert abuse[LIMITER_ALONE].abuse_blocked > 0.98
    assert all(abuse[name].abuse_blocked < 0.5 for name in BLIND)


def test_abuse_is_not_paid_for_with_replicas(abuse):
    assert all(abuse[LIMITER_ALONE].replica_hours < abuse[name].replica_hours for name in BLIND)


def test_the_most_important_class_survives_any_overload(promotion, crowd, abuse, overload):
    for scene in (promotion, crowd, abuse, overload):
        assert scene[TIDEGATE].critical > 0.995
        assert scene[LIMITER_ALONE].critical > 0.995


def test_what_is_ready_is_used(promotion, crowd, abuse, overload):
    for scene in (promotion, crowd, abuse, overload):
        assert scene[TIDEGATE].goodput > 0.94  # 0.95 of the capacity is admitted at most


def test_what_is_admitted_is_served_in_time(crowd, overload):
    for scene in (crowd, overload):
        assert scene[TIDEGATE].violations < 0.001
        assert scene[TIDEGATE].p99_s < 0.5
        assert scene["gradient"].violations > 10 * scene[TIDEGATE].violations


def test_refused_demand_still_raises_replicas(crowd, overload):
    assert crowd[TIDEGATE].served > crowd[LIMITER_ALONE].served
    assert overload[TIDEGATE].served > overload[LIMITER_ALONE].served


def test_a_limit_set_once_wastes_what_was_added(promotion):
    assert promotion["fixed limit"].goodput < 0.9 * promotion[LIMITER_ALONE].goodput
