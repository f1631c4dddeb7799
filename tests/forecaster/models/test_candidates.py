"""A network beside the LSTM is one module and one line: shown by one that only the tests know."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import nn

from forecaster.adapters.registry.registry import Artifact, Registry
from forecaster.data.series import utc
from forecaster.errors import RegistryError
from forecaster.evaluation.backtest import backtest
from forecaster.evaluation.selection import train
from forecaster.features.windows import CONTEXT_FEATURES, Windows
from forecaster.models.artifact import pack, unpack
from forecaster.models.candidate import CandidateKind, FitTask, Tensors
from forecaster.models.candidates import BLEND, CANDIDATES, KINDS
from forecaster.models.config import ModelConfig, TrainConfig
from forecaster.models.naive import HOLT_WINTERS, Spread
from tests.forecaster.evaluation.fitting_samples import LEVELS, TINY, assert_same_forecast

TOY = "toy"
STEPS = 20


@dataclass(frozen=True, eq=False)
class ToyNetwork:
    """A linear layer from a window's context to one deviation, the same at every step and level."""

    layer: nn.Linear
    levels: Sequence[float]

    def predict(self, windows: Windows) -> Spread:
        with torch.inference_mode():
            deviation = self.layer(torch.from_numpy(windows.context)).numpy()
        shape = (*windows.blend.shape, len(self.levels))
        return Spread(windows.restore(np.broadcast_to(deviation[:, :, None], shape)), windows.scale)

    def tensors(self) -> Tensors:
        return {name: value.numpy() for name, value in self.layer.state_dict().items()}


def fit_toy(task: FitTask) -> tuple[ToyNetwork, TrainConfig]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(task.config.seed)
        layer = nn.Linear(CONTEXT_FEATURES, 1)
    context = torch.from_numpy(task.table.context)
    target = torch.from_numpy(np.nan_to_num(task.table.deviation[:, :1]))
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.01)
    for _ in range(STEPS):
        optimizer.zero_grad()
        nn.functional.l1_loss(layer(context), target).backward()
        optimizer.step()
    return ToyNetwork(layer, task.config.model.quantile_levels), task.config


def load_toy(model: ModelConfig, tensors: Tensors) -> ToyNetwork:
    layer = nn.Linear(CONTEXT_FEATURES, 1)
    layer.load_state_dict({name: torch.from_numpy(value) for name, value in tensors.items()})
    return ToyNetwork(layer, model.quantile_levels)


MORE = (*KINDS, CandidateKind(TOY, fit_toy, load_toy))


@pytest.fixture(scope="module")
def with_toy(history):
    return train(history, TINY, kinds=MORE)


@pytest.fixture(scope="module")
def served_by_toy(with_toy):
    """The forecaster whose every item the toy network serves."""
    found = with_toy.forecaster
    services = {item: replace(one, source=TOY) for item, one in found.item_models.items()}
    return replace(
        found, item_models=services, default_model=replace(found.default_model, source=TOY)
    )


def test_a_network_that_is_registered_competes_on_every_item(with_toy, history):
    assert set(with_toy.forecaster.candidates.names) == {*CANDIDATES, TOY}
    assert set(with_toy.seconds) == {kind.name for kind in MORE}
    result = backtest(with_toy.forecaster, history)
    assert np.isfinite(result.summary[TOY].relative)
    assert TOY in result.record()["summary"]["predict_seconds"]


def test_it_is_saved_loaded_and_predicts_the_same(served_by_toy, history, tmp_path):
    registry = Registry(tmp_path)
    artifact = Artifact(*pack(served_by_toy, TINY), {"summary": {}})
    version = registry.save("web", artifact, now=utc("2026-04-01T00:00:00Z"))
    stored = registry.load("web", version)
    again = unpack(stored.config, stored.tensors, MORE)
    forecast = again.predict(history)
    assert set(forecast.sources) == {TOY}
    assert forecast.values.shape == (len(history), 6, len(LEVELS) + 1)
    assert_same_forecast(forecast, served_by_toy.predict(history))


def test_a_version_that_does_not_know_it_says_so_by_name(served_by_toy):
    config, tensors = pack(served_by_toy, TINY)
    with pytest.raises(RegistryError, match=r"candidate 'toy', which this tidegate, .*upgrade"):
        unpack(config, tensors)


def test_a_network_that_is_registered_later_refuses_no_stored_model(artifact, forecaster, history):
    again = unpack(artifact.config, artifact.tensors, MORE)
    assert again.candidates.names == CANDIDATES
    assert_same_forecast(again.predict(history), forecaster.predict(history))


def test_a_baseline_that_is_added_later_refuses_no_stored_model(artifact, forecaster, history):
    """The model is as one from before Holt-Winters was there."""
    config, tensors = copy.deepcopy(artifact.config), dict(artifact.tensors)
    config["candidates"].remove(HOLT_WINTERS)
    del tensors[f"shifts/{HOLT_WINTERS}"]
    for service in config["services"]:
        service["source"] = "lstm"
    again = unpack(config, tensors)
    assert HOLT_WINTERS not in again.candidates.names
    assert set(again.predict(history).sources) == {"lstm"}
    assert HOLT_WINTERS not in backtest(again, history).summary


def test_a_model_that_does_not_list_its_candidates_has_those_of_the_first_version(
    artifact, forecaster, history
):
    """They had no blend."""
    config, tensors = pack(forecaster.served_by("lstm", "as then"))
    del config["candidates"]
    again = unpack(config, tensors)
    assert BLEND not in again.candidates.names
    assert set(again.predict(history).sources) == {"lstm"}


def test_the_blend_lies_between_the_two_that_it_is_of(forecaster, history):
    item = forecaster.default_model
    unshifted = replace(item, shifts={name: 0 * shift for name, shift in item.shifts.items()})
    plain = replace(forecaster, item_models={}, default_model=unshifted)
    lstm, boosting, blend = (
        plain.served_by(name, "to compare").predict(history).values[:, :, 1]
        for name in ("lstm", "boosting", BLEND)
    )
    np.testing.assert_allclose(blend, 0.6 * lstm + 0.4 * boosting, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("names", [None, "lstm", 7])
def test_a_list_of_candidates_that_is_none_is_refused(artifact, names):
    with pytest.raises(RegistryError, match="not a list"):
        unpack(dict(artifact.config, candidates=names), artifact.tensors)
