"""The model for services never seen: what it is fitted on, and what it serves to whom."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from forecaster import load_forecaster, save_forecaster
from forecaster.data.series import History
from forecaster.data.synthetic import generate_history
from forecaster.evaluation.pretraining import (
    HELD_OUT,
    SPANS,
    PretrainConfig,
    Recorded,
    cut_at,
    pretrain,
)
from forecaster.evaluation.rolling import rolling_forecast
from forecaster.models.artifact import pack
from forecaster.models.config import ModelConfig, TrainConfig
from forecaster.models.forecaster import Forecaster

STEP = timedelta(minutes=5)
MODEL = ModelConfig(step=STEP, context_length=6, prediction_length=3, hidden_size=4)
QUICK = PretrainConfig(
    TrainConfig(MODEL, members=1, epochs=1, steps_per_epoch=2, device="cpu"), variations=4
)
HISTORY = generate_history(4, 12, step=STEP, seed=5).history
RECORDED = [Recorded(one.item_id, f"kind {i % 2}", one.values) for i, one in enumerate(HISTORY)]


@pytest.fixture(scope="module")
def made() -> Forecaster:
    return pretrain(RECORDED, QUICK)


def test_it_knows_no_service_and_has_a_calibration_for_each_length_of_history(made):
    assert made.item_models == {}
    assert [span for span, _ in made.young_models] == list(SPANS)
    shifts = [found.shifts["lstm"] for _, found in made.young_models]
    assert not np.array_equal(shifts[0], shifts[-1])


def test_networks_and_trees_see_nothing_of_what_calibrates(made):
    """They are stopped early by it; of one epoch, the weights are those of its end."""
    held_out = [
        replace(
            one,
            values=np.where(
                np.arange(len(one.values)) < round(len(one.values) * (1 - HELD_OUT)),
                one.values,
                7.0,
            ),
        )
        for one in RECORDED
    ]
    other = pretrain(held_out, QUICK)
    mine, its = (pack(one)[1] for one in (made, other))
    for name, array in mine.items():
        if not name.startswith(("shifts/", "tails/")):
            np.testing.assert_array_equal(array, its[name], err_msg=name)
    assert not np.array_equal(mine["shifts/lstm"], its["shifts/lstm"])


def test_the_same_recordings_give_the_same_model(made):
    mine, again = (pack(one)[1] for one in (made, pretrain(RECORDED, QUICK)))
    for name, array in mine.items():
        np.testing.assert_array_equal(array, again[name], err_msg=name)


def test_it_is_stored_and_loaded_with_all_calibrations(made, tmp_path):
    save_forecaster(made, tmp_path, "new")
    stored = load_forecaster(tmp_path, "new")
    for days in (0.05, 0.5, 1.5, 3.0, 10.0):
        part = History(tuple(replace(one, values=one.values[: int(days * 288)]) for one in HISTORY))
        np.testing.assert_array_equal(made.predict(part).values, stored.predict(part).values)


@pytest.mark.parametrize("minutes", [20, 60, 180, 1000, 2000, 5000, 12_000])
def test_a_service_is_calibrated_by_the_length_of_its_history(made, minutes):
    """At a start, in the scaler's batch, and in a backtest from its first sample on."""
    series = HISTORY.series[0]
    count = minutes // 5
    young = replace(series, values=series.values[:count])
    said = made.predict(History((young,))).values[0]
    at = next((i for i, span in enumerate(SPANS) if count * STEP < span), len(SPANS))
    models = [*(found for _, found in made.young_models), made.default_model]
    alone = replace(made, default_model=models[at], young_models=())
    np.testing.assert_array_equal(said, alone.predict(History((young,))).values[0])
    rolled = rolling_forecast(made, series, np.array([count - 1])).values[0]
    np.testing.assert_allclose(rolled, said, rtol=1e-4)


def test_windows_cut_from_a_short_history_are_those_of_a_service_that_has_no_more():
    values = HISTORY.series[0].values
    origins = np.array([900, 1000])
    windows = cut_at(values, origins, 40, MODEL).windows
    for row, origin in enumerate(origins):
        alone = cut_at(values[origin - 39 :], np.array([39]), 40, MODEL).windows
        np.testing.assert_array_equal(windows.take(np.array([row])).recent, alone.recent)
        np.testing.assert_array_equal(
            windows.target[row], values[origin + 1 : origin + 4].astype("f4")
        )
    assert windows.age.tolist() == [40, 40]
