"""The daily and weekly profiles that anchors are based on."""

import numpy as np
import pytest

from forecaster.features import smoothing
from forecaster.features.anchors import build_track
from forecaster.features.timing import DAY_PROFILES, LEVEL_SPANS, SHAPED, WEEK_PROFILE
from tests.forecaster.traffic_samples import (
    DAY_AHEAD,
    FIVE_MINUTES,
    HALF_HOUR,
    HOURLY,
    service,
)

TIMINGS = [
    pytest.param(HALF_HOUR, 3.0, id="1 min, half an hour ahead"),
    pytest.param(FIVE_MINUTES, 9.3, id="5 min, half an hour ahead"),
    pytest.param(DAY_AHEAD, 12.4, id="15 min, a day ahead"),
    pytest.param(HOURLY, 20.0, id="1 h, half a day ahead"),
]


def test_profiles_do_not_depend_on_the_time_of_day_at_which_the_history_begins():
    """Nothing hangs on midnight or on where the history begins: a day is 24 hours back."""
    values = service(FIVE_MINUTES, 30)[None]
    begin = 7 * 12 + 5  # begins in the middle of the seventh hour
    whole, late = (
        build_track(values, FIVE_MINUTES),
        build_track(values[:, begin:], FIVE_MINUTES),
    )
    np.testing.assert_allclose(late.scale[:, -1], whole.scale[:, -1], rtol=2e-2)
    rows, newest = np.array([0]), np.array([values.shape[1] - 1])
    one, other = whole.blend(rows, newest), late.blend(rows, newest - begin)
    assert (np.abs(one - other) < 0.05 * whole.scale[:, -1]).all()


def test_each_profile_is_of_the_day_or_week_that_it_names():
    values = service(HOURLY, 20, seed=7)[None]
    track = build_track(values, HOURLY)
    length, ahead = values.shape[1], HOURLY.prediction_length
    assert track.profiles.shape == (WEEK_PROFILE + 1, 1, length + ahead)
    reaching = np.arange(7 * 24, length + ahead)  # an hour's step is too wide to smooth over
    np.testing.assert_array_equal(
        track.profiles[WEEK_PROFILE, 0, reaching], values[0, reaching - 168]
    )
    for profile, (_, gain) in enumerate(DAY_PROFILES):
        if gain == 1:
            days = track.profiles[profile, 0, reaching]
            np.testing.assert_array_equal(days, values[0, reaching - 24])


def test_profiles_are_smoothed_over_their_own_minutes():
    values = service(HALF_HOUR, 3, seed=8)[None]
    place = 2 * 1440 + 700
    yesterday = values[0, place - 1440 - 5 : place - 1440 + 6]  # five minutes to either side
    profile = DAY_PROFILES.index((5, 1.0))
    found = build_track(values, HALF_HOUR).profiles[profile, 0, place]
    assert found == pytest.approx(yesterday.mean(), rel=1e-5)


def test_a_constant_profile_keeps_the_level():
    """The floor under the ratio bends no line: it passes through the level where it was."""
    values = service(FIVE_MINUTES, 9, seed=6)[None]
    track = build_track(values, FIVE_MINUTES)
    for s, (profile, span) in enumerate(SHAPED):
        expected = smoothing.ewma(track.profiles[profile][:, : values.shape[1]], span)[0, -1]
        line = track.gains[s, 0, -1] * expected + track.shifts[len(LEVEL_SPANS) + s, 0, -1]
        assert line == pytest.approx(smoothing.ewma(values, span)[0, -1], rel=1e-4)
