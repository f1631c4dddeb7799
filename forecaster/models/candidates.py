"""Everything that can forecast: which kinds there are, and those of one model together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from forecaster.features.windows import Windows
from forecaster.models.candidate import Candidate, CandidateKind
from forecaster.models.config import ModelConfig
from forecaster.models.lstm_ensemble import LSTM, Ensemble
from forecaster.models.lstm_training import fit_lstm
from forecaster.models.naive import NAIVE, Naive, Spread
from forecaster.models.tabular import (
    BOOSTING,
    RIDGE,
    BoostingBaseline,
    RidgeBaseline,
    fit_boosting,
    fit_ridge,
)

# The learned candidates; `naive.NAIVE` are those that need no fitting.
KINDS: tuple[CandidateKind, ...] = (
    CandidateKind(RIDGE, fit_ridge, RidgeBaseline.from_tensors),
    CandidateKind(BOOSTING, fit_boosting, BoostingBaseline.from_tensors),
    CandidateKind(LSTM, fit_lstm, Ensemble.from_tensors),
)
CANDIDATES = (*NAIVE, *(kind.name for kind in KINDS))


@dataclass(frozen=True, eq=False)
class Candidates:
    """The candidates of one model: those that it was fitted with, not all that there are today.

    Attributes:
        learned: by name.
        naive: names of `naive.NAIVE`.
    """

    model: ModelConfig
    learned: Mapping[str, Candidate]
    naive: tuple[str, ...] = NAIVE

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.naive, *self.learned)

    def spread(self, name: str, windows: Windows, naive: Mapping[str, Naive]) -> Spread:
        """Return what candidate ``name`` says, before calibration."""
        if name in self.learned:
            return self.learned[name].predict(windows)
        path = naive[name].path[:, :, None]
        return Spread(np.repeat(path, len(self.model.quantile_levels), axis=2), naive[name].scale)
