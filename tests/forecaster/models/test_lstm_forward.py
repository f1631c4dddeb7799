"""The forward pass without torch: what torch computes, and the same bits in any company."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from forecaster import load_forecaster, read_history
from forecaster.data.series import History
from forecaster.data.synthetic import generate_history
from forecaster.features.anchors import build_track
from forecaster.features.timing import ANCHOR_COUNT
from forecaster.features.windows import (
    CONTEXT_FEATURES,
    HORIZON_FEATURES,
    RECENT_FEATURES,
    Windows,
    cut_windows,
)
from forecaster.models.config import ModelConfig
from forecaster.models.conformal import calibrated
from forecaster.models.forecaster import Forecaster
from forecaster.models.lstm import DeviationLSTM
from forecaster.models.lstm_ensemble import LSTM
from forecaster.models.lstm_forward import TILE, TILES, Network, expand, mean_deviation
from forecaster.models.naive import Spread
from tests.paths import ROOT
from tests.test_packaging import loaded_after
from tests.upgrade.v0_1_0 import FIXTURES, unpacked

# In noise scales: rounding alone sets the two apart.
ROUNDING = 1e-5
SHAPES = [
    pytest.param(ModelConfig(), id="the default"),
    pytest.param(ModelConfig(hidden_size=128, context_length=20), id="wider than one product"),
    pytest.param(ModelConfig(hidden_size=9, prediction_length=1), id="one step, odd width"),
    pytest.param(ModelConfig(quantile_levels=(0.5,), prediction_length=48), id="the median alone"),
    pytest.param(ModelConfig(quantile_levels=(0.5, 0.9), context_length=1), id="one sample"),
]
MOST = TILE * TILES + 3


def torch_network(config: ModelConfig, seed: int = 0) -> DeviationLSTM:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = DeviationLSTM(config).eval()
        with torch.no_grad():
            for weights in made.parameters():
                weights.add_(0.05 * torch.randn_like(weights))
    return made


def network(config: ModelConfig, seed: int = 0) -> Network:
    tensors = {name: x.numpy() for name, x in torch_network(config, seed).state_dict().items()}
    return Network.from_tensors(config, tensors)


def some_windows(config: ModelConfig, count: int, seed: int = 0) -> Windows:
    rng = np.random.default_rng(seed)
    length = config.prediction_length
    context = rng.normal(size=(count, CONTEXT_FEATURES))
    context[:, -ANCHOR_COUNT:] = rng.dirichlet(np.ones(ANCHOR_COUNT), count)
    parts = (
        rng.normal(size=(count, length, HORIZON_FEATURES)),
        context,
        rng.normal(size=(count, config.context_length, RECENT_FEATURES)),
        *(np.ones((count, length)), np.ones(count), np.ones(count)),
        np.zeros((count, length, 2)),
        *(np.ones((count, length)), np.zeros((count, length)), np.ones(count)),
    )
    return Windows(*(part.astype(np.float32) for part in parts))


def by_torch(made: DeviationLSTM, windows: Windows) -> np.ndarray:
    inputs = (windows.horizon, windows.context, windows.recent)
    with torch.inference_mode():
        return made(*map(torch.from_numpy, inputs)).numpy()


@pytest.mark.parametrize("config", SHAPES)
def test_it_says_what_torch_says(config):
    windows = some_windows(config, 40)
    expected = by_torch(torch_network(config), windows)
    found = mean_deviation([network(config)], windows)
    np.testing.assert_allclose(found, expected, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("config", SHAPES)
def test_alone_and_among_others_a_window_has_the_same_bits(config):
    windows, made = some_windows(config, MOST), [network(config), network(config, seed=1)]
    together = mean_deviation(made, windows)
    for place in (0, 1, TILE - 1, TILE, MOST - 1):
        alone = mean_deviation(made, windows.take(np.array([place])))
        np.testing.assert_array_equal(alone[0], together[place])


@given(places=st.lists(st.integers(0, MOST - 1), max_size=2 * TILE), seed=st.integers(0, 9))
def test_in_any_company_and_order_a_window_has_the_same_bits(places, seed):
    config = ModelConfig(hidden_size=16, context_length=4, prediction_length=3)
    windows, made = some_windows(config, MOST, seed), [network(config, seed)]
    together = mean_deviation(made, windows)
    chosen = np.array(places, dtype=np.int64)
    np.testing.assert_array_equal(mean_deviation(made, windows.take(chosen)), together[chosen])


def test_far_deviations_expand_to_a_bound():
    largest = np.float32(math.expm1(6))
    np.testing.assert_allclose(
        expand(np.float32([-1e3, -3e38, 0, 0.5, 3e38])),
        [-largest, -largest, 0, math.expm1(0.5), largest],
        rtol=1e-6,
    )


# Every stored model


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> dict[str, tuple[Forecaster, History]]:
    """Each stored model there is, with a history of its step."""
    registry = unpacked("forecaster", tmp_path_factory.mktemp("stored")) / "registry"
    old = read_history(FIXTURES / "history.parquet").history
    pretrained = load_forecaster(ROOT / "models", "pretrained")
    new = generate_history(2, 9, step=pretrained.model.step, seed=11).history
    versions = {f"web {v}": (load_forecaster(registry, "web", v), old) for v in ("v0001", "v0002")}
    return {"pretrained": (pretrained, new), **versions}


@pytest.mark.parametrize("name", ["pretrained", "web v0001", "web v0002"])
def test_a_stored_model_forecasts_as_by_torch_and_asks_for_the_same_replicas(stored, name):
    forecaster, history = stored[name]
    config, ensemble = forecaster.model, forecaster.candidates.learned[LSTM]
    networks = [DeviationLSTM(config).eval() for _ in ensemble.networks]
    for made, fitted in zip(networks, ensemble.networks, strict=True):
        made.load_state_dict({k: torch.from_numpy(w) for k, w in fitted.weights.items()})
    for series in history:
        track = build_track(series.values[None], config.timing)
        origins = np.arange(len(series) // 2, len(series) - config.prediction_length, 29)
        windows = cut_windows(track, np.zeros_like(origins), origins, config.context_length)
        expected = np.mean([by_torch(made, windows) for made in networks], axis=0)
        np.testing.assert_allclose(ensemble.deviation(windows), expected, rtol=0, atol=ROUNDING)
        shifts = forecaster.default_model.shifts[LSTM]
        mine, theirs = (
            replicas(calibrated(Spread(windows.restore(said), windows.scale), shifts))
            for said in (ensemble.deviation(windows), expected)
        )
        np.testing.assert_array_equal(mine, theirs)


def replicas(quantiles: np.ndarray) -> np.ndarray:
    """Return what each quantile asks for, at a little more than a thirtieth of the greatest."""
    return np.ceil(quantiles.astype(np.float64) / (quantiles.max() / 29.5)).astype(np.int64)


def test_loading_and_predicting_does_not_load_torch(models):
    code = (
        "from forecaster import load_forecaster; import forecaster.models.candidates\n"
        "from datetime import timedelta\n"
        "from forecaster.data.synthetic import generate_history\n"
        f"model = load_forecaster({str(models)!r}, 'web')\n"
        "history = generate_history(2, 3, step=timedelta(minutes=5), seed=1).history\n"
        "assert model.predict(history).values.shape[0] == 2"
    )
    assert loaded_after(code) & {"torch", "sklearn", "pandas", "pyarrow", "plotly"} == set()
