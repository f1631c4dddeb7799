"""A block of items with their anchors and the anchors' blend at every sample.

Axes: ``(items, time)``; with anchors ``(anchors, items, time)``. ``t`` is the origin: the last
sample that has been seen. An anchor's forecast for ``h`` steps after it is the straight line
``gain[t] * profile[t + h] + shift[t]``, not below 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from forecaster.data.series import Block
from forecaster.features.timing import (
    ANCHOR_COUNT,
    LEVEL_SPANS,
    RHYTHMS,
    SHAPED,
    WEEK_PROFILE,
    Timing,
)

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Track:
    """What every anchor says at every sample, and how wrong it has been.

    All fields end at the newest sample; what a forecast from it does not look at may be cut away
    before, in each field by itself.

    Attributes:
        values: as recorded, NaN where missing.
        filled: the last known value in every gap, NaN before any.
        profiles: ``(profiles, items, time)``; reaches ``prediction_length`` past the newest sample.
        gains: of the shaped anchors alone.
        shifts: of all anchors.
        weights: of each anchor in the blend.
        floor: the least noise scale.
        scale: the noise scale: the mean absolute error of the blend at the middle horizon.
        error_middle: that error itself, with its sign; NaN where unknown.
        error_next: the error of the blend one step ahead.
        surprise: how far each sample lay from the mean of its last hour, in QPS.
        rhythms: the mean of earlier surprises in the sample's slot, ``(rhythms, items, time)``.
        lively: mean size of ``error_middle``, over a short and a long span, ``(2, items, time)``.
    """

    timing: Timing
    values: Block
    filled: Block
    profiles: Block
    gains: Block
    shifts: Block
    weights: Block
    floor: Block
    scale: Block
    error_middle: Block
    error_next: Block
    surprise: Block
    rhythms: Block
    lively: Block

    @classmethod
    def unknown(cls, items: int, timing: Timing, lengths: Mapping[str, int]) -> Track:
        """Return the track that nothing is known of, so many samples long in each field."""
        rows: dict[str, tuple[int, ...]] = {
            "profiles": (WEEK_PROFILE + 1,),
            "gains": (len(SHAPED),),
            "shifts": (ANCHOR_COUNT,),
            "weights": (ANCHOR_COUNT,),
            "rhythms": (len(RHYTHMS),),
            "lively": (2,),
        }
        ahead = {"profiles": timing.prediction_length}
        arrays: dict[str, Any] = {
            f.name: np.full(
                (*rows.get(f.name, ()), items, lengths[f.name] + ahead.get(f.name, 0)),
                np.nan,
                dtype=np.float32,
            )
            for f in fields(cls)
            if f.name != "timing"
        }
        return cls(timing, **arrays)

    def __len__(self) -> int:
        return len(self.values)

    def arrays(self) -> dict[str, Block]:
        """Return the fields but the timing, by name."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "timing"}

    def last(self, lengths: int | Mapping[str, int]) -> Track:
        """Return the end of each field, of so many samples."""
        ahead = self.timing.prediction_length
        cut = {}
        for name, array in self.arrays().items():
            length = lengths if isinstance(lengths, int) else lengths[name]
            length += ahead if name == "profiles" else 0
            cut[name] = array[..., array.shape[-1] - length :]
        return Track(self.timing, **cut)

    def before(self, k: int, lead: int, count: int) -> Block:
        """Return what anchor ``k`` said ``lead`` samples before each of the last ``count``."""
        seen = _ending(count, lead)
        if (s := k - len(LEVEL_SPANS)) < 0:
            return np.asarray(self.shifts[k][seen])
        shape = self.profiles[SHAPED[s][0]][_ending(count, self.timing.prediction_length)]
        return line(self.gains[s][seen], shape, self.shifts[k][seen], self.filled[seen])

    def blend_before(self, lead: int, count: int) -> Block:
        """Return what the blend said ``lead`` samples before each of the last ``count``."""
        seen = _ending(count, lead)
        total = np.asarray(self.weights[0][seen] * self.before(0, lead, count))
        for k in range(1, ANCHOR_COUNT):
            total += self.weights[k][seen] * self.before(k, lead, count)
        return total

    def anchor_before(self, k: int, lead: int) -> Block:
        """Return what anchor ``k`` said ``lead`` samples before each sample, ``(items, time)``."""
        said = np.full_like(self.values, np.nan)
        said[:, lead:] = self.before(k, lead, max(self.values.shape[1] - lead, 0))
        return said

    def anchors(self, rows: Indices, origins: Indices) -> Block:
        """Return every anchor's forecast from each origin, ``(origins, horizon, anchors)``."""
        ahead, at = self.timing.prediction_length, origins - self.values.shape[1]
        steps = at[:, None] + 1 - ahead + np.arange(ahead)  # from the end, as the origins
        shapes = [profile[rows[:, None], steps] for profile in self.profiles]
        gain, shift = self.gains[:, rows, at], self.shifts[:, rows, at]
        last = self.filled[rows, at][:, None]
        result = np.empty((*steps.shape, ANCHOR_COUNT), dtype=np.float32)
        for k in range(ANCHOR_COUNT):
            result[:, :, k] = shift[k][:, None]
            if (s := k - len(LEVEL_SPANS)) >= 0:
                shape = shapes[SHAPED[s][0]]
                result[:, :, k] = line(gain[s][:, None], shape, shift[k][:, None], last)
        return result

    def blend(self, rows: Indices, origins: Indices) -> Block:
        """Return the blend of the anchors from each origin, ``(origins, horizon)``."""
        weights = self.weights[:, rows, origins - self.values.shape[1]]
        return blended(self.anchors(rows, origins), weights)


def blended(anchors: Block, weights: Block) -> Block:
    """Return the sum of ``(origins, horizon, anchors)`` by ``(anchors, origins)`` weights."""
    total: Block = anchors[:, :, 0] * weights[0][:, None]
    for k in range(1, ANCHOR_COUNT):
        total += anchors[:, :, k] * weights[k][:, None]
    return total


def line(gain: Block, shape: Block, shift: Block, last: Block) -> Block:
    """Return the shape on its line, not below 0; the last value where no shape is known."""
    result: Block = gain * shape
    result += shift
    np.maximum(result, 0, out=result)
    unknown = np.isnan(result)
    return np.where(unknown, last, result) if unknown.any() else result


def _ending(count: int, lead: int) -> tuple[slice, slice]:
    """Return the index of the ``count`` columns that end ``lead`` before the end."""
    return np.s_[:, -count - lead : -lead] if count else np.s_[:, :0]
