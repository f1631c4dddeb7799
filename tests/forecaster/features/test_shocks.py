"""Recurring shocks: a short job is expected once it has come a few times, and nothing else is."""

from datetime import timedelta

import numpy as np
import pytest

from forecaster.features.anchor_state import AnchorState
from forecaster.features.anchors import build_track
from forecaster.features.rare_samples import MOST, RareSamples
from forecaster.features.shocks import shock_ages, shocks_before
from forecaster.features.timing import Timing
from forecaster.features.windows import cut_windows
from tests.forecaster.features.test_anchor_state import following
from tests.forecaster.traffic_samples import HALF_HOUR

HOUR, DAY = 60, 1440
WEEK = 7 * DAY
HEIGHT = 60.0
AHEAD = 5  # minutes before a job that it is looked for


def steady(days: int) -> np.ndarray:
    """Traffic of 100 +- 1 requests per second with a daily season of 20."""
    at = np.arange(days * DAY)
    season = 20 * np.sin(2 * np.pi * at / DAY)
    noise = np.random.default_rng(0).standard_normal(len(at))
    return (100 + season + noise)[None].astype(np.float32)


def expected(values: np.ndarray, origin: int) -> np.ndarray:
    """Return the mean height expected at each minute after ``origin``."""
    track = build_track(values, HALF_HOUR)
    windows = cut_windows(track, np.array([0]), np.array([origin]), 60)
    return windows.shock[0, :, 0]


@pytest.mark.parametrize(
    ("period", "needed"), [(HOUR, 4), (DAY, 3), (WEEK, 2)], ids=["hourly", "daily", "weekly"]
)
@pytest.mark.parametrize("length", [1, 5, 12])
def test_a_new_job_is_expected_once_it_has_come_so_often(period, needed, length):
    first = 3 * DAY + 7 * HOUR + 17
    values = steady(3 + 1 + (needed * period) // DAY + 1)
    for k in range(needed):
        begin = first + k * period
        values[0, begin : begin + length] += HEIGHT

    def at_job(k: int) -> float:
        return expected(values, first + k * period - AHEAD)[AHEAD - 1]

    assert at_job(needed - 1) == 0
    assert at_job(needed) == pytest.approx(HEIGHT, rel=0.1)


def test_a_job_that_has_failed_to_come_is_expected_no_more():
    first = 3 * DAY + 17
    values = steady(5)
    for k in (0, 1, 2, 3, 5):  # not at 4
        values[0, first + k * HOUR] += HEIGHT
    assert expected(values, first + 4 * HOUR - AHEAD)[AHEAD - 1] > 0
    assert expected(values, first + 6 * HOUR - AHEAD).max() == 0


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param(lambda at: 0 * at, id="noise alone"),
        pytest.param(lambda at: 300 * np.abs((at % DAY) / DAY - 0.5), id="steep mornings"),
        pytest.param(lambda at: 50 * (at > 4 * DAY), id="a lasting rise"),
        pytest.param(lambda at: 50 * (at % WEEK > 5 * DAY), id="weekends"),
    ],
)
def test_nothing_else_is_taken_for_a_job(shape):
    values = steady(16)
    values += shape(np.arange(values.shape[1])).astype(np.float32)
    track = build_track(values, HALF_HOUR)
    origins = np.arange(3 * DAY, values.shape[1], 7)
    windows = cut_windows(track, np.zeros_like(origins), origins, 60)
    assert (windows.shock[:, :, 0] > 0).mean() < 0.001


def test_what_a_state_remembers_is_what_the_whole_history_says():
    """Also of an item with more shocks than are remembered."""
    random = np.random.default_rng(1)
    values = np.concatenate([steady(12), steady(12)])
    values[0, 17::HOUR] += HEIGHT
    values[1] += np.float32(HEIGHT) * (random.random(values.shape[1]) < 0.1)
    cut = 11 * DAY
    state = AnchorState.of(values[:, :cut], HALF_HOUR, 60)
    ages = np.broadcast_to(shock_ages(HALF_HOUR), (2, *shock_ages(HALF_HOUR).shape))
    assert (state.shocks.values[1] > 0).all()
    assert (build_track(values, HALF_HOUR).shock[1] > 0).sum() > MOST
    for newest in range(cut, cut + 40):
        state = following(state, values, np.array([newest]))
        track = build_track(values[:, : newest + 1], HALF_HOUR)
        whole = shocks_before(track, np.array([0, 1]), np.array([newest, newest]))
        np.testing.assert_array_equal(state.shocks.at(ages), whole)


@pytest.mark.parametrize("minutes", [1, 5, 15, 60])
def test_no_shock_is_looked_at_before_it_is_known(minutes):
    timing = Timing(timedelta(minutes=minutes), 24)
    assert shock_ages(timing).min() >= timing.shock_reach


def test_shocks_of_an_item_do_not_touch_its_neighbours():
    shock = np.zeros((3, 10), dtype=np.float32)
    shock[1, 4] = 7
    memory = RareSamples.none(3).after(shock, delay=20)
    assert memory.values[1, 0] == 7
    assert memory.ages[1, 0] == 20 + 5
    assert not memory.values[[0, 2]].any()
