"""Configs are validated on construction; a refusal names the value found and the fix."""

from dataclasses import FrozenInstanceError
from datetime import timedelta

import pytest

from forecaster.errors import ConfigError
from forecaster.features.timing import Timing
from forecaster.models.config import MEDIAN, QUANTILE_LEVELS, ModelConfig, TrainConfig

NAN = float("nan")


def test_the_defaults_are_half_an_hour_ahead_in_minutes():
    config = ModelConfig()
    assert config.timing == Timing(timedelta(minutes=1), 30)
    assert config.quantile_levels == QUANTILE_LEVELS == (0.1, MEDIAN, 0.9, 0.95, 0.99)
    assert TrainConfig().model == config


def test_a_forecast_of_a_day_needs_two_options_only():
    config = ModelConfig(step=timedelta(minutes=15), prediction_length=96)
    assert config.timing.day == config.prediction_length == 96


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"quantile_levels": (0.9, 0.5)}, r"\(0.9, 0.5\).*must ascend", id="falling"),
        pytest.param({"quantile_levels": (0.5, 0.5)}, "must ascend", id="a level twice"),
        pytest.param({"quantile_levels": (0.0, 0.5)}, r"within \(0, 1\)", id="level zero"),
        pytest.param({"quantile_levels": (0.5, 1.0)}, r"within \(0, 1\)", id="level one"),
        pytest.param({"quantile_levels": (0.5, NAN)}, r"within \(0, 1\)", id="level NaN"),
        pytest.param({"quantile_levels": (0.1, 0.9)}, "contain the median 0.5", id="no median"),
        pytest.param({"quantile_levels": ()}, "contain the median 0.5", id="no levels"),
        pytest.param({"context_length": 0}, "context_length is 0; give at least 1", id="context"),
        pytest.param({"hidden_size": 0}, "hidden_size is 0; give at least 1", id="no units"),
        pytest.param(
            {"dropout": 1.0}, r"dropout is 1.0, but must be in \[0, 1\)", id="all dropped"
        ),
        pytest.param({"dropout": -0.1}, "dropout is -0.1", id="less than none dropped"),
        pytest.param({"dropout": NAN}, "dropout is nan", id="dropout NaN"),
        pytest.param({"prediction_length": 0}, "prediction_length is 0", id="nothing ahead"),
        pytest.param({"prediction_length": 1441}, "at most a day", id="more than a day ahead"),
        pytest.param({"step": timedelta(minutes=7)}, "step is 0:07:00.*evenly", id="no whole day"),
        pytest.param({"step": timedelta(0)}, "step is 0:00:00", id="no step"),
    ],
)
def test_an_impossible_model_config_is_refused(changes, words):
    with pytest.raises(ConfigError, match=words):
        ModelConfig(**changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"members": 0}, "members is 0; give at least 1", id="members"),
        pytest.param({"epochs": 0}, "epochs is 0; give at least 1", id="epochs"),
        pytest.param({"steps_per_epoch": 0}, "steps_per_epoch is 0", id="steps"),
        pytest.param({"patience": 0}, "patience is 0; give at least 1", id="patience"),
        pytest.param({"batch_size": -1}, "batch_size is -1; give at least 1", id="batch"),
        pytest.param({"max_windows": 0}, "max_windows is 0; give at least 1", id="windows"),
        pytest.param({"seed": -1}, "seed is -1; give 0 or more", id="seed"),
        pytest.param({"learning_rate": 0.0}, "learning_rate is 0.0; give above 0", id="rate"),
        pytest.param({"learning_rate": NAN}, "learning_rate is nan", id="rate NaN"),
        pytest.param({"weight_decay": -0.1}, "weight_decay is -0.1; give 0 or more", id="decay"),
        pytest.param({"peak_weight": -1.0}, "peak_weight is -1.0; give 0 or more", id="peaks"),
        pytest.param({"calibration_share": 0.0}, r"\(0.0, 0.125\).*above 0", id="no calibration"),
        pytest.param({"test_share": 0.0}, r"\(0.125, 0.0\).*above 0", id="no test"),
        pytest.param({"test_share": 0.4}, "together at most half", id="too little to train on"),
        pytest.param({"test_share": NAN}, "nan", id="share NaN"),
        pytest.param({"time_budget": timedelta(0)}, "time_budget is 0:00:00; give", id="no time"),
    ],
)
def test_an_impossible_training_config_is_refused(changes, words):
    with pytest.raises(ConfigError, match=words):
        TrainConfig(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"calibration_share": 0.25, "test_share": 0.25}, id="half is left to train"),
        pytest.param({"time_budget": timedelta(seconds=1)}, id="a second"),
        pytest.param({"weight_decay": 0.0, "peak_weight": 0.0}, id="neither decay nor peaks"),
        pytest.param({"model": ModelConfig(quantile_levels=(MEDIAN,))}, id="the median alone"),
        pytest.param({"model": ModelConfig(prediction_length=1440)}, id="a whole day"),
    ],
)
def test_values_at_the_bounds_are_allowed(changes):
    config = TrainConfig(**changes)
    assert {name: getattr(config, name) for name in changes} == changes


def test_a_config_is_a_value():
    assert TrainConfig(seed=3) == TrainConfig(seed=3) != TrainConfig(seed=4)
    with pytest.raises(FrozenInstanceError):
        TrainConfig().seed = 1  # type: ignore[misc]
