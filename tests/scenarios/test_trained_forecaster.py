"""A small forecaster on generated traffic: better than what is free, and as sure as it says.

Generated traffic proves that the parts work together; it is no claim of accuracy.
"""

from dataclasses import replace

import numpy as np
import pytest

from forecaster.data.series import History
from forecaster.evaluation.backtest import SERVED, backtest
from forecaster.evaluation.metrics import pinball_loss
from forecaster.evaluation.selection import train
from tests.forecaster.evaluation.fitting_samples import LEVELS, TINY, traffic

SMALL = replace(
    TINY, model=replace(TINY.model, hidden_size=16), epochs=3, steps_per_epoch=60, batch_size=64
)


@pytest.fixture(scope="module")
def services() -> History:
    return traffic(4, 21, seed=11)


@pytest.fixture(scope="module")
def forecaster(services):
    """Fitted on three of the four."""
    return train(History(services.series[:3]), SMALL).forecaster


@pytest.fixture(scope="module")
def result(forecaster, services):
    return backtest(forecaster, History(services.series[:3]))


@pytest.mark.parametrize("free", ["last_value", "seasonal_day", "seasonal_week"])
def test_what_is_served_beats_what_is_free(result, free):
    assert result.summary[SERVED].relative < 0.8 * result.summary[free].relative
    for item in result.items:
        assert item.scores[SERVED].relative < item.scores[free].relative


def test_the_lstm_has_learned_something_the_blend_of_anchors_does_not_say(result):
    assert result.summary["lstm"].relative < result.summary["day_shape"].relative


def test_nine_of_ten_moments_lie_below_the_ninth_tenth(result):
    assert result.summary[SERVED].coverage[LEVELS.index(0.9)] == pytest.approx(0.9, abs=0.06)
    assert result.summary[SERVED].coverage[LEVELS.index(0.99)] == pytest.approx(0.99, abs=0.03)


def test_a_service_that_was_never_seen_is_forecast_better_than_for_free(forecaster, services):
    (item,) = backtest(forecaster, History(services.series[3:])).items
    for free in ("last_value", "seasonal_day", "seasonal_week", "holt_winters"):
        assert item.scores[SERVED].relative < item.scores[free].relative


def test_served_live_hour_by_hour_it_keeps_what_the_backtest_promised(forecaster, services, result):
    """Each forecast is made from the samples until its origin alone, as an operator would."""
    one, judged = services.series[0], result.items[0]
    losses, naive = [], []
    for origin in range(len(one) - 12 * 20, len(one) - 6, 12):
        past = replace(one, values=one.values[: origin + 1])
        predicted = forecaster.predict(History((past,))).values[0, :, : len(LEVELS)]
        actual = one.values[origin + 1 : origin + 7]
        last = np.full_like(predicted, past.values[np.isfinite(past.values)][-1])
        losses.append(np.nanmean(pinball_loss(actual, predicted, LEVELS)))
        naive.append(np.nanmean(pinball_loss(actual, last, LEVELS)))
    assert np.mean(losses) < np.mean(naive)
    assert np.mean(losses) < 2 * judged.scores[SERVED].pinball
