"""Demand falls to a twentieth at once, and is back at once: what holding is worth."""

import pytest

from benchmarks.outages import outage
from tests.scaler.scenarios.services import OBJECTIVE_LEFT, quiet_service

REACH = 30  # minutes until which the forecast of before the outage goes on
HOURS = [pytest.param(8 * 60, id="in the morning"), pytest.param(19 * 60, id="in the evening")]


@pytest.mark.parametrize("begins", HOURS)
@pytest.mark.parametrize("minutes", [5, 15, 30, 60])
def test_what_is_held_is_there_when_demand_is_back(begins, minutes):
    quiet = quiet_service()
    found = outage(quiet, len(quiet) - 1440 + begins, minutes)
    assert found.held.violations <= found.hpa.violations
    if minutes <= REACH:
        assert found.held.violations <= OBJECTIVE_LEFT
    if minutes >= 15:  # until then replicas stay anyway, within the stabilization window
        assert found.held.violations <= found.without.violations / 3
    assert found.held.replica_hours <= 1.05 * found.hpa.replica_hours
