"""Training of the networks: the same windows, config and machine give the same weights.

The random generators of each epoch are seeded by (seed, member, epoch). So a run that was killed
continues from its last checkpoint and reaches the same weights as without the interruption.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from forecaster.data.series import Block
from forecaster.errors import ConfigError
from forecaster.features.windows import Windows
from forecaster.models.candidate import Checkpoints, EpochReport, FitTask, FittingData
from forecaster.models.config import ModelConfig, TrainConfig
from forecaster.models.lstm import DeviationLSTM, pinball
from forecaster.models.lstm_budget import within_budget
from forecaster.models.lstm_ensemble import Ensemble

# Weights are averaged over about the last 200 steps, which reduces their noise at no cost.
AVERAGE_DECAY = 0.995
WARM_UP = 0.1  # share of the steps in which the learning rate rises
GRADIENT_NORM = 1.0  # gradients are clipped to this norm
# An item is sampled with a probability ~ windows ** BALANCE, so that large items do not dominate
# and small ones are not repeated too often.
BALANCE = 0.5
TIMED_STEPS = 8  # steps for measuring the time per step
BATCH = 2048  # calibration windows per forward pass, which bounds memory

Tensors = dict[str, npt.NDArray[Any]]


def pick_device(name: str) -> torch.device:
    """Return the device; ``auto`` is CUDA if available, else the CPU.

    Raises:
        ConfigError: the name is unknown, or CUDA was requested but is not available.
    """
    if name not in {"auto", "cpu", "cuda"}:
        raise ConfigError(f"device is {name!r}, but must be auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device is 'cuda', but PyTorch sees no CUDA device; use --device cpu")
    cuda = name != "cpu" and torch.cuda.is_available()
    return torch.device("cuda" if cuda else "cpu")


def learning_rate(progress: float, peak: float) -> float:
    """Return the learning rate after a share ``progress`` of the steps: linear up, cosine down.

    >>> [round(learning_rate(p, 1.0), 2) for p in (0.0, 0.1, 0.55, 1.0)]
    [0.0, 1.0, 0.5, 0.0]
    """
    if progress < WARM_UP:
        return peak * progress / WARM_UP
    return peak * 0.5 * (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP)))


class _Member:
    """One network in training, with its running average and the best average so far."""

    def __init__(self, config: TrainConfig, member: int, device: torch.device) -> None:
        self.config, self.member, self.device = config, member, device
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_seed(config.seed, member, 0))
            self.network = DeviationLSTM(config.model).to(device)
        self.average = copy.deepcopy(self.network)
        self.best = copy.deepcopy(self.network)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.best_loss, self.epoch, self.stale = math.inf, 0, 0

    def fit_epoch(self, batches: Iterator[Sequence[Tensor]]) -> float:
        """Take ``steps_per_epoch`` steps; return the mean loss."""
        config, total = self.config, self.config.epochs * self.config.steps_per_epoch
        levels = torch.tensor(config.model.quantile_levels, device=self.device)
        self.network.train()
        losses = []
        for i in range(config.steps_per_epoch):
            step = self.epoch * config.steps_per_epoch + i
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate((step + 1) / total, config.learning_rate)
            horizon, context, recent, target, peak = next(batches)
            with torch.autocast(
                self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"
            ):
                predicted = self.network(horizon, context, recent)
            loss = pinball(predicted.float(), target, levels, config.peak_weight * peak)
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            nn.utils.clip_grad_norm_(self.network.parameters(), GRADIENT_NORM)
            self.optimizer.step()
            self._update_average(max(1 - AVERAGE_DECAY, 1 / (step + 1)))
            losses.append(loss.detach())
        return float(torch.stack(losses).mean())

    @torch.no_grad()
    def _update_average(self, share: float) -> None:
        for mean, current in zip(self.average.parameters(), self.network.parameters(), strict=True):
            mean.lerp_(current, share)

    def end_epoch(self, loss: float) -> None:
        """Count the epoch; keep its average if its calibration loss is the best so far."""
        self.epoch += 1
        self.stale += 1
        if loss < self.best_loss:
            self.best_loss, self.stale = loss, 0
            self.best.load_state_dict(self.average.state_dict())

    @property
    def is_finished(self) -> bool:
        return self.epoch >= self.config.epochs or self.stale >= self.config.patience

    def state(self) -> Tensors:
        """Return the state from which `restore` continues."""
        tensors = {
            f"{part}.{name}": value.cpu().numpy()
            for part in ("network", "average", "best")
            for name, value in getattr(self, part).state_dict().items()
        }
        for i, slots in self.optimizer.state_dict()["state"].items():
            tensors |= {f"adam.{i}.{name}": value.cpu().numpy() for name, value in slots.items()}
        counters = [self.member, self.epoch, self.stale, self.best_loss]
        tensors["counters"] = np.array(counters, dtype=np.float64)
        return tensors

    def restore(self, tensors: Tensors) -> None:
        """Continue from a state.

        Raises:
            KeyError, RuntimeError: the state is of another model.
        """
        for part in ("network", "average", "best"):
            getattr(self, part).load_state_dict(_part(tensors, part))
        slots: dict[int, dict[str, Tensor]] = {}
        for name, value in _part(tensors, "adam").items():
            i, _, slot = name.partition(".")
            slots.setdefault(int(i), {})[slot] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": slots, "param_groups": groups})
        _, epoch, stale, self.best_loss = tensors["counters"].tolist()
        self.epoch, self.stale = int(epoch), int(stale)


def _part(tensors: Tensors, part: str) -> dict[str, Tensor]:
    prefix = f"{part}."
    return {
        name.removeprefix(prefix): torch.from_numpy(np.array(value))
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


def _seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


class _Sampler:
    """Draws batches of training windows: first an item, then one of its windows."""

    def __init__(self, train: Sequence[Windows], config: TrainConfig, device: torch.device) -> None:
        joined = Windows.join(train)
        arrays = joined.horizon, joined.context, joined.recent, joined.deviation, joined.peak
        self.tensors = [torch.from_numpy(np.ascontiguousarray(x)).to(device) for x in arrays]
        self.sizes = np.array([len(windows) for windows in train])
        chance = self.sizes**BALANCE
        self.chance = chance / chance.sum()
        self.first = np.cumsum(self.sizes) - self.sizes
        self.batch_size = config.batch_size

    def batches(self, rng: np.random.Generator) -> Iterator[Sequence[Tensor]]:
        while True:
            item = rng.choice(len(self.sizes), self.batch_size, p=self.chance)
            place = self.first[item] + rng.integers(0, self.sizes[item])
            index = torch.from_numpy(place).to(self.tensors[0].device)
            yield [tensor[index] for tensor in self.tensors]


def _calibration_loss(network: DeviationLSTM, data: FittingData, model: ModelConfig) -> float:
    """Return the mean over all items of the pinball loss on their calibration parts."""
    levels = torch.tensor(model.quantile_levels)
    losses = []
    for windows in data.calibration:
        predicted = torch.from_numpy(network_deviation(network, windows))
        losses.append(float(pinball(predicted, torch.from_numpy(windows.deviation), levels)))
    return float(np.mean(losses))


def network_deviation(network: DeviationLSTM, windows: Windows) -> Block:
    """Return the prediction of a network in training, ``(windows, horizon, levels)``."""
    network.eval()
    device = next(network.parameters()).device
    parts = []
    with torch.inference_mode():
        for first in range(0, len(windows), BATCH):
            block = slice(first, first + BATCH)
            inputs = (windows.horizon[block], windows.context[block], windows.recent[block])
            out = network(*(torch.from_numpy(x).to(device) for x in inputs))
            parts.append(out.float().cpu().numpy())
    return np.concatenate(parts)


def _measure(sampler: _Sampler, config: TrainConfig, device: torch.device) -> float:
    """Return the seconds that one step takes, measured on a temporary network."""
    short = replace(config, steps_per_epoch=TIMED_STEPS)
    member = _Member(short, 0, device)
    batches = sampler.batches(np.random.default_rng(0))
    member.fit_epoch(batches)  # warm-up of caches and allocators
    begin = time.perf_counter()
    member.fit_epoch(batches)
    return (time.perf_counter() - begin) / TIMED_STEPS


def fit_ensemble(
    data: FittingData,
    config: TrainConfig,
    *,
    report: Callable[[EpochReport], None] = lambda _: None,
    checkpoints: Checkpoints | None = None,
) -> tuple[Ensemble, TrainConfig]:
    """Return the fitted networks and the config that was used within the time budget.

    If ``checkpoints`` hold a state, the run continues from it. A run that exceeds its budget stops
    after the current epoch.
    """
    device, end = pick_device(config.device), _end_of(config)
    sampler = _Sampler(data.train, config, device)
    stored = checkpoints.load() if checkpoints else None
    if stored is not None and "plan" in stored:
        members, epochs, steps = (int(x) for x in stored["plan"])
        config = replace(config, members=members, epochs=epochs, steps_per_epoch=steps)
    elif config.time_budget is not None:
        config = within_budget(config, _measure(sampler, config, device))
    plan = np.array([config.members, config.epochs, config.steps_per_epoch])
    done: Tensors = {} if stored is None else {k: v for k, v in stored.items() if k[0].isdigit()}
    finished = len({name.partition(".")[0] for name in done})
    for number in range(finished, config.members):
        if number and time.perf_counter() > end:
            break
        member = _Member(config, number, device)
        if stored is not None and int(stored["counters"][0]) == number:
            member.restore(stored)
        while not member.is_finished and (member.epoch == 0 or time.perf_counter() < end):
            epoch_report = _fit_epoch(member, sampler, data)
            if checkpoints:
                checkpoints.save({**done, **member.state(), "plan": plan})
            report(epoch_report)
        best = {name: value.cpu().numpy() for name, value in member.best.state_dict().items()}
        done |= {f"{number}.{name}": value for name, value in best.items()}
    ensemble = Ensemble.from_tensors(config.model, done)
    return ensemble, replace(config, members=len(ensemble.networks))


def _fit_epoch(member: _Member, sampler: _Sampler, data: FittingData) -> EpochReport:
    """Fit one epoch, with random numbers that depend on seed, member and epoch only."""
    config, number = member.config, member.member
    begin = time.perf_counter()
    rng = np.random.default_rng(_seed(config.seed, number, member.epoch, 1))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_seed(config.seed, number, member.epoch, 2))
        loss = member.fit_epoch(sampler.batches(rng))
    calibration_loss = _calibration_loss(member.average, data, config.model)
    member.end_epoch(calibration_loss)
    return EpochReport(
        number, config.members, member.epoch, config.epochs, loss, calibration_loss,
        time.perf_counter() - begin,
    )  # fmt: skip


def fit_lstm(task: FitTask) -> tuple[Ensemble, TrainConfig]:
    """Return the fitted ensemble and the config that was used; see `fit_ensemble`."""
    return fit_ensemble(task.data, task.config, report=task.report, checkpoints=task.checkpoints)


def _end_of(config: TrainConfig) -> float:
    """Return when the time budget ends; a run that is slower than measured stops then."""
    if config.time_budget is None:
        return math.inf
    return time.perf_counter() + config.time_budget.total_seconds()
