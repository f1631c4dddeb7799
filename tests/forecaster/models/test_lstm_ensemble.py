"""The ensemble predicts the mean of its networks."""

from dataclasses import replace

import numpy as np
import pytest

from forecaster.features.windows import Windows
from forecaster.models.lstm_ensemble import Ensemble
from tests.forecaster.evaluation.fitting_samples import LEVELS, MODEL


@pytest.fixture
def windows(fitted) -> Windows:
    return fitted.parts.items[0].train


@pytest.fixture
def ensemble(forecaster) -> Ensemble:
    return forecaster.candidates.learned["lstm"]


def test_the_ensemble_predicts_the_mean_of_its_members(ensemble, windows):
    first, second = (Ensemble(MODEL, [one]).deviation(windows) for one in ensemble.networks)
    assert (first != second).any()
    np.testing.assert_allclose(ensemble.deviation(windows), (first + second) / 2, rtol=1e-6)


def test_a_forecast_is_the_blend_plus_the_deviation_in_noise_scales(ensemble, windows):
    spread = ensemble.predict(windows)
    assert spread.centre.shape == (len(windows), MODEL.prediction_length, len(LEVELS))
    expected = windows.blend[..., None] + ensemble.deviation(windows) * windows.scale[:, None, None]
    np.testing.assert_allclose(spread.centre, np.maximum(expected, 0), rtol=1e-5)
    np.testing.assert_array_equal(spread.unit, windows.scale)


def test_networks_are_restored_from_arrays(ensemble, windows):
    again = Ensemble.from_tensors(MODEL, ensemble.tensors())
    np.testing.assert_array_equal(again.deviation(windows), ensemble.deviation(windows))


def test_arrays_of_another_network_are_refused(ensemble):
    tensors = dict(ensemble.tensors())
    with pytest.raises(ValueError, match=r"0\.lstm\.weight_ih_l0 has shape"):
        Ensemble.from_tensors(replace(MODEL, hidden_size=9), tensors)
    with pytest.raises(ValueError, match=r"1\.head\.bias is no array"):
        Ensemble.from_tensors(MODEL, {**tensors, "1.head.bias": np.zeros(3)})
    del tensors["1.out.bias"]
    with pytest.raises(KeyError, match=r"1\.out\.bias"):
        Ensemble.from_tensors(MODEL, tensors)
