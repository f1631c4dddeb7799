"""Windows: what a model sees at an origin never depends on what came after it."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from forecaster.features.anchors import follow
from forecaster.features.timing import ANCHOR_COUNT, Timing
from forecaster.features.windows import (
    CLIP,
    CONTEXT_FEATURES,
    HORIZON_FEATURES,
    RECENT_FEATURES,
    Windows,
    cut,
    origins_between,
)
from forecaster.models.naive import NAIVE, naive_forecasts
from tests.forecaster.traffic_samples import (
    DAY_AHEAD,
    ENORMOUS,
    FIVE_MINUTES,
    GAPPY,
    HALF_HOUR,
    HOURLY,
    LATE,
    MINUTE,
    NAN,
    PLAIN,
    SILENT,
    STEADY,
    service,
    services,
)

# What a model may see; `target` and `peak` alone are from after the origin.
SEEN = ("horizon", "context", "recent", "blend", "scale")
CONTEXT_LENGTH = 24
TIMINGS = [
    pytest.param(HALF_HOUR, 3.3, id="1 min, half an hour ahead"),
    pytest.param(FIVE_MINUTES, 9.3, id="5 min, half an hour ahead"),
    pytest.param(DAY_AHEAD, 10.4, id="15 min, a day ahead"),
    pytest.param(HOURLY, 20.0, id="1 h, half a day ahead"),
    pytest.param(Timing(60 * MINUTE, 24), 20.0, id="1 h, a whole day ahead"),
]
KNOWN = (PLAIN, GAPPY, LATE, STEADY, SILENT, ENORMOUS)


def at(values, timing, origin) -> Windows:
    """Return every item's window at one origin."""
    rows = np.arange(len(values))
    return cut(follow(values, timing), rows, np.full(len(rows), origin), CONTEXT_LENGTH)


def naive_at(values, timing, origin):
    rows = np.arange(len(values))
    return naive_forecasts(follow(values, timing), rows, np.full(len(rows), origin))


