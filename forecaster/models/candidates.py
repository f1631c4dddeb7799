"""The kinds of candidates, and the candidates of one model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from forecaster.features.windows import Windows
from forecaster.models.candidate import Candidate, CandidateKind, FitTask
from forecaster.models.config import ModelConfig, TrainConfig
from forecaster.models.lstm_ensemble import LSTM, Ensemble
from forecaster.models.naive import NAIVE, Naive, Spread
from forecaster.models.tabular import (
    BOOSTING,
    RIDGE,
    BoostingBaseline,
    RidgeBaseline,
    fit_boosting,
    fit_ridge,
)


def _fit_lstm(task: FitTask) -> tuple[Candidate, TrainConfig]:
    from forecaster.models.lstm_training import fit_lstm  # noqa: PLC0415 - torch is for training

    return fit_lstm(task)


# The trained candidates; `naive.NAIVE` are those that need no training.
KINDS: tuple[CandidateKind, ...] = (
    CandidateKind(RIDGE, fit_ridge, RidgeBaseline.from_tensors),
    CandidateKind(BOOSTING, fit_boosting, BoostingBaseline.from_tensors),
    CandidateKind(LSTM, _fit_lstm, Ensemble.from_tensors),
)
CANDIDATES = (*NAIVE, *(kind.name for kind in KINDS))


@dataclass(frozen=True, eq=False)
class Candidates:
    """The candidates with which a model was trained; newer kinds are not among them.

    Attributes:
        model: the model's config.
        learned: the trained candidates by name.
        naive: names of the naive candidates, of `naive.NAIVE`.
    """

    model: ModelConfig
    learned: Mapping[str, Candidate]
    naive: tuple[str, ...] = NAIVE

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.naive, *self.learned)

    def spread(self, name: str, windows: Windows, naive: Mapping[str, Naive]) -> Spread:
        """Return the forecast of candidate ``name`` before calibration."""
        if name in self.learned:
            return self.learned[name].predict(windows)
        path = naive[name].path[:, :, None]
        return Spread(np.repeat(path, len(self.model.quantile_levels), axis=2), naive[name].scale)
