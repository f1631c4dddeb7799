"""A block of items with their anchors and the anchors' blend at every sample.

Axes: ``(items, time)``; with anchors ``(anchors, items, time)``. ``t`` is the origin: the last
sample that a forecast is based on. An anchor's forecast for ``h`` steps after it is
``gain[t] * profile[t + h] + shift[t]``, but at least 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from forecaster.data.local_clock import LocalClock
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
_NO_ARRAYS = {"timing", "clock"}


@dataclass(frozen=True, eq=False)
class Track:
    """The anchors' forecasts from every sample, their blend, and its errors.

    All fields end at the newest sample. Each may be shortened at its beginning to what the forecast
    from that sample needs.

    Attributes:
        values: as recorded, NaN where missing.
        filled: the same with the last known value in gaps; NaN before the first known sample.
        profiles: ``(profiles, items, time)``; reaches ``prediction_length`` past the newest sample.
        gains: of the scaled and shifted anchors.
        shifts: of all anchors.
        weights: of the anchors in the blend.
        floor: lower bound of the noise scale.
        scale: the noise scale, the mean absolute error of the blend at the middle horizon.
        error_middle: that error itself, with its sign; NaN where unknown.
        error_next: the error of the blend one step ahead.
        surprise: difference of each sample from the mean of its trailing hour, clipped.
        rhythms: mean of the earlier surprises in each sample's slot, ``(rhythms, items, time)``.
        lively: mean absolute ``error_middle`` over a short and a long span, ``(2, items, time)``.
        shock: height of what was a shock `Timing.shock_reach` samples before, else 0; see `shocks`.
        outage: 1 where a sample belongs to an outage, else 0; see `outages.Outages`, also for
            ``fall_age``, ``low_age`` and ``sharp``.
        clock: of the items, where it changes in their time; only in a track of all of it.
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
    shock: Block
    outage: Block
    fall_age: Block
    low_age: Block
    sharp: Block
    clock: LocalClock | None = None

    @classmethod
    def unknown(cls, items: int, timing: Timing, lengths: Mapping[str, int]) -> Track:
        """Return a track of NaN, with the given number of samples in each field."""
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
            if f.name not in _NO_ARRAYS
        }
        return cls(timing, **arrays)

    def __len__(self) -> int:
        return len(self.values)

    def arrays(self) -> dict[str, Block]:
        """Return the fields that are arrays, by name."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _NO_ARRAYS}

    def last(self, lengths: int | Mapping[str, int]) -> Track:
        """Return the track shortened to the given number of last samples, in each field."""
        ahead = self.timing.prediction_length
        cut: dict[str, Any] = {}
        for name, array in self.arrays().items():
            length = lengths if isinstance(lengths, int) else lengths[name]
            length += ahead if name == "profiles" else 0
            cut[name] = array[..., array.shape[-1] - length :]
        return Track(self.timing, **cut)

    def past_forecasts(self, k: int, lead: int, count: int) -> Block:
        """Return anchor ``k``'s forecasts for the last ``count`` samples, made ``lead`` ahead."""
        seen = _ending(count, lead)
        if (s := k - len(LEVEL_SPANS)) < 0:
            return np.asarray(self.shifts[k][seen])
        shape = self.profiles[SHAPED[s][0]][_ending(count, self.timing.prediction_length)]
        return line(self.gains[s][seen], shape, self.shifts[k][seen], self.filled[seen])

    def past_blend(self, lead: int, count: int) -> Block:
        """Return the blend's forecasts for the last ``count`` samples, made ``lead`` ahead."""
        seen = _ending(count, lead)
        total = np.asarray(self.weights[0][seen] * self.past_forecasts(0, lead, count))
        for k in range(1, ANCHOR_COUNT):
            total += self.weights[k][seen] * self.past_forecasts(k, lead, count)
        return total

    def anchor_forecasts(self, k: int, lead: int) -> Block:
        """Return the forecasts of anchor ``k``, made ``lead`` ahead, ``(items, time)``."""
        forecasts = np.full_like(self.values, np.nan)
        forecasts[:, lead:] = self.past_forecasts(k, lead, max(self.values.shape[1] - lead, 0))
        return forecasts

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
    """Return forecasts, ``(origins, horizon, anchors)``, weighted by ``(anchors, origins)``."""
    total: Block = anchors[:, :, 0] * weights[0][:, None]
    for k in range(1, ANCHOR_COUNT):
        total += anchors[:, :, k] * weights[k][:, None]
    return total


def line(gain: Block, shape: Block, shift: Block, last: Block) -> Block:
    """Return ``gain * shape + shift``, but at least 0; ``last`` where the shape is unknown."""
    result: Block = gain * shape
    result += shift
    np.maximum(result, 0, out=result)
    unknown = np.isnan(result)
    return np.where(unknown, last, result) if unknown.any() else result


def _ending(count: int, lead: int) -> tuple[slice, slice]:
    """Return the index of the ``count`` columns before the last ``lead``."""
    return np.s_[:, -count - lead : -lead] if count else np.s_[:, :0]
