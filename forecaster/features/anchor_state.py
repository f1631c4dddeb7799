"""The anchors of many items as arrays that are updated with each sample.

A state is the end of an `anchors.build_track`: the running averages and the last columns. A new
sample costs O(1) per item, and windows cut from the state are equal, to the last bit, to those cut
from the whole history. The state holds no history: an update and a window are given the few older
samples that they need, at `shape_offsets` and at `windows.earlier_offsets`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from forecaster.data.series import Block
from forecaster.features import smoothing
from forecaster.features.anchors import (
    RAW_GAINS,
    Averages,
    extend,
    looked_back_at,
    raw_shapes,
)
from forecaster.features.shocks import ShockMemory
from forecaster.features.smoothing import Average
from forecaster.features.timing import PROFILE_DAYS, Timing
from forecaster.features.track import Indices, Track
from forecaster.features.windows import Beyond, Windows, cut_windows

Arrays = Mapping[str, npt.NDArray[Any]]
_TOTAL, _WEIGHT = "total: ", "weight: "  # prefixes of averages in `AnchorState.arrays`


def shape_offsets(timing: Timing) -> Indices:
    """Return the places of the samples that a new sample's profiles need, oldest first.

    They are relative to the new sample, and not after it.
    """
    ahead = timing.prediction_length + timing.reach
    return np.asarray(ahead - timing.day * np.arange(PROFILE_DAYS, 0, -1))


@dataclass(frozen=True, eq=False)
class AnchorState:
    """The state of a block of items after the newest sample of each.

    Attributes:
        context_length: number of recent samples in a window.
        track: its last columns.
        raw: the last columns of `anchors.raw_shapes`.
        averages: the running averages.
        age: number of samples of each item so far, at most ``context_length``, ``(items,)``.
        shocks: the newest shocks.
    """

    context_length: int
    track: Track
    raw: Block
    averages: Averages
    age: Indices
    shocks: ShockMemory

    @classmethod
    def of(cls, values: Block, timing: Timing, context_length: int) -> AnchorState:
        """Return the state after a history, ``(items, time)``; items start and end together."""
        items, length = values.shape
        averages = Averages(items)
        kept = kept_lengths(timing, context_length)
        raw = raw_shapes(values, timing)
        longer = extend(Track.unknown(items, timing, kept), averages, raw, values)
        track, shocks = longer.last(kept), ShockMemory.of(longer.shock, timing.shock_reach)
        age = np.full(items, min(length, context_length))
        raw = raw[:, :, raw.shape[2] - 2 * timing.reach :].copy()
        return cls(context_length, _copied(track), raw, averages, age, shocks)

    def __len__(self) -> int:
        return len(self.age)

    @property
    def timing(self) -> Timing:
        return self.track.timing

    def after(self, samples: Block, week: Block) -> AnchorState:
        """Return the state after more samples, ``(items, time)`` QPS, NaN where missing.

        ``week`` has the samples at `shape_offsets` from each, ``(items, time, PROFILE_DAYS)``.
        """
        count = samples.shape[1]
        days = [week[:, :, day] for day in range(PROFILE_DAYS)]
        shapes = [smoothing.smoothed(days, gain) for gain in RAW_GAINS]
        raw = np.concatenate([self.raw, np.stack([*shapes, days[0]])], axis=2, dtype=np.float32)
        averages = Averages(len(self), dict(self.averages.kept))
        longer = extend(self.track, averages, raw, samples)
        track = longer.last(kept_lengths(self.timing, self.context_length))
        age = np.minimum(self.age + count, self.context_length)
        shocks = self.shocks.after(longer.shock[:, -count:], self.timing.shock_reach)
        if count > 1:  # the arrays that they were cut from are many times as long
            track = _copied(track)
        raw = raw[:, :, count:].copy()
        return AnchorState(self.context_length, track, raw, averages, age, shocks)

    def windows(self, earlier: Block) -> Windows:
        """Return each item's window at its newest sample.

        ``earlier`` has the samples at `windows.earlier_offsets`, ``(items, days, time)``.
        """
        rows = np.arange(len(self))
        newest = np.full(len(self), self.track.values.shape[1] - 1)
        beyond = Beyond(newest + 1 - self.age, earlier, self.shocks.at(self.timing))
        return cut_windows(self.track, rows, newest, self.context_length, beyond)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the state as arrays by name; see `from_arrays`."""
        kept = self.averages.kept
        return {
            **self.track.arrays(),
            "raw": self.raw,
            "age": self.age,
            "shock ages": self.shocks.ages,
            "shock heights": self.shocks.heights,
            **{f"{_TOTAL}{name}": average.total for name, average in kept.items()},
            **{f"{_WEIGHT}{name}": average.weight for name, average in kept.items()},
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays, timing: Timing, context_length: int) -> AnchorState:
        """Return the state with these arrays; those before 0.2.0 remember no shocks.

        Raises:
            KeyError, ValueError: they do not fit ``timing`` and ``context_length``.
        """
        unknown = np.full((len(arrays["age"]), 1), np.nan, dtype=np.float32)
        empty = cls.of(unknown, timing, context_length)
        without = {name: array for name, array in empty.arrays().items() if "shock" in name}
        arrays = {**without, **arrays}
        for name, array in empty.arrays().items():
            if arrays[name].shape != array.shape or arrays[name].dtype != array.dtype:
                raise ValueError(
                    f"{name} is {arrays[name].dtype} {arrays[name].shape}, "
                    f"not {array.dtype} {array.shape}"
                )
        return empty._with(arrays)

    def take(self, rows: Indices) -> AnchorState:
        """Return the state of the items at the places ``rows``."""
        taken = {name: array.take(rows, _items(array)) for name, array in self.arrays().items()}
        return self._with(taken)

    @staticmethod
    def join(parts: Sequence[AnchorState]) -> AnchorState:
        """Return the state of the items of all parts, in order."""
        arrays = [part.arrays() for part in parts]
        joined = {
            name: np.concatenate([part[name] for part in arrays], axis=_items(array))
            for name, array in arrays[0].items()
        }
        return parts[0]._with(joined)

    def _with(self, arrays: Arrays) -> AnchorState:
        kept = {
            name: Average(arrays[f"{_TOTAL}{name}"], arrays[f"{_WEIGHT}{name}"])
            for name in self.averages.kept
        }
        track = Track(self.timing, **{name: arrays[name] for name in self.track.arrays()})
        averages = Averages(len(arrays["age"]), kept)
        shocks = ShockMemory(arrays["shock ages"], arrays["shock heights"])
        age = arrays["age"]
        return AnchorState(self.context_length, track, arrays["raw"], averages, age, shocks)


def kept_lengths(timing: Timing, context_length: int) -> dict[str, int]:
    """Return how many of the last samples of each field a state has."""
    shown = dict.fromkeys(("values", "filled", "error_middle", "error_next"), context_length)
    shown["filled"] = max(context_length, timing.hour)
    shown |= dict.fromkeys(("floor", "scale", "lively", "gains", "shifts", "weights"), 1)
    shown["surprise"] = max(context_length, timing.hour)
    shown["rhythms"] = max(timing.periods)
    return {name: max(least, shown.get(name, 0)) for name, least in looked_back_at(timing).items()}


def _items(array: npt.NDArray[Any]) -> int:
    """Return the axis of the items, which is before that of time or slots."""
    return max(array.ndim - 2, 0)


def _copied(track: Track) -> Track:
    """Return the track without references to the longer arrays that it was cut from."""
    copies: dict[str, Any] = {name: array.copy() for name, array in track.arrays().items()}
    return Track(track.timing, **copies)
