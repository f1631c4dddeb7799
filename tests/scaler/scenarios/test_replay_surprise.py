"""What nobody could foresee: tidegate is no worse than the autoscaler it stands on."""

import numpy as np
import pytest

from scaler.decision.demand import AnnouncedEvent
from tests.scaler.scenarios.services import (
    OBJECTIVE_LEFT,
    came_to,
    net,
    quiet_service,
    replayed,
    tidegate,
)

# Samples of the last day: the jump, at the height of the evening.
BEGIN, END = 1140, 1200


def crowd(day: np.ndarray) -> np.ndarray:
    """Three times as much for an hour."""
    day[BEGIN:END] *= 3
    return day


def risen(day: np.ndarray) -> np.ndarray:
    """Twice as much, from one minute to the next and for good."""
    day[840:] *= 2
    return day


@pytest.mark.parametrize("change", [crowd, risen])
def test_a_jump_that_nobody_foresaw_is_no_worse_than_under_the_net_alone(change):
    setting = replayed(change)
    ours, alone = came_to(setting, tidegate(setting)), came_to(setting, net(setting))
    assert ours.violations <= alone.violations
    assert ours.worst_minute <= alone.worst_minute


def test_the_jump_is_answered_as_soon_as_it_was_measured():
    setting = replayed(crowd)
    done = tidegate(setting)
    begin = BEGIN * 4
    need = setting.scene.demand[begin + 8] / setting.capacity_qps
    # Half of the window of a minute is over after two ticks, and it is a tick or two old.
    assert done.replicas[begin + 8] >= need


def test_a_jump_that_was_announced_breaks_nothing():
    quiet = quiet_service()
    first = len(quiet) - 1440
    starts, ends = (float(quiet.stamps[first + i]) - 60 for i in (BEGIN, END))
    announced = (AnnouncedEvent("promotion", starts, ends, multiplier=3.0),)
    ours, unprepared = (
        came_to(setting, tidegate(setting))
        for setting in (replayed(crowd, events=announced), replayed(crowd))
    )
    assert ours.violations < OBJECTIVE_LEFT < unprepared.violations
    assert ours.replica_hours < 1.02 * unprepared.replica_hours


def test_a_gap_in_the_metrics_lets_nobody_go_who_is_needed_after_it():
    def outage(day):
        day[BEGIN - 30 : BEGIN] = np.nan
        return day

    setting = replayed(outage, skip_gaps=True)
    found = came_to(setting, tidegate(setting))
    assert found.violations < OBJECTIVE_LEFT
