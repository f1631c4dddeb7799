"""Anchors and their blend: weights, noise scale and bounds."""

from datetime import timedelta

import numpy as np
import pytest

from forecaster.features.anchors import MIN_QPS, SCALE_FLOOR, build_track
from forecaster.features.timing import ANCHOR_COUNT, LEVEL_SPANS, SCALED, Timing
from tests.forecaster.traffic_samples import (
    DAY_AHEAD,
    ENORMOUS,
    FIVE_MINUTES,
    GAPPY,
    HALF_HOUR,
    HOURLY,
    LATE,
    NAN,
    PLAIN,
    SILENT,
    STEADY,
    UNKNOWN,
    service,
    services,
)

TIMINGS = [
    pytest.param(HALF_HOUR, 3.0, id="1 min, half an hour ahead"),
    pytest.param(FIVE_MINUTES, 9.3, id="5 min, half an hour ahead"),
    pytest.param(DAY_AHEAD, 12.4, id="15 min, a day ahead"),
    pytest.param(HOURLY, 20.0, id="1 h, half a day ahead"),
]


@pytest.mark.parametrize(("timing", "days"), TIMINGS)
def test_weights_sum_to_one_and_the_blend_lies_between_the_anchors(timing, days):
    values = services(timing, days)
    track = build_track(values, timing)
    np.testing.assert_allclose(track.weights.sum(axis=0), 1, rtol=1e-5)
    assert track.weights.min() >= 0
    for row in (PLAIN, GAPPY, LATE, STEADY, SILENT, ENORMOUS):
        first = int(np.isfinite(values[row]).argmax())
        origins = np.arange(first, values.shape[1], max(timing.day // 7, 1))
        rows = np.full(len(origins), row)
        anchors, blend = track.anchors(rows, origins), track.blend(rows, origins)
        slack = 1e-5 * np.abs(blend)
        assert (blend >= anchors.min(axis=2) - slack).all()
        assert (blend <= anchors.max(axis=2) + slack).all()
        assert (anchors >= 0).all()


@pytest.mark.parametrize(("timing", "days"), TIMINGS)
def test_past_forecasts_equal_the_forecasts_from_those_origins(timing, days):
    """One line, two ways to it: by origin for forecasts, by target for errors."""
    values = services(timing, days)
    track = build_track(values, timing)
    rows = np.arange(len(values))
    for origin in (timing.warm_up, values.shape[1] - timing.prediction_length - 1):
        ahead = track.anchors(rows, np.full(len(rows), origin))
        blend = track.blend(rows, np.full(len(rows), origin))
        for lead in (1, timing.middle, timing.prediction_length):
            past = track.past_blend(lead, values.shape[1] - origin - lead)[:, 0]
            np.testing.assert_allclose(past, blend[:, lead - 1], rtol=1e-4)
            for k in range(ANCHOR_COUNT):
                before = track.anchor_forecasts(k, lead)[:, origin + lead]
                np.testing.assert_allclose(before, ahead[:, lead - 1, k], rtol=1e-5)


def test_the_first_anchors_are_the_smoothed_last_samples():
    values = np.float32([[4.0, 8.0, 6.0, NAN]])
    anchors = build_track(values, HALF_HOUR).anchors(np.array([0]), np.array([3]))[0]
    decay = np.exp(-1 / 3)
    mean = (6 * decay + 8 * decay**2 + 4 * decay**3) / (decay + decay**2 + decay**3)
    np.testing.assert_allclose(anchors[:, 0], 6.0)
    np.testing.assert_allclose(anchors[:, 1], mean, rtol=1e-5)
    # Without a day behind it, a shape has nothing to say but the last value.
    np.testing.assert_allclose(anchors[:, len(LEVEL_SPANS) :], 6.0)


def test_scaled_anchors_bring_yesterdays_profile_to_todays_level():
    timing = Timing(timedelta(hours=1), 6)
    day = 10 + 5 * np.sin(2 * np.pi * np.arange(24) / 24)
    values = np.float32([np.concatenate([day] * 9 + [1.5 * day])[:-12]])
    origin = values.shape[1] - 1
    anchors = build_track(values, timing).anchors(np.array([0]), np.array([origin]))[0]
    for k, (profile, span) in enumerate(SCALED):
        if span == 3:  # longer ones still remember yesterday evening's level
            # 1.5 times, up to the floor under the ratio: 2 % of the day's mean on both sides.
            scaled = anchors[:, len(LEVEL_SPANS) + k]
            np.testing.assert_allclose(scaled, 1.5 * day[12:18], rtol=0.02, err_msg=f"{profile}")
    shift = anchors[:, -1] - day[12:18]
    np.testing.assert_allclose(shift, shift[0], rtol=1e-4)


def test_the_blend_prefers_the_anchor_with_the_smallest_error():
    timing = Timing(timedelta(hours=1), 6)
    rng = np.random.default_rng(5)
    shape = np.tile(rng.uniform(1, 100, 24), 14)  # every day alike, neighbours unlike
    wander = np.cumsum(rng.normal(0, 1, 14 * 24)) + 500  # no day, only a last value
    track = build_track(np.float32([shape, wander]), timing)
    last_day = track.weights[:, :, -24:].mean(axis=2)
    assert last_day[: len(LEVEL_SPANS), 0].sum() < 0.01
    assert last_day[: len(LEVEL_SPANS), 1].sum() > 0.5


def test_weights_are_proportional_to_error_to_the_power_of_minus_six():
    timing = HOURLY
    values = service(timing, 12, seed=9)[None]
    track = build_track(values, timing)
    age = np.arange(values.shape[1] - timing.middle)[::-1]
    decay = np.exp(-age / timing.memory)
    errors = []
    for k in range(ANCHOR_COUNT):
        error = np.abs(values - track.anchor_forecasts(k, timing.middle))[0, timing.middle :]
        known = np.isfinite(error)
        errors.append((error[known] @ decay[known]) / decay[known].sum())
    expected = np.array(errors) ** -6
    np.testing.assert_allclose(track.weights[:, 0, -1], expected / expected.sum(), rtol=1e-2)
    blend = np.abs(track.error_middle)[0, timing.middle :]
    scale = (blend @ decay) / decay.sum()
    assert track.scale[0, -1] == pytest.approx(scale, rel=1e-4)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        pytest.param(STEADY, 7.0 * SCALE_FLOOR, id="steady: a thousandth of its level"),
        pytest.param(SILENT, MIN_QPS, id="silent: next to nothing"),
        pytest.param(UNKNOWN, MIN_QPS, id="unknown: next to nothing"),
    ],
)
def test_a_service_without_noise_has_a_noise_scale(row, expected):
    track = build_track(services(FIVE_MINUTES, 9), FIVE_MINUTES)
    np.testing.assert_allclose(track.scale[row], expected, rtol=1e-5)


