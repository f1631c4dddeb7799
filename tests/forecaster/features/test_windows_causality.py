"""No feature or naive forecast uses a sample after its origin."""

import numpy as np
import pytest

from forecaster.features.anchors import build_track
from forecaster.features.windows import (
    cut_windows,
)
from forecaster.models.naive import NAIVE
from tests.forecaster.features.window_samples import (
    CONTEXT_LENGTH,
    SEEN,
    TIMINGS,
    at,
    naive_at,
    origins_of,
)
from tests.forecaster.traffic_samples import (
    NAN,
    services,
)

# With the same known samples, results are equal to the last bit. With others, sums may be rounded
# differently; a leak of numbers such as these would be a million times as large.
SAME, ROUNDING = {"rtol": 0, "atol": 0}, {"rtol": 1e-5, "atol": 5e-4}
FUTURES = [
    pytest.param(lambda rng, now: now * rng.uniform(0, 1e12, now.shape), SAME, id="enormous"),
    pytest.param(lambda rng, now: now * 0, SAME, id="silent"),
    pytest.param(lambda rng, now: rng.uniform(0, 1e12, now.shape), ROUNDING, id="without gaps"),
    pytest.param(lambda rng, now: now * NAN, ROUNDING, id="unknown"),
]


def with_future(values, origin, future):
    other = values.copy()
    other[:, origin + 1 :] = future(np.random.default_rng(origin), values[:, origin + 1 :])
    return other


@pytest.mark.parametrize(("future", "equal"), FUTURES)
@pytest.mark.parametrize(("timing", "days"), TIMINGS)
def test_no_feature_depends_on_samples_after_the_origin(timing, days, future, equal):
    values = services(timing, days)
    track = build_track(values, timing)
    rows = np.arange(len(values))
    for origin in origins_of(values, timing):
        one = cut_windows(track, rows, np.full(len(rows), origin), CONTEXT_LENGTH)
        two = at(with_future(values, origin, future), timing, origin)
        for name in SEEN:
            message = f"{name} at {origin}"
            np.testing.assert_allclose(
                getattr(two, name), getattr(one, name), **equal, err_msg=message
            )


@pytest.mark.parametrize(("future", "equal"), FUTURES)
@pytest.mark.parametrize(("timing", "days"), TIMINGS)
def test_no_naive_forecast_depends_on_samples_after_the_origin(timing, days, future, equal):
    values = services(timing, days)
    for origin in origins_of(values, timing)[::2]:
        one = naive_at(values, timing, origin)
        two = naive_at(with_future(values, origin, future), timing, origin)
        for name in NAIVE:
            message = f"{name} at {origin}"
            np.testing.assert_allclose(two[name].path, one[name].path, **equal, err_msg=message)
            np.testing.assert_allclose(two[name].scale, one[name].scale, **equal, err_msg=message)


@pytest.mark.parametrize(("timing", "days"), TIMINGS)
def test_a_window_at_a_past_origin_equals_the_one_made_at_that_time(timing, days):
    """What is trained on is what is predicted from: the end of the history is no special place."""
    values = services(timing, days)
    for origin in origins_of(values, timing):
        past, newest = at(values, timing, origin), at(values[:, : origin + 1], timing, origin)
        assert np.isnan(newest.target).all()
        assert not newest.peak.any()
        for name in SEEN:
            np.testing.assert_array_equal(
                getattr(newest, name), getattr(past, name), err_msg=f"{name} at {origin}"
            )
