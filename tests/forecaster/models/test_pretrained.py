"""The small committed model forecasts an unknown service without training."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from forecaster.adapters.registry.loading import load_forecaster
from forecaster.data.series import History, Series
from forecaster.data.synthetic import generate_history
from tests.paths import ROOT

MODELS = ROOT / "models"


@pytest.mark.parametrize("hours", [pytest.param(h, id=f"{h} hours") for h in (1, 6, 72)])
def test_the_pretrained_model_forecasts_a_new_service_from_hours_of_history(hours):
    whole = generate_history(1, 7, step=timedelta(minutes=1), seed=99).history
    service = whole.series[0]
    recent = service.between(service.end - timedelta(hours=hours), service.end)
    forecast = load_forecaster(MODELS, "pretrained").predict(History((recent,)))
    median = forecast.quantile(0.5)[0]
    level = np.nanmean(recent.values[-30:])
    assert forecast.values.shape == (1, 30, 6)
    assert 0.5 * level < median.mean() < 2 * level


@pytest.mark.parametrize("qps", [30.0, 900.0, 1e6])
@pytest.mark.parametrize("days", [0.1, 1.0, 8.0])
def test_a_service_that_never_changes_is_not_expected_to(qps, days):
    start = datetime(2026, 3, 2, tzinfo=UTC)
    constant = Series("a/b", start, timedelta(minutes=1), np.full(round(days * 1440), qps))
    forecast = load_forecaster(MODELS, "pretrained").predict(History((constant,)))
    counted = 1.65 * np.sqrt((qps + 1 / 300) / 300)  # of requests in five minutes, at 0.95
    assert forecast.quantile(0.95).max() <= qps * 1.01 + counted
