"""Several networks as one: the mean of what they say."""

import numpy as np
import pytest

from forecaster.features.windows import Windows
from forecaster.models import lstm_ensemble as module
from forecaster.models.lstm_ensemble import Ensemble, network_deviation
from tests.forecaster.evaluation.fitting_samples import LEVELS, MODEL


@pytest.fixture
def windows(fitted) -> Windows:
    return fitted.parts[0].train


@pytest.fixture
def ensemble(forecaster) -> Ensemble:
    return forecaster.candidates.learned["lstm"]


def test_the_ensemble_says_the_mean_of_its_members(ensemble, windows):
    first, second = (network_deviation(network, windows) for network in ensemble.networks)
    assert (first != second).any()
    np.testing.assert_allclose(ensemble.deviation(windows), (first + second) / 2, rtol=1e-6)


def test_a_forecast_is_the_blend_moved_by_the_deviation_in_noise_scales(ensemble, windows):
    spread = ensemble.predict(windows)
    assert spread.centre.shape == (len(windows), MODEL.prediction_length, len(LEVELS))
    expected = windows.blend[..., None] + ensemble.deviation(windows) * windows.scale[:, None, None]
    np.testing.assert_allclose(spread.centre, np.maximum(expected, 0), rtol=1e-5)
    np.testing.assert_array_equal(spread.unit, windows.scale)


def test_more_windows_than_fit_at_once_are_answered_in_order(ensemble, windows):
    many = windows.take(np.arange(module.BATCH + 10) % len(windows))
    few = ensemble.deviation(windows)
    np.testing.assert_allclose(
        ensemble.deviation(many), few[np.arange(len(many)) % len(windows)], rtol=1e-4, atol=1e-5
    )


def test_arrays_bring_back_the_networks(ensemble, windows):
    again = Ensemble.from_tensors(MODEL, ensemble.tensors())
    np.testing.assert_array_equal(again.deviation(windows), ensemble.deviation(windows))
