"""The kinds of candidates, and the candidates of one model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

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
# The weighted mean of two trained candidates, which needs nothing but them.
BLEND = "blend"
# Of the LSTM in the blend; the rest is boosting's. On ten recorded traces it is within 0.2 % of the
# best weight over all moments, and at peaks.
LSTM_WEIGHT = 0.6
CANDIDATES = (*NAIVE, *(kind.name for kind in KINDS), BLEND)


@dataclass(frozen=True, eq=False)
class Candidates:
    """The candidates with which a model was trained; newer kinds are not among them.

    Attributes:
        model: the model's config.
        learned: the trained candidates by name.
        naive: names of the naive candidates, of `naive.NAIVE`.
        has_blend: whether the blend is one of them, which needs the LSTM and boosting.
    """

    model: ModelConfig
    learned: Mapping[str, Candidate] = field(repr=False)  # arrays of weights
    naive: tuple[str, ...] = NAIVE
    has_blend: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.naive, *self.learned, *((BLEND,) if self.has_blend else ()))

    def spread(self, name: str, windows: Windows, naive: Mapping[str, Naive]) -> Spread:
        """Return the forecast of candidate ``name`` before calibration."""
        if name == BLEND:
            return _blended(*(self.learned[one].predict(windows) for one in (LSTM, BOOSTING)))
        if name in self.learned:
            return self.learned[name].predict(windows)
        return naive[name].spread(len(self.model.quantile_levels))

    def spreads(self, windows: Windows, naive: Mapping[str, Naive]) -> Iterator[tuple[str, Spread]]:
        """Yield the forecast of each candidate in the order of `names`, each computed once."""
        parts: dict[str, Spread] = {}
        for name in self.names:
            if name == BLEND:
                yield name, _blended(parts[LSTM], parts[BOOSTING])
                continue
            found = self.spread(name, windows, naive)
            if self.has_blend and name in {LSTM, BOOSTING}:
                parts[name] = found
            yield name, found


def _blended(lstm: Spread, boosting: Spread) -> Spread:
    weight = np.float32(LSTM_WEIGHT)
    return Spread(weight * lstm.centre + (1 - weight) * boosting.centre, lstm.unit)
