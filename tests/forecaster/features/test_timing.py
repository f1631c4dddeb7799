"""The numbers of samples that follow from step and forecast length."""

from dataclasses import replace
from datetime import timedelta

import pytest

from forecaster.features.timing import Timing
from tests.forecaster.traffic_samples import (
    DAY_AHEAD,
    FIVE_MINUTES,
    HALF_HOUR,
    HOURLY,
    MINUTE,
)


@pytest.mark.parametrize(
    ("step", "length", "words"),
    [
        pytest.param(MINUTE, 0, "at least 1", id="nothing ahead"),
        pytest.param(MINUTE, 1441, r"most a day \(1440 steps", id="more than a day"),
        pytest.param(timedelta(minutes=7), 5, "must divide 1 day", id="step without a day"),
        pytest.param(timedelta(0), 5, "must divide 1 day", id="no step"),
        pytest.param(timedelta(days=2), 1, "must divide 1 day", id="step longer than a day"),
    ],
)
def test_an_impossible_timing_is_refused(step, length, words):
    with pytest.raises(ValueError, match=words):
        Timing(step, length)


@pytest.mark.parametrize(
    ("timing", "expected"),
    [
        # day, hour, middle, memory (6 h or two forecasts), warm-up
        pytest.param(HALF_HOUR, (1440, 60, 15, 360, 1800), id="1 min"),
        pytest.param(FIVE_MINUTES, (288, 12, 3, 72, 360), id="5 min"),
        pytest.param(DAY_AHEAD, (96, 4, 48, 192, 288), id="15 min, a day ahead"),
        pytest.param(HOURLY, (24, 4, 6, 24, 48), id="1 h"),
        pytest.param(Timing(MINUTE, 1), (1440, 60, 1, 360, 1800), id="one step ahead"),
    ],
)
def test_all_spans_follow_from_step_and_length(timing, expected):
    found = timing.day, timing.hour, timing.middle, timing.memory, timing.warm_up
    assert found == expected


def test_a_timing_is_a_value():
    assert replace(HALF_HOUR, prediction_length=6) == Timing(MINUTE, 6)
