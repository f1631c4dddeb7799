"""The network: an LSTM over the recent past, with a decoder of quantiles for each step ahead.

It is what PyTorch trains; `lstm_forward` computes the same from the fitted weights without PyTorch.

The output is ``(batch, horizon, levels)``. Quantiles cannot cross: the median is a mix of the
anchors plus a correction, and each further level adds a positive distance. All steps are predicted
at once (MQ-RNN: Wen et al., 2017, arXiv:1711.11053) by one decoder, whose inputs are the anchors'
forecasts and the features of earlier days for that step.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from forecaster.features.timing import ANCHOR_COUNT
from forecaster.features.windows import CONTEXT_FEATURES, HORIZON_FEATURES, RECENT_FEATURES
from forecaster.models.config import MEDIAN, ModelConfig
from forecaster.models.lstm_forward import LARGEST_LOG, MIN_WEIGHT


def expand(compressed: Tensor) -> Tensor:
    """Return the anchors' deviations from their compressed form; see `windows._log_scale`."""
    return compressed.sign() * compressed.abs().clamp(max=LARGEST_LOG).expm1()


def laplace_gaps(levels: Sequence[float]) -> list[float]:
    """Return the distances between neighbouring levels of Laplace noise with mean size 1.

    >>> [round(gap, 2) for gap in laplace_gaps((0.1, 0.5, 0.9))]
    [1.61, 1.61]
    """
    at = [math.log(2 * q) if q < MEDIAN else -math.log(2 * (1 - q)) for q in levels]
    return [high - low for low, high in itertools.pairwise(at)]


class DeviationLSTM(nn.Module):
    """Predicts quantiles of the deviation from the blend, in noise scales."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        hidden, levels = config.hidden_size, len(config.quantile_levels)
        self.below = config.quantile_levels.index(MEDIAN)
        self.lstm = nn.LSTM(RECENT_FEATURES, hidden, batch_first=True)
        self.dropout = nn.Dropout(config.dropout)
        self.from_window = nn.Linear(hidden + CONTEXT_FEATURES, hidden)
        self.from_step = nn.Linear(HORIZON_FEATURES, hidden)
        self.between = nn.Linear(hidden, hidden)
        self.out = nn.Linear(hidden, ANCHOR_COUNT + levels)
        nn.init.zeros_(self.out.weight)
        with torch.no_grad():  # initial output: the blend with Laplace noise
            self.out.bias.zero_()
            gaps = torch.tensor(laplace_gaps(config.quantile_levels))
            self.out.bias[ANCHOR_COUNT + 1 :] = gaps.expm1().log()

    def forward(self, horizon: Tensor, context: Tensor, recent: Tensor) -> Tensor:
        states, _ = self.lstm(recent)  # (batch, context, hidden)
        window = torch.cat([self.dropout(states[:, -1]), context], dim=-1)
        x = F.silu(self.from_window(window)[:, None] + self.from_step(horizon))
        x = x + F.silu(self.between(self.dropout(x)))  # (batch, horizon, hidden)
        out = self.out(x)
        prior = context[:, -ANCHOR_COUNT:].clamp(min=MIN_WEIGHT).log()
        mix = (out[..., :ANCHOR_COUNT] + prior[:, None]).softmax(dim=-1)
        anchors = expand(horizon[..., :ANCHOR_COUNT])
        median = (mix * anchors).sum(dim=-1) + out[..., ANCHOR_COUNT]
        gaps = F.softplus(out[..., ANCHOR_COUNT + 1 :])  # (batch, horizon, levels - 1)
        lower = gaps[..., : self.below].flip(-1).cumsum(dim=-1).flip(-1)
        upper = gaps[..., self.below :].cumsum(dim=-1)
        median = median[..., None]
        return torch.cat([median - lower, median, median + upper], dim=-1)


def pinball(
    predicted: Tensor, target: Tensor, levels: Tensor, peak: Tensor | None = None
) -> Tensor:
    """Return the mean pinball loss over the known targets, ``(batch, horizon)``.

    ``peak`` (batch, horizon) is the additional weight of levels above the median at each target.
    """
    known = torch.isfinite(target)
    error = torch.where(known, target, 0.0)[..., None] - predicted
    loss = torch.maximum(levels * error, (levels - 1) * error)
    if peak is not None:
        loss = loss * (1 + peak[..., None] * (levels > MEDIAN))
    return (loss.mean(dim=-1) * known).sum() / known.sum().clamp(min=1)
