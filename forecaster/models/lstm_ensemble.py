"""The ensemble of fitted networks: predicts the mean of their quantiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from forecaster.data.series import Block
from forecaster.features.windows import Windows
from forecaster.models.config import ModelConfig
from forecaster.models.lstm_forward import Network, mean_deviation
from forecaster.models.naive import Spread

LSTM = "lstm"


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Networks of one config. The mean of quantiles that do not cross does not cross either."""

    config: ModelConfig
    networks: Sequence[Network]

    def deviation(self, windows: Windows) -> Block:
        """Return the mean prediction, ``(windows, horizon, levels)``, in noise scales."""
        return mean_deviation(self.networks, windows)

    def predict(self, windows: Windows) -> Spread:
        return Spread(windows.restore(self.deviation(windows)), windows.scale)

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        return {
            f"{member}.{name}": weights
            for member, network in enumerate(self.networks)
            for name, weights in network.weights.items()
        }

    @classmethod
    def from_tensors(cls, config: ModelConfig, tensors: Mapping[str, npt.NDArray[Any]]) -> Ensemble:
        """Return the ensemble with these weights.

        Raises:
            KeyError, ValueError: the weights do not fit ``config``.
        """
        members = sorted({int(name.partition(".")[0]) for name in tensors})
        if not members:
            raise ValueError("weights hold no network")
        return cls(config, [Network.from_tensors(config, tensors, f"{m}.") for m in members])
