"""Windows: the features at an origin and the targets after it."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from forecaster.features.anchors import build_track
from forecaster.features.timing import ANCHOR_COUNT, Timing
from forecaster.features.windows import (
    CLIP,
    CONTEXT_FEATURES,
    HORIZON_FEATURES,
    RECENT_FEATURES,
    Windows,
    cut_windows,
    origins_between,
)
from tests.forecaster.features.window_samples import (
    CONTEXT_LENGTH,
    KNOWN,
    SEEN,
    TIMINGS,
    at,
    origins_of,
)
from tests.forecaster.traffic_samples import (
    ENORMOUS,
    FIVE_MINUTES,
    GAPPY,
    HALF_HOUR,
    HOURLY,
    MINUTE,
    PLAIN,
    SILENT,
    STEADY,
    service,
    services,
)


@pytest.mark.parametrize("factor", [1e9, 1e-3])
@pytest.mark.parametrize(("timing", "days"), TIMINGS[1:4])
def test_features_do_not_depend_on_the_size_of_a_service(timing, days, factor):
    values = services(timing, days)[[PLAIN, GAPPY, STEADY, SILENT]]
    origin = values.shape[1] - timing.prediction_length - 1
    one = at(values, timing, origin)
    other = at(values * np.float32(factor), timing, origin)
    for name in ("horizon", "context", "recent"):
        np.testing.assert_allclose(
            getattr(other, name), getattr(one, name), rtol=5e-3, atol=5e-3, err_msg=name
        )
    np.testing.assert_allclose(other.blend, one.blend * factor, rtol=1e-4)
    np.testing.assert_allclose(other.scale[:3], one.scale[:3] * factor, rtol=1e-3)
    np.testing.assert_array_equal(other.peak, one.peak)


def test_features_do_not_depend_on_other_items():
    values = services(FIVE_MINUTES, 9)
    origin = values.shape[1] - 100
    together = at(values, FIVE_MINUTES, origin)
    for row in KNOWN:
        alone = at(values[row : row + 1], FIVE_MINUTES, origin)
        for name in SEEN:
            np.testing.assert_array_equal(getattr(alone, name)[0], getattr(together, name)[row])


@pytest.mark.parametrize(("timing", "days"), TIMINGS)
def test_features_of_any_item_are_finite_and_moderate(timing, days):
    values = services(timing, days)
    for origin in origins_of(values, timing):
        windows = at(values, timing, origin)
        for name in ("horizon", "context", "recent"):
            found = getattr(windows, name)
            assert np.isfinite(found).all(), name
            assert np.abs(found).max() < 60, name  # log1p(1e18 / 1e-9) is 62
        assert (windows.scale > 0).all()
        known = ~np.isnan(values[:, : origin + 1]).all(axis=1)
        np.testing.assert_array_equal(np.isfinite(windows.blend).all(axis=1), known)


def test_the_arrays_have_the_declared_shapes():
    values = services(FIVE_MINUTES, 9)
    windows = at(values, FIVE_MINUTES, 600)
    items, steps = len(values), FIVE_MINUTES.prediction_length
    assert {field.name: getattr(windows, field.name).shape for field in fields(Windows)} == {
        "horizon": (items, steps, HORIZON_FEATURES),
        "context": (items, CONTEXT_FEATURES),
        "recent": (items, CONTEXT_LENGTH, RECENT_FEATURES),
        "blend": (items, steps),
        "scale": (items,),
        "level": (items,),
        "shock": (items, steps, 2),
        "target": (items, steps),
        "peak": (items, steps),
        "age": (items,),
    }
    types = {field.name: getattr(windows, field.name).dtype for field in fields(Windows)}
    assert types.pop("age") == np.int64
    assert set(types.values()) == {np.dtype(np.float32)}


def test_no_origins_give_no_windows():
    track = build_track(services(FIVE_MINUTES, 9), FIVE_MINUTES)
    none = np.array([], dtype=np.int64)
    windows = cut_windows(track, none, none, CONTEXT_LENGTH)
    assert len(windows) == 0
    assert windows.horizon.shape == (0, FIVE_MINUTES.prediction_length, HORIZON_FEATURES)


def test_anchors_come_first_and_weights_last_among_the_features():
    values = services(FIVE_MINUTES, 9)
    track = build_track(values, FIVE_MINUTES)
    rows, origins = np.array([PLAIN, GAPPY]), np.array([2000, 2100])
    windows = cut_windows(track, rows, origins, CONTEXT_LENGTH)
    deviation = windows.horizon[:, :, :ANCHOR_COUNT]
    size = np.sign(deviation) * np.expm1(np.abs(deviation))
    anchors = windows.blend[:, :, None] + size * windows.scale[:, None, None]
    np.testing.assert_allclose(anchors, track.anchors(rows, origins), rtol=1e-4)
    weights = windows.context[:, -ANCHOR_COUNT:]
    np.testing.assert_allclose(weights, track.weights[:, rows, origins].T)
    np.testing.assert_allclose(windows.blend, track.blend(rows, origins), rtol=1e-6)


def test_targets_are_the_samples_after_the_origin_and_unknown_past_the_end():
    values = services(FIVE_MINUTES, 9)
    length = values.shape[1]
    windows = at(values, FIVE_MINUTES, length - 4)
    np.testing.assert_array_equal(windows.target[:, :3], values[:, -3:])
    assert np.isnan(windows.target[:, 3:]).all()


@pytest.mark.parametrize("row", [PLAIN, GAPPY, ENORMOUS])
def test_peaks_are_the_top_five_per_cent_of_a_days_known_samples(row):
    timing = FIVE_MINUTES
    values = services(timing, 9)
    track = build_track(values, timing)
    origins = np.arange(timing.day - 1, 9 * timing.day - 1, timing.prediction_length)
    windows = cut_windows(track, np.full(len(origins), row), origins, CONTEXT_LENGTH)
    days = windows.target.reshape(8, timing.day)
    for day, flags in zip(days, windows.peak.reshape(8, timing.day), strict=True):
        known = np.sort(day[np.isfinite(day)])
        expected = len(known) - (np.ceil(0.95 * len(known)) - 1)
        assert flags.sum() == expected
        assert day[flags == 1].min() >= known[-int(expected)]


def test_a_constant_day_has_no_peak_and_a_mostly_idle_one_only_its_requests():
    day = np.zeros(288, dtype=np.float32)
    busy = day.copy()
    busy[100:103] = 5.0
    values = np.concatenate([day + 7, busy, day])[None]
    origins = np.arange(0, 800, 6)
    track = build_track(values, FIVE_MINUTES)
    windows = cut_windows(track, np.zeros_like(origins), origins, CONTEXT_LENGTH)
    assert windows.target[windows.peak == 1].tolist() == [5.0, 5.0, 5.0]


def test_a_scheduled_job_is_visible_in_the_surprise_of_the_hour_before():
    timing = HALF_HOUR
    rng = np.random.default_rng(3)
    values = rng.gamma(50, 2, 5 * timing.day).astype(np.float32)
    values[::60] += 300
    origin = 4 * timing.day + 45  # the job comes 15 minutes later
    rhythm = at(values[None], timing, origin).horizon[0, :, ANCHOR_COUNT + 3 :]
    for feature in (0, 1, 3):  # the hour's two means and its newest sample
        assert rhythm[:, feature].argmax() == 14
        assert 2 < rhythm[14, feature] < np.log1p(CLIP) + 0.1


def test_yesterdays_surprise_is_at_the_same_time_of_day():
    timing = HALF_HOUR
    values = service(timing, 9.5, level=100)
    values[1:] = 100 + np.random.default_rng(0).normal(0, 1, len(values) - 1)
    origin = 9 * timing.day
    for feature, days in enumerate((1, 2, 7)):
        values[origin + 5 + 3 * feature - days * timing.day] = 130
    seen = at(values[None], timing, origin).horizon[0, :, ANCHOR_COUNT : ANCHOR_COUNT + 3]
    assert seen.argmax(axis=0).tolist() == [4, 7, 10]
    assert (seen.max(axis=0) > np.log1p(20)).all()


def test_recent_samples_end_at_the_origin_and_mark_missing_ones():
    timing = FIVE_MINUTES
    values = services(timing, 9)[[GAPPY]]
    gap = int(0.45 * values.shape[1])
    recent = at(values, timing, gap + 2).recent[0]
    assert recent[-4:, -1].tolist() == [0.0, 1.0, 1.0, 1.0] or np.isnan(values[0, gap - 1])
    windows = at(values, timing, gap - 1)
    level = np.sign(windows.recent[0, :, 0]) * np.expm1(np.abs(windows.recent[0, :, 0]))
    last = level[-1] * windows.scale[0] + windows.blend[0, 0]
    np.testing.assert_allclose(last, build_track(values, timing).filled[0, gap - 1], rtol=1e-4)


def test_a_context_longer_than_the_history_repeats_its_first_sample_as_unknown():
    values = services(FIVE_MINUTES, 9)[[PLAIN]]
    recent = at(values, FIVE_MINUTES, 10).recent[0]
    np.testing.assert_array_equal(recent[:13, :-1], np.repeat(recent[13:14, :-1], 13, axis=0))
    assert recent[:, -1].tolist() == [1.0] * 13 + [0.0] * 11  # those before are unknown


def test_restoring_the_deviation_gives_the_target():
    windows = at(services(FIVE_MINUTES, 9), FIVE_MINUTES, 2000)
    restored = windows.restore(windows.deviation[:, :, None])[:, :, 0]
    known = np.isfinite(windows.deviation)
    np.testing.assert_allclose(restored[known], windows.target[known], rtol=1e-4, atol=1e-4)
    assert windows.restore(np.full((*windows.blend.shape, 1), -1e6, np.float32))[PLAIN].max() == 0


def test_parts_join_in_order():
    values = services(FIVE_MINUTES, 9)
    one, two = at(values, FIVE_MINUTES, 1000), at(values, FIVE_MINUTES, 1001)
    both = Windows.join([one, two])
    assert len(both) == len(one) + len(two)
    for field in fields(Windows):
        found = getattr(both, field.name)
        np.testing.assert_array_equal(found[: len(one)], getattr(one, field.name))
        np.testing.assert_array_equal(found[len(one) :], getattr(two, field.name))


@given(
    first=st.integers(0, 500),
    length=st.integers(0, 500),
    ahead=st.integers(1, 288),
    stride=st.integers(1, 50),
    phase=st.integers(0, 100),
)
@example(first=2, length=1, ahead=1, stride=2, phase=0)
def test_the_whole_horizon_of_every_origin_is_within_the_span(first, length, ahead, stride, phase):
    last = first + length
    origins = origins_between(first, last, Timing(5 * MINUTE, ahead), stride, phase=phase)
    possible = range(max(first - 1, 0), max(last - ahead, 0))
    assert origins.tolist() == [origin for origin in possible if (origin - phase) % stride == 0]


def expanded(feature):
    return np.sign(feature) * np.expm1(np.abs(feature))


@pytest.mark.parametrize(("channel", "lead"), [(1, 1), (2, FIVE_MINUTES.middle)])
def test_recent_errors_are_the_blends_one_step_and_half_a_horizon_ahead(channel, lead):
    values = services(FIVE_MINUTES, 9)[[PLAIN]]
    track = build_track(values, FIVE_MINUTES)
    origin = np.array([2000])
    windows = cut_windows(track, np.array([0]), origin, CONTEXT_LENGTH)
    said = track.blend(np.array([0]), origin - lead)[0, lead - 1]
    error = expanded(windows.recent[0, -1, channel]) * windows.scale[0]
    assert error == pytest.approx(values[0, 2000] - said, rel=1e-3)


def test_the_context_shows_whether_noise_has_increased():
    values = service(FIVE_MINUTES, 9, seed=5)[None].copy()
    burst = values.copy()
    burst[0, -6:] *= np.random.default_rng(0).uniform(0.2, 3, 6)
    newest = values.shape[1] - 1
    calm, lively = (at(each, FIVE_MINUTES, newest).context[0, :2] for each in (values, burst))
    assert lively[0] > calm[0] + 0.5  # the last 45 minutes beside the last six hours
    assert lively[1] < calm[1]  # the last twelve hours


def test_a_long_context_is_read_in_full():
    values = services(HOURLY, 30)[[PLAIN]]
    origin = values.shape[1] - 1
    track = build_track(values, HOURLY)
    rows = np.array([0])
    newest = cut_windows(track, rows, np.array([origin]), 300)
    before = cut_windows(track, rows, np.array([origin - 250]), 20)
    mine = newest.recent[0, -251, 3] * newest.scale[0]
    assert mine == pytest.approx(before.recent[0, -1, 3] * before.scale[0], rel=1e-4)
    assert mine != 0
