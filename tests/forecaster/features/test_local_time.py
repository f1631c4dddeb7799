"""Anchors, windows and naive forecasts that follow local clocks."""

from datetime import UTC, datetime

import numpy as np
import pytest

from forecaster.data.local_clock import LocalClock, utc_offsets
from forecaster.features.anchor_state import AnchorState
from forecaster.features.anchors import build_track
from forecaster.features.shapes import samples_at, shape_places
from forecaster.features.shocks import local_shock_ages
from forecaster.features.timing import WEEK_PROFILE, Timing
from forecaster.features.windows import cut_windows, earlier_places
from forecaster.models.naive import HOLT_WINTERS, SEASONAL_DAY, SEASONAL_WEEK, naive_forecasts
from tests.forecaster.features.test_anchor_state import assert_same
from tests.forecaster.traffic_samples import DAY_AHEAD, FIVE_MINUTES, MINUTE, NAN, services

SPRING, AUTUMN = datetime(2026, 3, 20, tzinfo=UTC), datetime(2026, 10, 16, tzinfo=UTC)
CONTEXT = 24
HOUR_AHEAD = Timing(15 * MINUTE, 4)
ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]


def clock_at(start: datetime, timing: Timing, zone: str = "Europe/Berlin") -> LocalClock:
    return LocalClock(zone, int(start.timestamp()), int(timing.step.total_seconds()))


def hours_there(clock: LocalClock, count: int) -> np.ndarray:
    """Return the local hour of every sample, with its fraction."""
    stamps = clock.first + clock.step_s * np.arange(count)
    return (stamps + utc_offsets(clock.zone, stamps)) % 86_400 / 3600


@pytest.mark.parametrize("zone", ZONES)
def test_profiles_follow_the_clocks_across_two_changes(zone):
    """A year of traffic that depends on the local hour alone is known a day, and a week, ahead."""
    clock = clock_at(datetime(2025, 9, 1, tzinfo=UTC), HOUR_AHEAD, zone)
    hour = hours_there(clock, 300 * 96)
    values = (100 + 10 * hour).astype(np.float32)[None]
    profiles = build_track(values, HOUR_AHEAD, clock).profiles[1][0][: values.shape[1]]
    wrong = np.flatnonzero(np.abs(profiles - values[0]) > 0.01)
    # Only hours that were skipped on the day before, or on those before it, are not known.
    assert set(np.floor(hour[wrong[wrong > 96]])) <= {1.0, 2.0, 3.0}
    week = build_track(values, HOUR_AHEAD, clock).profiles[WEEK_PROFILE][0][: values.shape[1]]
    late = np.arange(8 * 96, values.shape[1])
    usual = (hour[late] > 5) & (hour[late] < 23)
    np.testing.assert_allclose(week[late][usual], values[0][late][usual], atol=2.6)  # smoothed


@pytest.mark.parametrize("name", [SEASONAL_DAY, SEASONAL_WEEK, HOLT_WINTERS])
@pytest.mark.parametrize("start", [SPRING, AUTUMN], ids=["spring", "autumn"])
def test_naive_forecasts_follow_the_clocks(name, start):
    clock = clock_at(start, HOUR_AHEAD)
    hour = hours_there(clock, 14 * 96)
    values = np.where((hour >= 8) & (hour < 18), 100, 20).astype(np.float32)[None]
    track = build_track(values, HOUR_AHEAD, clock)
    origins = np.flatnonzero(hour[:-4] == 7.75)[8:]  # before the opening
    found = naive_forecasts(track, np.zeros_like(origins), origins, {name})[name].path
    assert np.abs(found - 100).max() < 5


@pytest.mark.parametrize("start", [SPRING, AUTUMN], ids=["spring", "autumn"])
@pytest.mark.parametrize("timing", [FIVE_MINUTES, DAY_AHEAD], ids=["half an hour", "a day ahead"])
def test_what_is_carried_across_a_change_has_the_bits_of_what_is_followed(timing, start):
    values, clock = services(timing, 12), clock_at(start, timing)
    rows = np.arange(len(values))
    begin = 9 * timing.day - 40
    state = AnchorState.of(values[:, :begin], timing, CONTEXT, clock)
    for newest in range(begin, begin + 100):
        new = np.array([newest])
        places = shape_places(new, timing, clock)
        ages = np.broadcast_to(newest - places, (len(values), *places.shape))
        state = state.after(values[:, new], samples_at(values, places), ages)
        if newest % 20 == 0:
            places = earlier_places(new, timing, clock)[0]
            ages = np.broadcast_to(newest - places, (len(values), *places.shape))
            track = build_track(values[:, : newest + 1], timing, clock)
            followed = cut_windows(track, rows, np.full(len(rows), newest), CONTEXT)
            local = np.repeat(local_shock_ages(new, timing, clock), len(values), axis=0)
            assert_same(state.windows(samples_at(values, places), ages, local), followed)


@pytest.mark.parametrize("start", [SPRING, AUTUMN], ids=["spring", "autumn"])
@pytest.mark.parametrize("timing", [FIVE_MINUTES, DAY_AHEAD], ids=["half an hour", "a day ahead"])
def test_nothing_depends_on_samples_after_the_origin(timing, start):
    values, clock = services(timing, 12), clock_at(start, timing)
    rows = np.arange(len(values))
    track = build_track(values, timing, clock)
    for origin in range(9 * timing.day - 20, 10 * timing.day + 20, timing.day // 7):
        origins = np.full(len(rows), origin)
        cut = values.copy()
        cut[:, origin + 1 :] = NAN
        other = build_track(cut, timing, clock)
        one, two = (cut_windows(t, rows, origins, CONTEXT) for t in (track, other))
        naive = [naive_forecasts(t, rows, origins) for t in (track, other)]
        np.testing.assert_allclose(two.horizon, one.horizon, rtol=1e-5, atol=5e-4)
        for name, found in naive[0].items():
            np.testing.assert_allclose(naive[1][name].path, found.path, rtol=1e-5, atol=5e-4)


def test_a_clock_that_does_not_change_has_the_bits_of_none():
    values = services(FIVE_MINUTES, 9)
    clock = clock_at(SPRING, FIVE_MINUTES, "Asia/Kathmandu")
    one, other = (build_track(values, FIVE_MINUTES, found) for found in (None, clock))
    for name, array in one.arrays().items():
        np.testing.assert_array_equal(other.arrays()[name], array, err_msg=name)