def origins_of(values, timing):
    """Some origins all over the history: on the hour and off it, at the ends, in gaps."""
    last = values.shape[1] - 1
    picked = np.linspace(0, last - 1, 5).astype(int)
    on_the_hour = [timing.warm_up // timing.hour * timing.hour]
    in_a_gap = [int(0.45 * values.shape[1]) + 2]
    return sorted({*picked.tolist(), *on_the_hour, *in_a_gap, timing.warm_up - 1})


# Where the same samples are known the arithmetic is the same to the last bit. Where other ones are,
# sums may round elsewhere: a leak of numbers like these would be a million times as large.
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
def test_nothing_a_model_sees_changes_when_the_future_does(timing, days, future, equal):
    values = services(timing, days)
    track = follow(values, timing)
    rows = np.arange(len(values))
    for origin in origins_of(values, timing):
        one = cut(track, rows, np.full(len(rows), origin), CONTEXT_LENGTH)
        two = at(with_future(values, origin, future), timing, origin)
        for name in SEEN:
            message = f"{name} at {origin}"
            np.testing.assert_allclose(
                getattr(two, name), getattr(one, name), **equal, err_msg=message
            )


@pytest.mark.parametrize(("future", "equal"), FUTURES)
@pytest.mark.parametrize(("timing", "days"), TIMINGS)
def test_no_naive_forecast_changes_when_the_future_does(timing, days, future, equal):
    values = services(timing, days)
    for origin in origins_of(values, timing)[::2]:
        one = naive_at(values, timing, origin)
        two = naive_at(with_future(values, origin, future), timing, origin)
        for name in NAIVE:
            message = f"{name} at {origin}"
            np.testing.assert_allclose(two[name].path, one[name].path, **equal, err_msg=message)
            np.testing.assert_allclose(two[name].scale, one[name].scale, **equal, err_msg=message)


@pytest.mark.parametrize(("timing", "days"), TIMINGS)
def test_an_origin_in_the_past_looks_as_it_did_when_it_was_the_newest(timing, days):
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


@pytest.mark.parametrize("factor", [1e9, 1e-3])
@pytest.mark.parametrize(("timing", "days"), TIMINGS[1:4])
def test_a_service_of_another_size_looks_alike(timing, days, factor):
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


def test_neighbours_do_not_matter():
    values = services(FIVE_MINUTES, 9)
    origin = values.shape[1] - 100
    together = at(values, FIVE_MINUTES, origin)
    for row in KNOWN:
        alone = at(values[row : row + 1], FIVE_MINUTES, origin)
        for name in SEEN:
            np.testing.assert_array_equal(getattr(alone, name)[0], getattr(together, name)[row])


@pytest.mark.parametrize(("timing", "days"), TIMINGS)
def test_whatever_the_item_every_feature_is_a_moderate_number(timing, days):
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


def test_the_shapes_are_those_that_the_model_is_told():
    values = services(FIVE_MINUTES, 9)
    windows = at(values, FIVE_MINUTES, 600)
    items, steps = len(values), FIVE_MINUTES.prediction_length
    assert {field.name: getattr(windows, field.name).shape for field in fields(Windows)} == {
        "horizon": (items, steps, HORIZON_FEATURES),
        "context": (items, CONTEXT_FEATURES),
        "recent": (items, CONTEXT_LENGTH, RECENT_FEATURES),
        "blend": (items, steps),
        "scale": (items,),
        "target": (items, steps),
        "peak": (items, steps),
    }
    assert {getattr(windows, field.name).dtype for field in fields(Windows)} == {
        np.dtype(np.float32)
    }


def test_no_origins_give_no_windows():
    track = follow(services(FIVE_MINUTES, 9), FIVE_MINUTES)
    none = np.array([], dtype=np.int64)
    windows = cut(track, none, none, CONTEXT_LENGTH)
    assert len(windows) == 0
    assert windows.horizon.shape == (0, FIVE_MINUTES.prediction_length, HORIZON_FEATURES)


def test_anchors_and_weights_stand_where_the_model_looks_for_them():
    values = services(FIVE_MINUTES, 9)
    track = follow(values, FIVE_MINUTES)
    rows, origins = np.array([PLAIN, GAPPY]), np.array([2000, 2100])
    windows = cut(track, rows, origins, CONTEXT_LENGTH)
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
def test_peaks_are_the_top_twentieth_of_the_days_known_samples(row):
    timing = FIVE_MINUTES
    values = services(timing, 9)
    track = follow(values, timing)
    origins = np.arange(timing.day - 1, 9 * timing.day - 1, timing.prediction_length)
    windows = cut(track, np.full(len(origins), row), origins, CONTEXT_LENGTH)
    days = windows.target.reshape(8, timing.day)
    for day, flags in zip(days, windows.peak.reshape(8, timing.day), strict=True):
        known = np.sort(day[np.isfinite(day)])
        expected = len(known) - (np.ceil(0.95 * len(known)) - 1)
        assert flags.sum() == expected
        assert day[flags == 1].min() >= known[-int(expected)]


def test_a_flat_day_has_no_peak_and_a_mostly_silent_one_only_its_requests():
    day = np.zeros(288, dtype=np.float32)
    busy = day.copy()
    busy[100:103] = 5.0
    values = np.concatenate([day + 7, busy, day])[None]
    origins = np.arange(0, 800, 6)
    track = follow(values, FIVE_MINUTES)
    windows = cut(track, np.zeros_like(origins), origins, CONTEXT_LENGTH)
    assert windows.target[windows.peak == 1].tolist() == [5.0, 5.0, 5.0]


def test_a_scheduled_job_is_announced_by_the_hour_before():
    timing = HALF_HOUR
    rng = np.random.default_rng(3)
    values = rng.gamma(50, 2, 5 * timing.day).astype(np.float32)
    values[::60] += 300
    origin = 4 * timing.day + 45  # the job comes 15 minutes later
    rhythm = at(values[None], timing, origin).horizon[0, :, ANCHOR_COUNT + 3 :]
    for feature in (0, 1, 3):  # the hour's two means and its newest sample
        assert rhythm[:, feature].argmax() == 14
        assert 2 < rhythm[14, feature] < np.log1p(CLIP) + 0.1


def test_yesterdays_surprise_stands_at_its_place():
    timing = HALF_HOUR
    values = service(timing, 9.5, level=100)
    values[1:] = 100 + np.random.default_rng(0).normal(0, 1, len(values) - 1)
    origin = 9 * timing.day
    for feature, days in enumerate((1, 2, 7)):
        values[origin + 5 + 3 * feature - days * timing.day] = 130
    seen = at(values[None], timing, origin).horizon[0, :, ANCHOR_COUNT : ANCHOR_COUNT + 3]
    assert seen.argmax(axis=0).tolist() == [4, 7, 10]
    assert (seen.max(axis=0) > np.log1p(20)).all()


def test_recent_samples_end_at_the_origin_and_tell_what_is_missing():
    timing = FIVE_MINUTES
    values = services(timing, 9)[[GAPPY]]
    gap = int(0.45 * values.shape[1])
    recent = at(values, timing, gap + 2).recent[0]
    assert recent[-4:, -1].tolist() == [0.0, 1.0, 1.0, 1.0] or np.isnan(values[0, gap - 1])
    windows = at(values, timing, gap - 1)
    level = np.sign(windows.recent[0, :, 0]) * np.expm1(np.abs(windows.recent[0, :, 0]))
    last = level[-1] * windows.scale[0] + windows.blend[0, 0]
    np.testing.assert_allclose(last, follow(values, timing).filled[0, gap - 1], rtol=1e-4)


def test_a_context_that_reaches_before_the_history_repeats_its_first_sample():
    values = services(FIVE_MINUTES, 9)[[PLAIN]]
    recent = at(values, FIVE_MINUTES, 10).recent[0]
    np.testing.assert_array_equal(recent[:13], np.repeat(recent[13:14], 13, axis=0))


def test_restoring_the_deviation_gives_the_target_back():
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
def test_the_whole_horizon_of_every_origin_lies_in_the_span(first, length, ahead, stride, phase):
    last = first + length
    origins = origins_between(first, last, Timing(5 * MINUTE, ahead), stride, phase=phase)
    possible = range(max(first - 1, 0), max(last - ahead, 0))
    assert origins.tolist() == [origin for origin in possible if (origin - phase) % stride == 0]


def expanded(feature):
    return np.sign(feature) * np.expm1(np.abs(feature))


@pytest.mark.parametrize(("channel", "lead"), [(1, 1), (2, FIVE_MINUTES.middle)])
def test_recent_errors_are_those_of_the_blend_one_step_and_half_a_horizon_before(channel, lead):
    values = services(FIVE_MINUTES, 9)[[PLAIN]]
    track = follow(values, FIVE_MINUTES)
    origin = np.array([2000])
    windows = cut(track, np.array([0]), origin, CONTEXT_LENGTH)
    said = track.blend(np.array([0]), origin - lead)[0, lead - 1]
    error = expanded(windows.recent[0, -1, channel]) * windows.scale[0]
    assert error == pytest.approx(values[0, 2000] - said, rel=1e-3)


def test_the_context_tells_whether_the_noise_is_livelier_than_it_was():
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
    track = follow(values, HOURLY)
    rows = np.array([0])
    newest = cut(track, rows, np.array([origin]), 300)
    before = cut(track, rows, np.array([origin - 250]), 20)
    mine = newest.recent[0, -251, 3] * newest.scale[0]
    assert mine == pytest.approx(before.recent[0, -1, 3] * before.scale[0], rel=1e-4)
    assert mine != 0
