"""The fitted networks together: the mean of their quantiles, in blocks that fit in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from forecaster.data.series import Block
from forecaster.features.windows import Windows
from forecaster.models.config import ModelConfig
from forecaster.models.lstm import DeviationLSTM
from forecaster.models.naive import Spread

LSTM = "lstm"
BATCH = 2048


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Networks of one config; averaging quantiles keeps them from crossing."""

    config: ModelConfig
    networks: Sequence[DeviationLSTM]

    def deviation(self, windows: Windows) -> Block:
        """Return the mean of the members, ``(windows, horizon, levels)``, in noise scales."""
        members = [network_deviation(network, windows) for network in self.networks]
        mean: Block = np.mean(members, axis=0)
        return mean

    def predict(self, windows: Windows) -> Spread:
        return Spread(windows.restore(self.deviation(windows)), windows.scale)

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        return {
            f"{member}.{name}": weights.detach().cpu().numpy()
            for member, network in enumerate(self.networks)
            for name, weights in network.state_dict().items()
        }

    @classmethod
    def from_tensors(cls, config: ModelConfig, tensors: Mapping[str, npt.NDArray[Any]]) -> Ensemble:
        """Raises KeyError, ValueError or RuntimeError where they are not those of ``config``."""
        members = sorted({int(name.partition(".")[0]) for name in tensors})
        networks = []
        for member in members:
            network = DeviationLSTM(config)
            prefix = f"{member}."
            network.load_state_dict(
                {
                    name.removeprefix(prefix): torch.from_numpy(weights)
                    for name, weights in tensors.items()
                    if name.startswith(prefix)
                }
            )
            networks.append(network.eval())
        if not networks:
            raise ValueError("weights hold no network")
        return cls(config, tuple(networks))


def network_deviation(network: DeviationLSTM, windows: Windows) -> Block:
    """Return what one network says, ``(windows, horizon, levels)``, in noise scales."""
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
