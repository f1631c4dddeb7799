"""The interface of a trained candidate: how it is fitted, loaded and stored, and how it predicts.

Another network beside the LSTM is one module, with a `Candidate` and a function that fits it, and
one line in `candidates.KINDS`. Calibration, choice, backtest and storage need no change.
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
    """A fitted forecaster, one of those that compete for each item."""

    def predict(self, windows: Windows) -> Spread:
        """Return the forecast from each window, before calibration."""

    def tensors(self) -> Tensors:
        """Return the fitted arrays, by names without a slash, for `CandidateKind.load`."""


class Checkpoints(Protocol):
    """Storage for the state of a run between epochs."""

    def load(self) -> dict[str, npt.NDArray[Any]] | None: ...

    def save(self, tensors: dict[str, npt.NDArray[Any]]) -> None: ...


@dataclass(frozen=True)
class EpochReport:
    """The result of one epoch, which prints as a line.

    Losses are mean pinball losses in noise scales.
    """

    member: int
    members: int
    epoch: int
    epochs: int
    loss: float
    calibration_loss: float
    seconds: float

    def __str__(self) -> str:
        return (
            f"member {self.member + 1}/{self.members} epoch {self.epoch}/{self.epochs} "
            f"loss {self.loss:.4f} calibration {self.calibration_loss:.4f} {self.seconds:.1f} s"
        )


class Doing(Protocol):
    """Takes what a run is doing now."""

    def __call__(self, doing: str, done: int = 0, total: int | None = None, line: str = "") -> None:
        """Say what is being done, and how much of how much is done; None: nobody knows.

        ``line`` is worth a line of its own.
        """


def silently(doing: str, done: int = 0, total: int | None = None, line: str = "") -> None:
    """Say nothing of what is being done."""


@dataclass(frozen=True, eq=False)
class FittingData:
    """The windows for training and for calibration, one `Windows` per item each."""

    train: Sequence[Windows]
    calibration: Sequence[Windows]


@dataclass(frozen=True, eq=False)
class FitTask:
    """The inputs of fitting a candidate.

    Attributes:
        config: the config of the run.
        data: all training windows, for candidates that draw batches.
        table: a sample of them, balanced over the items, for candidates that fit them all at once.
        report: called with the result of each epoch.
        checkpoints: storage for the LSTM; another network needs a file of its own.
        doing: called with how far the candidate is.
    """

    config: TrainConfig
    data: FittingData
    table: Windows
    report: Callable[[EpochReport], None] = lambda _: None
    checkpoints: Checkpoints | None = None
    doing: Doing = silently


@dataclass(frozen=True)
class CandidateKind:
    """A kind of trained candidate.

    Attributes:
        name: its name in tables and stored models, which must never change.
        fit: returns the candidate, and the config that was used.
        load: returns the candidate from the arrays of `Candidate.tensors`; raises KeyError,
            ValueError or RuntimeError if they do not fit the model's config.
    """

    name: str
    fit: Callable[[FitTask], tuple[Candidate, TrainConfig]]
    load: Callable[[ModelConfig, Tensors], Candidate]


def require_shape(array: npt.NDArray[np.generic], shape: tuple[int, ...], name: str) -> None:
    """Raise ValueError if a stored array does not have the shape that the config implies."""
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}, not {shape}")
