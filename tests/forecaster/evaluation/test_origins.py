"""Origins: no minute of the hour is judged more often than another, whatever the step."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecaster.data.series import Series, utc
from forecaster.evaluation.origins import (
    MOST_ORIGINS,
    backtest_origins,
    judged_origins,
    off_the_hour,
)
from forecaster.features.timing import Timing
from tests.forecaster.traffic_samples import MINUTE

STEPS = st.sampled_from([1, 2, 5, 10, 15, 60])


@given(st.integers(0, 100), STEPS)
def test_a_stride_off_the_hour_falls_on_every_sample_of_hour_and_day(stride, minutes):
    timing = Timing(minutes * MINUTE, 1)
    found = off_the_hour(stride, timing)
    assert max(stride, 1) <= found <= stride + timing.day + 1
    for period in (max(timing.samples(60), 1), timing.day):
        assert len({origin * found % period for origin in range(period)}) == period


@given(
    first=st.integers(0, 3_000), length=st.integers(0, 200_000), ahead=st.integers(1, 60),
    minutes=STEPS,
)  # fmt: skip
def test_origins_visit_every_minute_of_the_hour_evenly(first, length, ahead, minutes):
    """None has more than one origin more than another, and none is left out of 60 in a row."""
    timing = Timing(minutes * MINUTE, min(ahead, 24))
    origins = judged_origins(first, first + length, timing)
    hour = max(timing.samples(60), 1)
    counts = np.bincount(origins % hour, minlength=hour)
    assert counts.max() - counts.min() <= 1
    assert len(origins) <= MOST_ORIGINS
    if len(origins):
        assert origins[0] == max(first - 1, 0)
        assert origins[-1] + timing.prediction_length < first + length


@pytest.mark.parametrize(
    ("minutes", "days", "stride"),
    [
        pytest.param(1, 3.5, 7, id="one minute"),
        pytest.param(1, 24, 7, id="one minute, as long as all origins are judged"),
        pytest.param(1, 45, 13, id="one minute, an eighth of a year"),
        pytest.param(5, 3.5, 1, id="five minutes"),
        pytest.param(10, 7, 1, id="ten minutes"),
        pytest.param(60, 30, 1, id="an hour"),
    ],
)
def test_the_stride_of_a_step(minutes, days, stride):
    timing = Timing(minutes * MINUTE, 6)
    origins = judged_origins(0, round(days * timing.day), timing)
    assert set(np.diff(origins)) == {stride}
    assert math.gcd(stride, 60) == 1


def test_a_backtest_begins_with_the_first_sample_and_stays_within_the_history():
    one = Series("a", utc("2026-03-28T21:35:00Z"), MINUTE, np.ones(3_000))
    origins = backtest_origins(one, 1_600, Timing(MINUTE, 30))
    assert origins[0] + 1 == 1_600
    assert 3_000 - 7 <= origins[-1] + 31 <= 3_000