@pytest.mark.parametrize(("row", "qps"), [(STEADY, 7.0), (SILENT, 0.0)])
def test_a_service_without_noise_is_forecast_to_continue(row, qps):
    track = build_track(services(FIVE_MINUTES, 9), FIVE_MINUTES)
    origins = np.arange(0, track.values.shape[1], 50)
    anchors = track.anchors(np.full(len(origins), row), origins)
    np.testing.assert_allclose(anchors, qps, rtol=1e-5)


def test_an_item_without_known_samples_is_forecast_as_unknown_not_zero():
    values = services(FIVE_MINUTES, 9)
    track = build_track(values, FIVE_MINUTES)
    first = int(np.isfinite(values[LATE]).argmax())
    rows = np.array([UNKNOWN, LATE, LATE])
    blend = track.blend(rows, np.array([500, first - 1, first]))
    assert np.isnan(blend[:2]).all()
    np.testing.assert_allclose(blend[2], values[LATE, first])


def test_a_gap_is_not_a_zero():
    values = services(FIVE_MINUTES, 9)
    track = build_track(values, FIVE_MINUTES)
    middle = int(0.45 * values.shape[1]) + 20
    assert np.isnan(values[GAPPY, middle])
    anchors = track.anchors(np.array([GAPPY]), np.array([middle]))
    assert anchors.min() > 0.2 * np.nanmean(values[GAPPY])
    assert track.scale[GAPPY].min() > 0


@pytest.mark.parametrize("factor", [1e9, 1e-3])
@pytest.mark.parametrize(("timing", "days"), TIMINGS[1:])
def test_a_service_of_another_size_has_the_same_weights_and_its_own_scale(timing, days, factor):
    values = services(timing, days)[:STEADY]
    one, other = build_track(values, timing), build_track(values * np.float32(factor), timing)
    known = np.s_[:, int(np.isfinite(values[LATE]).argmax()) :]
    np.testing.assert_allclose(other.scale[known], one.scale[known] * factor, rtol=1e-3)
    # Weights are sixth powers: they have fewer digits than the errors.
    np.testing.assert_allclose(other.weights, one.weights, rtol=1e-2, atol=1e-4)


def test_an_item_of_enormous_size_does_not_affect_the_others():
    values = services(FIVE_MINUTES, 9)
    alone, among = build_track(values[:ENORMOUS], FIVE_MINUTES), build_track(values, FIVE_MINUTES)
    np.testing.assert_allclose(among.scale[:ENORMOUS], alone.scale, rtol=1e-5)
    np.testing.assert_allclose(among.weights[:, :ENORMOUS], alone.weights, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("length", [1, 2, 14, 15, 16, 60, 1440, 1441])
def test_a_short_history_has_a_track_too(length):
    values = service(HALF_HOUR, 2)[None, :length]
    track = build_track(values, HALF_HOUR)
    blend = track.blend(np.array([0]), np.array([length - 1]))
    assert np.isfinite(blend).all()
    assert (track.scale > 0).all()


def test_after_a_very_long_gap_every_anchor_is_the_last_value():
    values = service(HALF_HOUR, 0.9)[None].copy()
    values[0, 100:] = NAN
    track = build_track(values, HALF_HOUR)
    newest = np.array([values.shape[1] - 1])
    np.testing.assert_allclose(
        track.anchors(np.array([0]), newest)[0, :, [0, 1]], values[0, 99], rtol=1e-6
    )
    assert np.isfinite(track.blend(np.array([0]), newest)).all()


@pytest.mark.parametrize("row", [PLAIN, STEADY, UNKNOWN])
def test_before_any_error_is_known_the_last_value_has_all_the_weight(row):
    track = build_track(services(FIVE_MINUTES, 9), FIVE_MINUTES)
    weights = track.weights[:, row, : FIVE_MINUTES.middle]
    np.testing.assert_array_equal(weights[0], 1)
    np.testing.assert_array_equal(weights[1:], 0)
