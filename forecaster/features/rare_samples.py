"""Samples that are rare and remembered one by one, such as shocks and outages."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forecaster.data.series import Block
from forecaster.features.track import Indices

# So many of an item are remembered: the shocks of two weeks of an hourly job.
MOST = 512


@dataclass(frozen=True, eq=False)
class RareSamples:
    """The newest `MOST` rare samples of each item, newest first.

    Attributes:
        ages: how many samples before the newest sample they were, ``(items, MOST)``.
        values: above 0, such as their heights, ``(items, MOST)``; 0 where there are fewer.
    """

    ages: Indices
    values: Block

    @classmethod
    def none(cls, items: int) -> RareSamples:
        """Return the memory before any."""
        return cls(
            np.zeros((items, MOST), dtype=np.int32), np.zeros((items, MOST), dtype=np.float32)
        )

    def after(self, found: Block, delay: int = 0) -> RareSamples:
        """Return the memory after more samples.

        Args:
            found: the values of rare ones, 0 for all others, ``(items, count)``.
            delay: how many samples before its column each was.
        """
        count = found.shape[1]
        ages, values = self.ages + np.int32(count), self.values
        rows = np.flatnonzero((found > 0).any(axis=1))
        if len(rows):
            new = np.broadcast_to(delay + np.arange(count, dtype=np.int32), (len(rows), count))
            all_ages = np.concatenate([new, ages[rows]], axis=1)
            all_values = np.concatenate([found[rows, ::-1], values[rows]], axis=1)
            newest = np.argsort(all_values <= 0, axis=1, kind="stable")[:, :MOST]
            values = values.copy()
            ages[rows] = np.take_along_axis(all_ages, newest, axis=1)
            values[rows] = np.take_along_axis(all_values, newest, axis=1)
        return RareSamples(ages, values)

    def at(self, ages: Indices) -> Block:
        """Return the values of the samples so long before the newest one, 0 where none is rare.

        Args:
            ages: of each item, ``(items, ...)``.
        """
        found = np.zeros(ages.shape, dtype=np.float32)
        for row in np.flatnonzero(self.values.any(axis=1)):
            by_age = np.zeros(int(ages[row].max()) + 1, dtype=np.float32)
            near = (self.values[row] > 0) & (self.ages[row] < len(by_age))
            by_age[self.ages[row][near]] = self.values[row][near]
            found[row] = by_age[ages[row]]
        return found
