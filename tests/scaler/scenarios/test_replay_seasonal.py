"""Where the day repeats, one forecast saves what the HPA's target spends, and keeps the SLO."""

import pytest

from scaler.simulation.contest import CLAIRVOYANT, FLOOR_ONLY, ContestJob, carried_out
from tests.scaler.scenarios.services import (
    OBJECTIVE_LEFT,
    TARGET,
    came_to,
    hpa,
    net,
    replayed,
    tidegate,
)


@pytest.fixture(scope="module")
def day():
    return replayed()


@pytest.fixture(scope="module")
def ours(day):
    return came_to(day, tidegate(day))


def test_tidegate_needs_a_quarter_fewer_replica_hours_than_the_hpa_and_keeps_the_slo(day, ours):
    assert ours.replica_hours < 0.75 * came_to(day, hpa(day)).replica_hours
    assert ours.violations < OBJECTIVE_LEFT


def test_it_is_close_to_what_who_knows_the_demand_beforehand_needs(day, ours):
    floor = came_to(day, carried_out(day, ContestJob(CLAIRVOYANT, 1.0))[0])
    assert floor.replica_hours < ours.replica_hours < 1.15 * floor.replica_hours


def test_the_autoscaler_beneath_could_not_do_it_alone(day, ours):
    """At the same target without the floor it is cheaper, and breaks the SLO ten times as often."""
    alone = came_to(day, net(day))
    assert alone.violations > 10 * max(ours.violations, OBJECTIVE_LEFT)


def test_a_floor_under_the_hpa_as_it_is_does_no_harm(day):
    both = came_to(day, carried_out(day, ContestJob(FLOOR_ONLY, TARGET))[0])
    alone = came_to(day, hpa(day))
    assert both.violations <= alone.violations
    assert both.replica_hours < 1.02 * alone.replica_hours
