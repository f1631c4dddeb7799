"""Forecasts from many origins: each row is the forecast that would have been made at the time."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from forecaster.data.series import History
from forecaster.errors import HistoryError
from forecaster.evaluation.rolling import rolling_baseline, rolling_forecast
from forecaster.models.naive import NAIVE
from tests.forecaster.evaluation.fitting_samples import DAY, LEVELS, changed, series

AHEAD = 6


def wave(days: int = 10, *, seed: int = 0, noise: float = 5.0):
    """A day's wave of 50 to 150 QPS and normal noise."""
    phase = 2 * np.pi * np.arange(days * DAY) / DAY
    rng = np.random.default_rng(seed)
    return series(np.maximum(100 + 50 * np.sin(phase) + rng.normal(0, noise, len(phase)), 0))


def wild_after(one, origin: int):
    """The same series, but all that lies after the origin is fifty times as much."""
    return changed(one, lambda values: values * np.where(np.arange(len(values)) > origin, 50, 1))


# By the model


def test_a_row_is_the_forecast_made_at_that_time(forecaster, history):
    for one in history:
        origin = len(one) - 100
        said = rolling_forecast(forecaster, one, np.array([origin]))
        then = History((one.between(one.start, one.start + (origin + 1) * one.step),))
        predicted = forecaster.predict(then)
        assert said.origins == predicted.origins
        assert said.sources == predicted.sources
        assert said.quantile_levels == predicted.quantile_levels
        np.testing.assert_array_equal(said.values, predicted.values)


def test_a_row_does_not_depend_on_the_others(forecaster, history):
    one = history.series[0]
    origins = np.array([1500, 2000, 2001, 3000])
    together = rolling_forecast(forecaster, one, origins)
    alone = [rolling_forecast(forecaster, one, origins[i : i + 1]).values[0] for i in range(4)]
    np.testing.assert_array_equal(together.values, alone)


def test_a_row_does_not_use_samples_after_its_origin(forecaster, history):
    for one in history:
        origins = np.arange(2900, 3000)
        before = rolling_forecast(forecaster, one, origins)
        after = rolling_forecast(forecaster, wild_after(one, 2950), origins)
        np.testing.assert_array_equal(after.values[:51], before.values[:51])
        assert not np.allclose(after.values[51:], before.values[51:])


def test_each_row_has_its_origin_and_the_candidate_that_serves(forecaster, history):
    one = history.series[1]
    said = rolling_forecast(forecaster, one, np.array([2000, 2007]))
    assert said.origins == (one.start + 2000 * one.step, one.start + 2007 * one.step)
    assert set(said.sources) == {forecaster.item_model(one.item_id).source}
    assert said.item_ids == (one.item_id,) * 2
    assert said.values.shape == (2, AHEAD, len(LEVELS) + 1)


def test_an_unknown_item_is_forecast_too(forecaster, history):
    stranger = replace(history.series[0], item_id="new/comer")
    said = rolling_forecast(forecaster, stranger, np.array([2000]))
    assert said.sources == (forecaster.default_model.source,)


def test_another_step_than_the_model_s_is_refused(forecaster, history):
    hourly = history.series[0].resampled(timedelta(hours=1))
    with pytest.raises(HistoryError, match="has a step of 1:00:00, the model of 0:05:00"):
        rolling_forecast(forecaster, hourly, np.array([100]))


# By a baseline


@pytest.mark.parametrize("name", NAIVE)
def test_a_baseline_does_not_use_samples_after_an_origin_nor_calibrates_on_them(name):
    one, origins = wave(), np.arange(8 * DAY, 9 * DAY)
    before = rolling_baseline(name, one, origins, AHEAD)
    after = rolling_baseline(name, wild_after(one, int(origins[0])), origins, AHEAD)
    np.testing.assert_array_equal(after.values[0], before.values[0])
    later = rolling_baseline(name, wild_after(one, int(origins[50])), origins, AHEAD)
    np.testing.assert_array_equal(later.values[:51], before.values[:51])
    assert not np.allclose(later.values[51:], before.values[51:])


@pytest.mark.parametrize("name", NAIVE)
def test_a_baseline_s_row_does_not_depend_on_later_origins(name):
    one = wave()
    many = rolling_baseline(name, one, np.arange(8 * DAY, 9 * DAY), AHEAD)
    one_row = rolling_baseline(name, one, np.array([8 * DAY]), AHEAD)
    np.testing.assert_array_equal(one_row.values[0], many.values[0])


def test_the_quantiles_of_a_baseline_have_their_coverage_afterwards():
    """Calibrated on a week, judged on the two weeks after it."""
    one = wave(21)
    origins = np.arange(7 * DAY, 21 * DAY - AHEAD - 1)
    said = rolling_baseline("holt_winters", one, origins, AHEAD, levels=LEVELS)
    happened = one.values[origins[:, None] + 1 + np.arange(AHEAD)]
    covered = (happened[:, :, None] <= said.values).mean(axis=(0, 1))
    np.testing.assert_allclose(covered, LEVELS, atol=0.03)


def test_more_noise_in_the_past_makes_wider_quantiles():
    origins = np.array([8 * DAY])
    calm, noisy = (
        rolling_baseline("holt_winters", wave(noise=noise), origins, AHEAD).values[0]
        for noise in (2.0, 10.0)
    )
    assert (noisy[:, -1] - noisy[:, 0] > 3 * (calm[:, -1] - calm[:, 0])).all()


def test_a_baseline_forecasts_despite_gaps():
    gappy = changed(wave(), lambda v: np.where(np.arange(len(v)) % 7 < 2, np.nan, v))
    said = rolling_baseline("holt_winters", gappy, np.arange(8 * DAY, 8 * DAY + 20), AHEAD)
    assert np.isfinite(said.values).all()
    assert said.sources == ("holt_winters",) * 20


@pytest.mark.parametrize(
    ("origins", "words"),
    [
        pytest.param([10 * DAY], "must lie within its 2880 samples", id="after the end"),
        pytest.param([-1, 5], "must lie within its 2880 samples", id="before the start"),
        pytest.param([], "must lie within its 2880 samples", id="none"),
        pytest.param(
            [DAY],
            # a day (288), an hour (12), the 6 steps ahead and the one forecast from
            "289 samples lie before the first forecast, but .* an hour .307. are needed",
            id="too little to calibrate on",
        ),
    ],
)
def test_a_baseline_refuses_origins_that_it_cannot_serve(origins, words):
    with pytest.raises(HistoryError, match=words):
        rolling_baseline("holt_winters", wave(), np.array(origins, dtype=np.int64), AHEAD)


def test_the_history_that_the_message_asks_for_is_enough():
    first = 307 - 1
    with pytest.raises(HistoryError, match="306 samples lie before"):
        rolling_baseline("holt_winters", wave(), np.array([first - 1]), AHEAD)
    said = rolling_baseline("holt_winters", wave(), np.array([first]), AHEAD)
    assert np.isfinite(said.values).all()


def test_the_model_refuses_origins_that_are_not_in_the_history(forecaster, history):
    with pytest.raises(HistoryError, match="must lie within its 4032 samples"):
        rolling_forecast(forecaster, history.series[0], np.array([4032]))
