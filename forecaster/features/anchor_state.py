"""The anchors of many items, carried from sample to sample as arrays over the items.

A state is what `anchors.follow` has come to, without the samples that it rests on: the means with
what they go on from, and the last columns of the track. A new sample costs O(1) per item, and the
windows cut from the state are those of the whole history. What still reaches back is asked for: the
samples of the week before, by `offsets`.
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
from forecaster.features.smoothing import Average
from forecaster.features.timing import PROFILE_DAYS, Timing
from forecaster.features.track import Indices, Track
from forecaster.features.windows import Beyond, Windows, cut, earlier_offsets

Arrays = Mapping[str, npt.NDArray[Any]]
_TOTAL, _WEIGHT = "total: ", "weight: "  # before the names of means, among `AnchorState.arrays`


def shape_offsets(timing: Timing) -> Indices:
    """Return where the samples lie that a new sample's profiles rest on, oldest first.

    They count from the new sample, and are below 0 or 0.
    """
    ahead = timing.prediction_length + timing.reach
    return np.asarray(ahead - timing.day * np.arange(PROFILE_DAYS, 0, -1))


def offsets(timing: Timing) -> Indices:
    """Return where all samples lie that a state must be given, counted from the new sample."""
    return np.concatenate([shape_offsets(timing), earlier_offsets(timing).ravel()])


@dataclass(frozen=True, eq=False)
class AnchorState:
    """What was followed of a block of items, up to the newest sample of each.

    Attributes:
        context_length: samples of the recent past that windows show.
        track: its last columns.
        raw: the end of `anchors.raw_shapes`.
        averages: what its means go on from.
        age: samples that each item has had, up to ``context_length``, ``(items,)``.
    """

    context_length: int
    track: Track
    raw: Block
    averages: Averages
    age: Indices

    @classmethod
    def of(cls, values: Block, timing: Timing, context_length: int) -> AnchorState:
        """Return the state after a history, ``(items, time)``: items start and end together."""
        items, length = values.shape
        averages = Averages(items)
        kept = kept_lengths(timing, context_length)
        raw = raw_shapes(values, timing)
        track = extend(Track.unknown(items, timing, kept), averages, raw, values).last(kept)
        age = np.full(items, min(length, context_length))
        raw = raw[:, :, raw.shape[2] - 2 * timing.reach :]
        return cls(context_length, _compact(track), raw.copy(), averages, age)

    def __len__(self) -> int:
        return len(self.age)

    @property
    def timing(self) -> Timing:
        return self.track.timing

    def after(self, samples: Block, week: Block) -> AnchorState:
        """Return the state after one more sample of each item, ``(items,)``, NaN where missing.

        ``week`` are the samples at `shape_offsets` from them, ``(items, PROFILE_DAYS)``.
        """
        days = [week[:, day, None] for day in range(PROFILE_DAYS)]
        shapes = [smoothing.smoothed(days, gain) for gain in RAW_GAINS]
        raw = np.concatenate([self.raw, np.stack([*shapes, days[0]])], axis=2, dtype=np.float32)
        averages = Averages(len(self), dict(self.averages.kept))
        longer = extend(self.track, averages, raw, samples[:, None].astype(np.float32))
        track = longer.last(kept_lengths(self.timing, self.context_length))
        age = np.minimum(self.age + 1, self.context_length)
        return AnchorState(self.context_length, track, raw[:, :, 1:], averages, age)

    def windows(self, earlier: Block) -> Windows:
        """Return each item's window at its newest sample.

        ``earlier`` are the samples at `windows.earlier_offsets`, ``(items, days, time)``.
        """
        rows = np.arange(len(self))
        newest = self.track.values.shape[1] - 1
        beyond = Beyond(newest + 1 - self.age, earlier)
        return cut(self.track, rows, np.full(len(self), newest), self.context_length, beyond)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return all of it by name; `from_arrays` takes it back."""
        kept = self.averages.kept
        return {
            **self.track.arrays(),
            "raw": self.raw,
            "age": self.age,
            **{f"{_TOTAL}{name}": average.total for name, average in kept.items()},
            **{f"{_WEIGHT}{name}": average.weight for name, average in kept.items()},
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays, timing: Timing, context_length: int) -> AnchorState:
        """Raises KeyError or ValueError where the arrays are not those of such a state."""
        unknown = np.full((len(arrays["age"]), 1), np.nan, dtype=np.float32)
        empty = cls.of(unknown, timing, context_length)
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

    def put(self, rows: Indices, others: AnchorState) -> AnchorState:
        """Return the state in which the items at ``rows`` are those of ``others``."""
        theirs, put = others.arrays(), {}
        for name, array in self.arrays().items():
            put[name] = array.copy()
            np.moveaxis(put[name], _items(array), 0)[rows] = np.moveaxis(
                theirs[name], _items(array), 0
            )
        return self._with(put)

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
        means = self.averages.kept
        kept = {
            name: Average(arrays[f"{_TOTAL}{name}"], arrays[f"{_WEIGHT}{name}"]) for name in means
        }
        track = Track(self.timing, **{name: arrays[name] for name in self.track.arrays()})
        averages = Averages(len(arrays["age"]), kept)
        return AnchorState(self.context_length, track, arrays["raw"], averages, arrays["age"])


def kept_lengths(timing: Timing, context_length: int) -> dict[str, int]:
    """Return how many of the last samples of each field a state keeps."""
    shown = dict.fromkeys(("values", "filled", "error_middle", "error_next"), context_length)
    shown |= dict.fromkeys(("floor", "scale", "lively", "gains", "shifts", "weights"), 1)
    shown["surprise"] = max(context_length, timing.hour)
    shown["rhythms"] = max(timing.periods)
    return {name: max(least, shown.get(name, 0)) for name, least in looked_back_at(timing).items()}


def _items(array: npt.NDArray[Any]) -> int:
    """Return the axis of the items: before that of time or slots."""
    return max(array.ndim - 2, 0)


def _compact(track: Track) -> Track:
    """Return the track without the longer arrays that it was cut from."""
    copies: dict[str, Any] = {name: array.copy() for name, array in track.arrays().items()}
    return Track(track.timing, **copies)
