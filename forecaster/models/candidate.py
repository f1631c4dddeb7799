"""What a learned candidate is: how it is fitted, how it is loaded, and what it says.

A network beside the LSTM is a module of its own with a `Candidate` and a function that fits it, and
a line in `candidates.KINDS`. Everything else (calibration, choice, backtest, storage) follows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from forecaster.features.windows import Windows
from forecaster.models.config import ModelConfig, TrainConfig
from forecaster.models.naive import Spread

Tensors = Mapping[str, npt.NDArray[Any]]


class Candidate(Protocol):
    """A fitted forecaster that competes for each item."""

    def predict(self, windows: Windows) -> Spread:
        """Return the forecast from each window, before calibration."""

    def tensors(self) -> Tensors:
        """Return all that was fitted, by names without a slash; `CandidateKind.load` reads it."""


class Checkpoints(Protocol):
    """Where the state of a run is kept between epochs."""

    def load(self) -> dict[str, npt.NDArray[Any]] | None: ...

    def save(self, tensors: dict[str, npt.NDArray[Any]]) -> None: ...


@dataclass(frozen=True)
class EpochReport:
    """What one epoch did; losses are mean pinball losses in noise scales."""

    member: int
    members: int
    epoch: int
    epochs: int
    loss: float
    calibration_loss: float
    seconds: float


@dataclass(frozen=True, eq=False)
class FittingData:
    """Windows per item: one `Windows` per item in ``train`` and in ``calibration``."""

    train: Sequence[Windows]
    calibration: Sequence[Windows]


@dataclass(frozen=True, eq=False)
class FitTask:
    """What a candidate is fitted on.

    Attributes:
        config: of the run.
        data: every training window, for what draws its own batches.
        table: some of them, balanced over the items, for what fits them all at once.
        report: is told of each epoch.
        checkpoints: of the LSTM; another network needs a file of its own.
    """

    config: TrainConfig
    data: FittingData
    table: Windows
    report: Callable[[EpochReport], None] = lambda _: None
    checkpoints: Checkpoints | None = None


@dataclass(frozen=True)
class CandidateKind:
    """A kind of learned candidate.

    Attributes:
        name: in tables and in stored models; it never changes.
        fit: returns the candidate, and the run's config as it was carried out.
        load: returns the candidate that `Candidate.tensors` came from; raises KeyError, ValueError
            or RuntimeError where they are not those of the model's config.
    """

    name: str
    fit: Callable[[FitTask], tuple[Candidate, TrainConfig]]
    load: Callable[[ModelConfig, Tensors], Candidate]


def require_shape(array: npt.NDArray[np.generic], shape: tuple[int, ...], name: str) -> None:
    """Raise ValueError where a stored array has another shape than the model's config asks for."""
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}, not {shape}")
