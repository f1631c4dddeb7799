"""The naive forecasters equal their textbook definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from forecaster.features.anchors import build_track
from forecaster.features.timing import LEVEL_SPANS, SCALED
from forecaster.models.naive import (
    DAY_SHAPE,
    HOLT_WINTERS,
    LAST_VALUE,
    LEVEL_GAIN,
    NAIVE,
    SEASON_GAIN,
    SEASONAL_DAY,
    SEASONAL_WEEK,
    Naive,
    holt_winters,
    naive_forecasts,
)
from tests.forecaster.traffic_samples import (
    ENORMOUS,
    FIVE_MINUTES,
    GAPPY,
    HOURLY,
    LATE,
    NAN,
    PLAIN,
    SILENT,
    STEADY,
    service,
    services,
)

AHEAD = FIVE_MINUTES.prediction_length
WEEK = 7 * FIVE_MINUTES.day


def at(values, origin, timing=FIVE_MINUTES) -> dict[str, Naive]:
    rows = np.arange(len(values))
    return naive_forecasts(build_track(values, timing), rows, np.full(len(rows), origin))


def textbook_holt_winters(values, period):
    """Additive, no trend, in component form; a missing sample changes nothing."""
    alpha, gamma = LEVEL_GAIN, SEASON_GAIN
    first = values[:period]
    level = np.nanmean(first) if np.isfinite(first).any() else 0.0
    season = [0.0 if np.isnan(x) else x - level for x in first]
    levels = [NAN] * (period - 1) + [level]
    for t in range(period, len(values)):
        before, last = season[t - period], level
        if np.isnan(values[t]):
            season.append(before)
        else:
            level = alpha * (values[t] - before) + (1 - alpha) * last
            # The season smooths what is left of the sample beside the level before it.
            error = values[t] - last - before
            season.append(before + gamma * (1 - alpha) * error)
        levels.append(level)
    return np.array(levels), np.array(season)


@given(
    arrays.arrays(
        np.float32,
        st.integers(8, 60),
        elements=st.one_of(st.floats(0, 1024, width=32), st.just(NAN)),
    ),
    st.integers(1, 8),
)
def test_holt_winters_equals_the_textbook_recursion(values, period):
    level, season = holt_winters(values[None], period)
    expected = textbook_holt_winters(values.astype(np.float64), period)
    np.testing.assert_allclose(level[0], expected[0], rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(season[0], expected[1], rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("length", [1, 5, 23, 24])
def test_holt_winters_is_unknown_before_a_complete_period(length):
    values = service(HOURLY, 2)[None, :length]
    level, _ = holt_winters(values, 24)
    assert np.isnan(level[:, :23]).all()
    assert np.isfinite(level[:, 23:]).all()


def test_every_path_has_the_samples_of_its_name():
    values = services(FIVE_MINUTES, 9)[[PLAIN]]
    origin = 8 * FIVE_MINUTES.day + 17
    naive = at(values, origin)
    ahead = np.arange(origin + 1, origin + 1 + AHEAD)
    np.testing.assert_array_equal(naive[LAST_VALUE].path[0], np.repeat(values[0, origin], AHEAD))
    np.testing.assert_array_equal(naive[SEASONAL_DAY].path[0], values[0, ahead - FIVE_MINUTES.day])
    np.testing.assert_array_equal(naive[SEASONAL_WEEK].path[0], values[0, ahead - WEEK])
    level, season = holt_winters(values, FIVE_MINUTES.day)
    expected = level[0, origin] + season[0, ahead - FIVE_MINUTES.day]
    np.testing.assert_allclose(naive[HOLT_WINTERS].path[0], np.maximum(expected, 0), rtol=1e-6)
    anchors = build_track(values, FIVE_MINUTES).anchors(np.array([0]), np.array([origin]))[0]
    smoothed = len(LEVEL_SPANS) + SCALED.index((0, 10))  # the smoothed day at the last ten samples
    np.testing.assert_array_equal(naive[DAY_SHAPE].path[0], anchors[:, smoothed])


@pytest.mark.parametrize(
    ("name", "lag"),
    [
        pytest.param(LAST_VALUE, FIVE_MINUTES.middle, id="last value, half the horizon before"),
        pytest.param(SEASONAL_DAY, FIVE_MINUTES.day, id="a day before"),
        pytest.param(SEASONAL_WEEK, WEEK, id="a week before"),
    ],
)
def test_the_scale_is_the_recent_mean_absolute_error(name, lag):
    values = services(FIVE_MINUTES, 9)[[PLAIN]]
    origin = values.shape[1] - 1
    error = np.abs(values[0, lag:] - values[0, :-lag]).astype(np.float64)
    weight = np.exp(-np.arange(len(error))[::-1] / FIVE_MINUTES.memory)
    expected = (weight @ error) / weight.sum()
    assert at(values, origin)[name].scale[0] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("name", NAIVE)
def test_with_a_short_history_every_path_is_the_last_value(name):
    values = services(FIVE_MINUTES, 9)[[PLAIN]]
    naive = at(values, 20)[name]
    np.testing.assert_allclose(naive.path, values[0, 20], rtol=1e-6)
    if name not in (LAST_VALUE, DAY_SHAPE):  # these have been wrong before; the others said nothing
        assert naive.scale[0] == build_track(values, FIVE_MINUTES).scale[0, 20]


@pytest.mark.parametrize("name", NAIVE)
@pytest.mark.parametrize("origin", [10, 300, 700, 9 * FIVE_MINUTES.day - 1])
def test_every_known_item_has_a_path_of_qps_and_a_positive_scale(name, origin):
    values = services(FIVE_MINUTES, 9)
    naive = at(values, origin)[name]
    known = [PLAIN, GAPPY, STEADY, SILENT, ENORMOUS]
    known += [LATE] if np.isfinite(values[LATE, : origin + 1]).any() else []
    assert (naive.path[known] >= 0).all()
    assert (naive.scale > 0).all()
    assert np.isfinite(naive.scale).all()


def test_a_gap_is_bridged_by_the_last_known_sample():
    values = service(FIVE_MINUTES, 9)[None].copy()
    origin = 8 * FIVE_MINUTES.day
    before = values[0, origin - 4]
    values[0, origin - 3 : origin + 1] = NAN
    np.testing.assert_array_equal(at(values, origin)[LAST_VALUE].path[0], before)


def test_only_the_named_forecasts_are_computed():
    track = build_track(services(FIVE_MINUTES, 9), FIVE_MINUTES)
    found = naive_forecasts(track, np.array([0]), np.array([900]), [HOLT_WINTERS])
    assert list(found) == [HOLT_WINTERS]
    assert naive_forecasts(track, np.array([0]), np.array([900]), ()) == {}


@pytest.mark.parametrize("name", NAIVE)
def test_naive_forecasts_scale_with_the_service(name):
    values = services(FIVE_MINUTES, 9)[[PLAIN, GAPPY]]
    origin = 8 * FIVE_MINUTES.day
    one, other = at(values, origin)[name], at(values * np.float32(1e9), origin)[name]
    np.testing.assert_allclose(other.path, one.path * 1e9, rtol=1e-4)
    np.testing.assert_allclose(other.scale, one.scale * 1e9, rtol=1e-4)


def test_take_selects_path_and_scale():
    naive = at(services(FIVE_MINUTES, 9), 900)[LAST_VALUE]
    taken = naive.take(np.array([GAPPY, PLAIN]))
    np.testing.assert_array_equal(taken.path, naive.path[[GAPPY, PLAIN]])
    np.testing.assert_array_equal(taken.scale, naive.scale[[GAPPY, PLAIN]])
