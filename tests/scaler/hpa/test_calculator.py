"""The replicas that a metric asks for, row by row of the controller's replica calculator."""

import pytest

from scaler.hpa.calculator import calculator_of
from scaler.hpa.rules import (
    DEFAULT_SCALE_DOWN,
    DEFAULT_SCALE_UP,
    HPASpec,
    MetricKind,
    Reading,
    ScalingRules,
)


def wanted(metric, target, current, reading, *, up=0.1, down=0.1):
    spec = HPASpec(
        1,
        100,
        metric,
        target,
        ScalingRules(DEFAULT_SCALE_UP.policies, tolerance=up),
        ScalingRules(DEFAULT_SCALE_DOWN.policies, tolerance=down),
    )
    return calculator_of(spec)(current, reading)


@pytest.mark.parametrize(
    ("current", "total", "expected"),
    [
        pytest.param(4, 300, 6, id="the count grows by the ratio"),  # 4 x 75/50
        pytest.param(4, 400, 8, id="twice the target doubles it"),
        pytest.param(4, 100, 2, id="half the target halves it"),
        pytest.param(4, 221, 5, id="a part of a pod is a pod"),  # ceil(4 x 1.105 = 4.42)
        pytest.param(10, 440, 9, id="rounds up on the way down too"),  # ceil(10 x 0.88)
        pytest.param(4, 220, 4, id="10 % above is within the tolerance"),  # 55/50 = 1.1
        pytest.param(4, 180, 4, id="10 % below is within the tolerance"),  # 45/50 = 0.9
        pytest.param(20, 1101, 23, id="just above the tolerance acts"),  # ceil(20 x 1.101)
        pytest.param(20, 899, 18, id="just below the tolerance acts"),  # ceil(20 x 0.899)
        pytest.param(4, 0, 0, id="no traffic wants no pods"),
    ],
)
def test_pods_are_scaled_by_average_over_target(current, total, expected):
    assert wanted(MetricKind.PODS, 50, current, Reading(total, current)) == expected


@pytest.mark.parametrize(
    ("total", "up", "down", "expected"),
    [
        pytest.param(1001, 0.0, 0.1, 21, id="none on the way up"),  # ceil(20 x 1.001)
        pytest.param(1090, 0.05, 0.5, 22, id="up has its own"),  # 1.09 > 1.05: ceil(21.8)
        pytest.param(940, 0.5, 0.05, 19, id="down has its own"),  # 0.94 < 0.95: ceil(18.8)
        pytest.param(960, 0.0, 0.05, 20, id="within the one down"),  # 0.96 >= 0.95
        pytest.param(1200, 0.3, 0.0, 20, id="within the one up"),  # 1.2 <= 1.3
    ],
)
def test_each_direction_has_its_tolerance(total, up, down, expected):
    assert wanted(MetricKind.PODS, 50, 20, Reading(total, 20), up=up, down=down) == expected


@pytest.mark.parametrize(
    ("current", "reading", "expected"),
    [
        pytest.param(5, Reading(180, 3, missing=2), 5, id="missing: a scale-up turned round"),
        # 60/50 = 1.2, but over all five 36/50 = 0.72
        pytest.param(5, Reading(260, 4, missing=1), 5, id="missing: a scale-up within tolerance"),
        # 65/50 = 1.3, but over all five 52/50 = 1.04
        pytest.param(5, Reading(400, 4, missing=1), 8, id="missing: a scale-up that stands"),
        # 400/5 = 80, ceil(5 x 1.6)
        pytest.param(5, Reading(60, 3, missing=2), 4, id="missing: at the target on a scale-down"),
        # (60 + 2 x 50)/5 = 32, ceil(5 x 0.64)
        pytest.param(10, Reading(10, 1, missing=9), 10, id="missing: a scale-down in tolerance"),
        # (10 + 9 x 50)/10 = 46, 0.92
        pytest.param(5, Reading(150, 3, missing=2), 5, id="missing: at the target nothing moves"),
        pytest.param(4, Reading(100, 5, missing=3), 4, id="missing: more pods than the count"),
        # (100 + 3 x 50)/8 = 31.25, ceil(8 x 0.625) = 5 would be a scale-up
        pytest.param(5, Reading(180, 3, 2), 5, id="unready: a scale-up turned round"),
        pytest.param(5, Reading(260, 3, 2), 5, id="unready: a scale-up within tolerance"),
        # 260/5 = 52, 1.04; without them ceil(260/50) = 6
        pytest.param(5, Reading(450, 3, 2), 9, id="unready: a scale-up that stands"),
        # 450/5 = 90, ceil(5 x 1.8)
        pytest.param(9, Reading(220, 2, 2), 9, id="unready: fewer pods than the count"),
        # 220/4 = 55 is within tolerance
        pytest.param(9, Reading(300, 2, 2), 9, id="unready: never turns into a scale-down"),
        # 300/4 = 75, ceil(4 x 1.5) = 6 would be one
        pytest.param(5, Reading(60, 3, 2), 2, id="unready: left out on a scale-down"),
        # ceil(3 x 0.4)
        pytest.param(6, Reading(450, 3, 1, 2), 9, id="both count as 0 on a scale-up"),
        # 450/6 = 75, ceil(6 x 1.5)
        pytest.param(6, Reading(60, 3, 1, 2), 4, id="only missing counts on a scale-down"),
        # (60 + 2 x 50)/5 = 32, ceil(5 x 0.64)
        pytest.param(4, Reading(320, 8), 7, id="all ready, more than the count: no check"),
        # ceil(8 x 0.8), as in the controller
        pytest.param(5, Reading(0, 0, 5), None, id="no pod with a sample is no metric"),
        pytest.param(5, Reading(0, 0, 0, 5), None, id="samples of no pod are no metric"),
    ],
)
def test_pods_not_ready_or_without_a_sample_dampen_the_change(current, reading, expected):
    assert wanted(MetricKind.PODS, 50, current, reading) == expected


