"""Training of the networks is repeatable, resumable and within its budget."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
import torch

from forecaster.errors import ConfigError
from forecaster.models.lstm import pinball
from forecaster.models.lstm_ensemble import Ensemble
from forecaster.models.lstm_training import (
    EpochReport,
    FittingData,
    Tensors,
    _Sampler,
    fit_ensemble,
    pick_device,
)
from tests.forecaster.evaluation.fitting_samples import TINY

SAVES = TINY.members * TINY.epochs


class Killed(BaseException):
    """Stands for SIGKILL: nothing after it is done."""


class MemoryCheckpoints:
    """Keeps the last state; kills the run after so many saves."""

    def __init__(self, lives: int = 10**6) -> None:
        self.lives, self.state = lives, None

    def load(self) -> Tensors | None:
        return self.state

    def save(self, tensors: Tensors) -> None:
        self.state = {name: np.array(array) for name, array in tensors.items()}
        self.lives -= 1
        if self.lives == 0:
            raise Killed


@pytest.fixture(scope="module")
def data(fitted) -> FittingData:
    return FittingData(
        [part.train for part in fitted.parts.items],
        [p.calibration.windows for p in fitted.parts.items],
    )


@pytest.fixture(scope="module")
def uninterrupted(data) -> Ensemble:
    return fit_ensemble(data, TINY)[0]


def assert_same_weights(one: Ensemble, other: Ensemble) -> None:
    mine, yours = one.tensors(), other.tensors()
    assert mine.keys() == yours.keys()
    for name, weights in mine.items():
        np.testing.assert_array_equal(weights, yours[name], err_msg=name)


def differ(one: Ensemble, other: Ensemble) -> bool:
    yours = other.tensors()
    return any((weights != yours[name]).any() for name, weights in one.tensors().items())


def test_the_same_seed_gives_the_same_weights_to_the_last_bit(data, uninterrupted):
    assert_same_weights(fit_ensemble(data, TINY)[0], uninterrupted)


def test_the_weights_do_not_depend_on_the_global_random_state(data, uninterrupted):
    torch.manual_seed(99)
    torch.rand(7)
    assert_same_weights(fit_ensemble(data, TINY)[0], uninterrupted)


def test_another_seed_gives_other_weights(data, uninterrupted):
    assert differ(fit_ensemble(data, replace(TINY, seed=1))[0], uninterrupted)


def test_the_members_of_an_ensemble_are_not_copies(data, uninterrupted):
    first, second = (
        Ensemble(TINY.model, [network]).deviation(data.train[0])
        for network in uninterrupted.networks
    )
    assert (first != second).any()


def test_each_member_has_its_own_seed(data):
    frozen = replace(TINY, learning_rate=1e-30, weight_decay=0.0)
    weights = fit_ensemble(data, frozen)[0].tensors()
    assert (weights["0.lstm.weight_ih_l0"] != weights["1.lstm.weight_ih_l0"]).any()


def test_the_first_member_is_the_same_however_many_follow(data, uninterrupted):
    alone, _ = fit_ensemble(data, replace(TINY, members=1))
    weights = uninterrupted.tensors()
    for name, array in alone.tensors().items():
        np.testing.assert_array_equal(array, weights[name])


@pytest.mark.parametrize("lives", range(1, SAVES + 1), ids=lambda lives: f"after save {lives}")
def test_a_killed_run_that_resumes_reaches_the_same_weights(data, uninterrupted, lives):
    checkpoints = MemoryCheckpoints(lives)
    with pytest.raises(Killed):
        fit_ensemble(data, TINY, checkpoints=checkpoints)
    reports: list[EpochReport] = []
    resumed, _ = fit_ensemble(data, TINY, checkpoints=checkpoints, report=reports.append)
    assert_same_weights(resumed, uninterrupted)
    assert len(reports) == SAVES - lives  # no epoch is repeated


def test_a_run_that_is_killed_after_every_epoch_finishes(data, uninterrupted):
    checkpoints = MemoryCheckpoints()
    for _ in range(SAVES):
        checkpoints.lives = 1
        with pytest.raises(Killed):
            fit_ensemble(data, TINY, checkpoints=checkpoints)
    assert_same_weights(fit_ensemble(data, TINY, checkpoints=checkpoints)[0], uninterrupted)


def test_a_resumed_run_keeps_its_plan(data):
    """Measured again, on a busier machine, the budget would buy another plan."""
    config = replace(TINY, members=3, epochs=4, time_budget=timedelta(hours=1))
    checkpoints = MemoryCheckpoints(1)
    with pytest.raises(Killed):
        fit_ensemble(data, config, checkpoints=checkpoints)
    checkpoints.state["plan"] = np.array([1, 2, 5])
    resumed, carried_out = fit_ensemble(data, config, checkpoints=checkpoints)
    assert len(resumed.networks) == 1
    assert (carried_out.members, carried_out.epochs, carried_out.steps_per_epoch) == (1, 2, 5)


def calibration_loss(ensemble: Ensemble, data: FittingData) -> float:
    levels = torch.tensor(TINY.model.quantile_levels)
    losses = [
        pinball(
            torch.from_numpy(ensemble.deviation(windows)),
            torch.from_numpy(windows.deviation),
            levels,
        )
        for windows in data.calibration
    ]
    return float(np.mean(losses))


def test_the_best_epoch_is_kept_and_a_run_that_gets_worse_stops(data):
    rash = replace(TINY, members=1, epochs=12, patience=2, learning_rate=0.5, steps_per_epoch=4)
    reports: list[EpochReport] = []
    ensemble, _ = fit_ensemble(data, rash, report=reports.append)
    losses = [report.calibration_loss for report in reports]
    best = int(np.argmin(losses))
    assert len(losses) < rash.epochs
    assert len(losses) == best + 1 + rash.patience
    assert calibration_loss(ensemble, data) == pytest.approx(losses[best], rel=1e-6)


@pytest.mark.parametrize("left", [0, 1, 2, 3], ids=lambda left: f"{left} epochs before its end")
def test_a_resumed_run_stops_at_the_same_epoch(data, left):
    rash = replace(TINY, members=1, epochs=12, patience=2, learning_rate=0.5, steps_per_epoch=4)
    whole: list[EpochReport] = []
    expected, _ = fit_ensemble(data, rash, report=whole.append)
    checkpoints = MemoryCheckpoints(len(whole) - left)
    with pytest.raises(Killed):
        fit_ensemble(data, rash, checkpoints=checkpoints)
    rest: list[EpochReport] = []
    resumed, _ = fit_ensemble(data, rash, checkpoints=checkpoints, report=rest.append)
    assert [r.loss for r in rest] == [r.loss for r in whole[len(whole) - left :]]
    assert_same_weights(resumed, expected)


def test_a_run_that_diverges_leaves_finite_weights(data):
    wild = replace(TINY, members=1, learning_rate=1e30, epochs=3, patience=3)
    ensemble, _ = fit_ensemble(data, wild)
    assert all(np.isfinite(weights).all() for weights in ensemble.tensors().values())


def test_fitting_lowers_the_loss(data):
    longer = replace(TINY, members=1, epochs=4, steps_per_epoch=25, learning_rate=5e-3)
    reports: list[EpochReport] = []
    fit_ensemble(data, longer, report=reports.append)
    assert reports[-1].calibration_loss < reports[0].calibration_loss
    assert [(r.member, r.members, r.epoch, r.epochs) for r in reports] == [
        (0, 1, epoch, 4) for epoch in (1, 2, 3, 4)
    ]


def test_an_item_with_few_windows_is_fitted_too(data):
    """225 and 9 windows: the chances are as 15 to 3, the roots."""
    big, small = data.train[0].take(np.arange(225)), data.train[1].take(np.arange(9))
    sampler = _Sampler([big, small], replace(TINY, batch_size=4_000), torch.device("cpu"))
    _, context, *_ = next(sampler.batches(np.random.default_rng(3)))
    rare = torch.tensor(
        [bool((row == torch.tensor(small.context)).all(1).any()) for row in context]
    )
    assert float(rare.float().mean()) == pytest.approx(3 / 18, abs=0.02)
    uneven = FittingData([big, small], data.calibration)
    ensemble, _ = fit_ensemble(uneven, TINY)
    assert np.isfinite(ensemble.deviation(small)).all()


def test_a_budget_is_measured_and_kept_in_the_config(data):
    tight = replace(TINY, members=9, epochs=500, time_budget=timedelta(milliseconds=1))
    ensemble, carried_out = fit_ensemble(data, tight)
    assert len(ensemble.networks) == carried_out.members == 1
    assert carried_out.epochs == 1


def test_a_run_that_exceeds_its_budget_stops_after_the_current_epoch(data):
    """A plan made when the machine was quick: three members of nine epochs each."""
    checkpoints = MemoryCheckpoints()
    checkpoints.state = {"plan": np.array([3, 9, 5]), "counters": np.full(4, -1.0)}
    reports: list[EpochReport] = []
    slow = replace(TINY, time_budget=timedelta(microseconds=1))
    ensemble, carried_out = fit_ensemble(data, slow, checkpoints=checkpoints, report=reports.append)
    assert len(reports) == len(ensemble.networks) == carried_out.members == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_an_unavailable_device_is_refused_with_the_fix():
    with pytest.raises(ConfigError, match="sees no CUDA device; use --device cpu"):
        pick_device("cuda")
    assert pick_device("auto").type == "cpu"


def test_an_unknown_device_is_refused():
    with pytest.raises(ConfigError, match="'tpu', but must be auto, cpu or cuda"):
        pick_device("tpu")
