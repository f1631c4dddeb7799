"""Small histories, and the config of a training run that takes a second."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import numpy as np

from forecaster.data.series import Forecast, History, Series, utc
from forecaster.data.synthetic import generate_history
from forecaster.models.config import ModelConfig, TrainConfig

START = utc("2026-03-02T00:00:00Z")
FIVE_MINUTES = timedelta(minutes=5)
DAY = 288  # samples of five minutes
LEVELS = (0.1, 0.5, 0.9, 0.95, 0.99)
MODEL = ModelConfig(step=FIVE_MINUTES, context_length=12, prediction_length=6, hidden_size=8)
TINY = TrainConfig(
    model=MODEL,
    members=2,
    epochs=2,
    steps_per_epoch=10,
    batch_size=32,
    max_windows=1_500,
    device="cpu",
)


def traffic(items: int = 3, days: int = 14, *, seed: int = 1) -> History:
    return generate_history(items, days, step=FIVE_MINUTES, seed=seed).history


def series(values, item_id: str = "shop/api") -> Series:
    return Series(item_id, START, FIVE_MINUTES, np.asarray(values, dtype=np.float64))


def changed(one: Series, change: Callable[[np.ndarray], np.ndarray | None]) -> Series:
    """Return the series after ``change`` of a copy of its values, in place or returned."""
    values = np.array(one.values)
    result = change(values)
    return replace(one, values=values if result is None else result)


def assert_same_forecast(one: Forecast, other: Forecast) -> None:
    assert one.item_ids == other.item_ids
    assert one.origins == other.origins
    assert one.sources == other.sources
    np.testing.assert_array_equal(one.values, other.values)