@pytest.mark.parametrize(
    ("target", "current", "reading", "expected"),
    [
        pytest.param(0.75, 50, Reading(45, 50), 60, id="the documented 50 x 90/75"),
        pytest.param(0.6, 10, Reading(6.69, 10), 10, id="cut to 66 %: within tolerance"),
        pytest.param(0.6, 10, Reading(6.7, 10), 12, id="67 % is above it"),  # ceil(10 x 1.1167)
        pytest.param(0.6, 10, Reading(5.4, 10), 10, id="54 % is within tolerance"),
        pytest.param(0.6, 10, Reading(5.39, 10), 9, id="cut to 53 %: below it"),  # 10 x 0.883
        pytest.param(0.6, 5, Reading(0.6, 3, missing=2), 5, id="missing uses its whole request"),
        # (0.6 + 2 x 1)/5 = 52 %, ceil(5 x 0.867); at the target it would be 3
        pytest.param(0.6, 5, Reading(1.5, 3, missing=2), 5, id="so it can turn a scale-down round"),
        # (1.5 + 2)/5 = 70 %
        pytest.param(1.5, 10, Reading(2.5, 5, missing=5), 7, id="or the target where it is more"),
        # (2.5 + 5 x 1.5)/10 = 100 %, ceil(10 x 0.667); at 100 % it would be 5
    ],
)
def test_utilization_is_in_whole_per_cent_of_the_request(target, current, reading, expected):
    assert wanted(MetricKind.UTILIZATION, target, current, reading) == expected


@pytest.mark.parametrize(
    ("target", "current", "total", "up", "expected"),
    [
        pytest.param(50, 20, 1000, 0.1, 20, id="at the target"),
        pytest.param(50, 20, 1101, 0.1, 23, id="above the tolerance"),  # ceil(22.02)
        pytest.param(50, 20, 899, 0.1, 18, id="below the tolerance"),  # ceil(17.98)
        pytest.param(1, 20, 21, 0.1, 20, id="so 20 predicted replicas never become 21"),
        pytest.param(1, 20, 21, 0.0, 21, id="unless there is no tolerance"),
        pytest.param(50, 2, 1000, 0.1, 20, id="the ready pods have no say"),
    ],
)
def test_an_external_average_is_divided_by_the_target(target, current, total, up, expected):
    reading = Reading(total, ready=1)
    assert wanted(MetricKind.EXTERNAL_AVERAGE, target, current, reading, up=up) == expected


@pytest.mark.parametrize(
    ("total", "expected"),
    [
        pytest.param(150, 12, id="the ratio times the ready pods"),  # ceil(8 x 1.5)
        pytest.param(105, 10, id="the count itself within the tolerance"),
        pytest.param(50, 4, id="down"),  # ceil(8 x 0.5)
    ],
)
def test_an_external_value_scales_the_ready_pods(total, expected):
    assert wanted(MetricKind.EXTERNAL_VALUE, 100, 10, Reading(total, ready=8)) == expected


@pytest.mark.parametrize("metric", [MetricKind.PODS, MetricKind.EXTERNAL_AVERAGE])
@pytest.mark.parametrize(
    ("total", "target", "expected"),
    [
        pytest.param(0.1 + 0.2, 0.1, 3, id="make no pod"),  # 0.30000000000000004 / 0.1
        pytest.param(1.001, 0.5, 3, id="lose no thousandth"),  # 1000.9999999999999 / 500
    ],
)
def test_the_last_bits_of_a_float(metric, total, target, expected):
    assert wanted(metric, target, 1, Reading(total, ready=1)) == expected
