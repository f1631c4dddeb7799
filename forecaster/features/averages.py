"""The running averages of a block of items, which are continued from sample to sample."""

from __future__ import annotations

from dataclasses import dataclass, field

from forecaster.data.series import Block
from forecaster.features import smoothing
from forecaster.features.smoothing import Average


@dataclass(eq=False)
class Averages:
    """The running averages of a block of items by name: one per item, or one per slot."""

    items: int
    kept: dict[str, Average] = field(default_factory=dict)

    def mean(self, name: str, values: Block, span: float) -> Block:
        """Return the `smoothing.ewma` after each new sample."""
        before = self.kept.get(name) or Average.empty(self.items)
        mean, self.kept[name] = smoothing.ewma_from(before, values, span)
        return mean

    def slot_mean(self, name: str, values: Block, period: int, span: float) -> Block:
        """Return the `smoothing.periodic_mean` before each new sample."""
        before = self.kept.get(name) or Average.empty(self.items, period)
        mean, self.kept[name] = smoothing.periodic_mean_from(before, values, span)
        return mean
