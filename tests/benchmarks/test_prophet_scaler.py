"""The scaler on Prophet: what a day is fitted on, and when what is foreseen becomes a floor.

Prophet itself is not asked; what it forecasts is made up.
"""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from benchmarks.prophet_scaler import AHEAD, DAY_S, PAST_DAYS, STEP_S, foreseen_qps
from scaler.simulation.recording import RecordedSamples
from tests.scaler.simulation.replay_samples import MINUTE, scene, wave


class Fits:
    """Remembers what was fitted; foresees 1, 2, 3 ... for the five minutes of each day."""

    def __init__(self) -> None:
        self.fitted: dict[int, np.ndarray] = {}

    def __call__(self, past: np.ndarray, midnight: int) -> np.ndarray:
        assert midnight not in self.fitted
        self.fitted[midnight] = past
        return 1.0 + np.arange(AHEAD)


def recorded(days: float, hours: float):
    """Return the samples and the scene of the last hours of days that begin at midnight."""
    series = wave(days)
    series = replace(series, start=series.start + MINUTE, values=np.arange(1.0, len(series) + 1))
    first = len(series) - round(timedelta(hours=hours) / MINUTE)
    one = replace(scene(np.zeros(round(hours * 240)), 1), start=float(series.stamps[first]) - 60)
    return RecordedSamples(series, first, one), one


def test_each_day_is_fitted_once_on_the_means_of_what_ended_before_it():
    samples, one = recorded(3.5, 24.0)
    fits = Fits()
    foreseen_qps(samples, one, fits)
    first = int(samples.series.stamps[0]) - 60
    assert list(fits.fitted) == [first + 2 * DAY_S, first + 3 * DAY_S]
    for days, past in zip((2, 3), fits.fitted.values(), strict=True):
        known = past[np.isfinite(past)]
        assert len(past) == PAST_DAYS * DAY_S // STEP_S
        assert known.tolist() == (3.0 + 5 * np.arange(days * 288)).tolist()
        assert np.isfinite(past[-len(known) :]).all()


def test_no_more_than_28_days_are_fitted():
    fits = Fits()
    foreseen_qps(*recorded(30.5, 6.0), fits)
    (past,) = fits.fitted.values()
    assert past[0] == 2 * 1440 + 3
    assert np.isfinite(past).all()


@pytest.mark.parametrize(
    ("tick", "foreseen"),
    [
        pytest.param(2880, 290.0, id="midnight: its sample is not known, so by yesterday's fit"),
        pytest.param(2881, 2.0, id="a tick later: by today's"),
        pytest.param(3120, 14.0, id="the larger of these five minutes and the next"),
    ],
)
def test_a_floor_is_set_five_minutes_before_it_is_needed(tick, foreseen):
    found = foreseen_qps(*recorded(3.5, 24.0), Fits())  # from noon on
    assert found[tick] == foreseen
