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

from forecaster.data.local_clock import LocalClock
from forecaster.data.series import Block
from forecaster.features.anchors import begin, extend, looked_back_at
from forecaster.features.averages import Averages
from forecaster.features.outages import find_outages, without_outages
from forecaster.features.rare_samples import RareSamples
from forecaster.features.shapes import profile_at_samples, shape_places, shapes_of
from forecaster.features.shocks import local_shock_ages
from forecaster.features.smoothing import Average
from forecaster.features.timing import Timing
from forecaster.features.track import Indices, Track
from forecaster.features.windows import Beyond, Windows, cut_windows, oldest

Arrays = Mapping[str, npt.NDArray[Any]]
_TOTAL, _WEIGHT = "total: ", "weight: "  # prefixes of averages in `AnchorState.arrays`


def shape_offsets(timing: Timing) -> Indices:
    """Return the places of the samples that a new sample's profiles need, oldest first.

    They are relative to the new sample, and not after it.
    """
    return np.asarray(shape_places(np.array([0]), timing, None)[0])


@dataclass(frozen=True, eq=False)
class AnchorState:
    """The state of a block of items after the newest sample of each.

    Attributes:
        context_length: number of recent samples in a window.
        track: its last columns.
        raw: the last columns of `anchors.raw_shapes`.
        averages: the running averages.
        age: samples of each item since its first known one, as in `Windows`, ``(items,)``.
        shocks: with their heights.
        outages: the samples that belong to one.
    """

    context_length: int
    track: Track
    raw: Block
    averages: Averages
    age: Indices
    shocks: RareSamples
    outages: RareSamples

    @classmethod
    def of(
        cls, values: Block, timing: Timing, context_length: int, clock: LocalClock | None = None
    ) -> AnchorState:
        """Return the state after a history, ``(items, time)``; see `anchors.build_track`."""
        items = len(values)
        averages = Averages(items)
        kept = kept_lengths(timing, context_length)
        longer, raw = begin(Track.unknown(items, timing, kept), averages, values, clock)
        age = aged(np.zeros(items, np.int64), values, oldest(timing, context_length))
        shocks = RareSamples.none(items).after(longer.shock, timing.shock_reach)
        outages = RareSamples.none(items).after(longer.outage)
        track, raw = _copied(longer.last(kept)), _last_columns(raw, timing.raw_kept)
        return cls(context_length, track, raw, averages, age, shocks, outages)

    def __len__(self) -> int:
        return len(self.age)

    @property
    def timing(self) -> Timing:
        return self.track.timing

    def after(self, samples: Block, week: Block, ages: Indices) -> AnchorState:
        """Return the state after more samples, ``(items, time)`` QPS, NaN where missing.

        Args:
            samples: the new ones.
            week: older ones, at `shapes.shape_places` of each, ``(items, time, PROFILE_DAYS)``.
            ages: how long before the newest of ``samples`` those are, in samples.
        """
        timing, count = self.timing, samples.shape[1]
        averages = Averages(len(self), dict(self.averages.kept))
        new = shapes_of(week)
        recorded = np.concatenate([self.raw[-1], new[0]], axis=1)
        profile = profile_at_samples(recorded, count, timing)
        found = find_outages(self.track, averages, profile, samples)
        outages = self.outages.after(found.outage)
        usual, outage = new.copy(), outages.at(ages)
        if len(rows := np.flatnonzero(outage.any(axis=(1, 2)))):
            usual[:, rows] = shapes_of(without_outages(week[rows], outage[rows]))
        raw = np.concatenate([self.raw, np.concatenate([usual, new[:1]])], axis=2, dtype=np.float32)
        longer = extend(self.track, averages, raw, samples, found)
        track = longer.last(kept_lengths(timing, self.context_length))
        age = aged(self.age, samples, oldest(timing, self.context_length))
        shocks = self.shocks.after(longer.shock[:, -count:], timing.shock_reach)
        if count > 1:  # the arrays that they were cut from are many times as long
            track = _copied(track)
        raw = raw[:, :, count:].copy()
        return AnchorState(self.context_length, track, raw, averages, age, shocks, outages)

    def windows(self, earlier: Block, ages: Indices, local_ages: Indices | None = None) -> Windows:
        """Return each item's window at its newest sample.

        Args:
            earlier: the samples at `windows.earlier_places`, ``(items, days, time)``.
            ages: how long before the newest they are.
            local_ages: `shocks.local_shock_ages` of each item, ``(items, prediction_length,
                lags)``; None: no clock changes.
        """
        rows = np.arange(len(self))
        newest = np.full(len(self), self.track.values.shape[1] - 1)
        usual = without_outages(earlier, self.outages.at(ages))
        looked_at = local_shock_ages(rows, self.timing, None) if local_ages is None else local_ages
        shocks = self.shocks.at(looked_at)
        beyond = Beyond(np.maximum(self.age, 1), usual, shocks)
        return cut_windows(self.track, rows, newest, self.context_length, beyond)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the state as arrays by name; see `from_arrays`."""
        kept = self.averages.kept
        return {
            **self.track.arrays(),
            "raw": self.raw,
            "age": self.age,
            "shock ages": self.shocks.ages,
            "shock heights": self.shocks.values,
            "outage ages": self.outages.ages,
            "outages": self.outages.values,
            **{f"{_TOTAL}{name}": average.total for name, average in kept.items()},
            **{f"{_WEIGHT}{name}": average.weight for name, average in kept.items()},
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays, timing: Timing, context_length: int) -> AnchorState:
        """Return the state with these arrays.

        Raises:
            KeyError, ValueError: they do not fit ``timing`` and ``context_length``.
        """
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
        columns: dict[str, Any] = {name: arrays[name] for name in self.track.arrays()}
        track = Track(self.timing, **columns)
        averages = Averages(len(arrays["age"]), kept)
        shocks = RareSamples(arrays["shock ages"], arrays["shock heights"])
        outages = RareSamples(arrays["outage ages"], arrays["outages"])
        age, raw = arrays["age"], arrays["raw"]
        return AnchorState(self.context_length, track, raw, averages, age, shocks, outages)


def aged(age: Indices, samples: Block, most: int) -> Indices:
    """Return the ages of items, ``(items,)``, after more samples, ``(items, time)``."""
    known = np.isfinite(samples)
    born = np.where(known.any(axis=1), samples.shape[1] - known.argmax(axis=1), 0)
    older = np.where(age > 0, age + samples.shape[1], born)
    return np.asarray(np.minimum(older, most))


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


def _last_columns(raw: Block, count: int) -> Block:
    """Return the last columns, after NaN where there are fewer."""
    more = max(count - raw.shape[2], 0)
    return np.pad(raw, ((0, 0), (0, 0), (more, 0)), constant_values=np.nan)[:, :, -count:].copy()


def _copied(track: Track) -> Track:
    """Return the track without references to the longer arrays that it was cut from."""
    copies: dict[str, Any] = {name: array.copy() for name, array in track.arrays().items()}
    return Track(track.timing, **copies)
