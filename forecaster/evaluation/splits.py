"""Splits of a history by time: windows for training, calibration and test.

For each item, from its own first known sample to its last, the first part is for training, the
next for calibration and early stopping, the last for the test. A window belongs to the part that
contains its whole horizon. The history is split before anything is computed from it.

Items share a model, and what happens to one often happens to others at the same time. So whatever
is fitted, stopped early, calibrated or chosen for all items together rests on windows before one
common moment, `Parts.pooled_until`, and no item is tested before it: where an item is younger than
the others, its later windows calibrate itself alone.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

import numpy as np
import numpy.typing as npt

from forecaster.data.local_clock import clock_of
from forecaster.data.series import History, Series
from forecaster.errors import HistoryError
from forecaster.evaluation.origins import backtest_origins, judged_origins, off_the_hour
from forecaster.features.anchors import build_track
from forecaster.features.timing import Timing
from forecaster.features.track import Indices, Track
from forecaster.features.windows import Windows, cut_windows, origins_between
from forecaster.models.config import ModelConfig, TrainConfig
from forecaster.models.naive import Naive, naive_forecasts

# Each part needs so many windows: with fewer, a level of 0.99 cannot be calibrated or tested.
MIN_WINDOWS = 20


@dataclass(frozen=True, eq=False)
class Cases:
    """Windows of one item, and the naive forecasts at the same origins."""

    windows: Windows
    naive: dict[str, Naive]
    origins: np.ndarray  # sample index of each window's origin in the item's series

    def __len__(self) -> int:
        return len(self.windows)

    @staticmethod
    def join(parts: Sequence[Cases]) -> Cases:
        """Return the cases of all parts, in order."""
        return Cases(
            Windows.join([part.windows for part in parts]),
            {name: Naive.join([part.naive[name] for part in parts]) for name in parts[0].naive},
            np.concatenate([part.origins for part in parts]),
        )


@dataclass(frozen=True, eq=False)
class ItemCases:
    """The training and calibration parts of one item; the test part is used by the backtest.

    Attributes:
        item_id: of the item.
        train: windows for what is fitted for all items; all before `Parts.pooled_until`.
        calibration: windows for the calibration of the item, in order of time.
        pooled: whether they all lie before `Parts.pooled_until`, and so also are for what is
            calibrated and chosen for all items.
        test_start: stamp of the first sample of the test part.
        tested: whether the test part has enough windows for a backtest.
        timezone: of the item; None: not named.
        holidays: of the item.
    """

    item_id: str
    train: Windows
    calibration: Cases
    pooled: bool
    test_start: datetime
    tested: bool
    timezone: str | None
    holidays: tuple[date, ...] = ()


@dataclass(frozen=True, eq=False)
class Parts:
    """The parts of all items.

    Attributes:
        items: those with enough windows in each part.
        unfit: why each of the others, such as one of yesterday, takes no part in the training.
        pooled_until: stamp before which all lies that is common to several items.
    """

    items: tuple[ItemCases, ...]
    unfit: Mapping[str, str]
    pooled_until: datetime


def cases_at(track: Track, origins: np.ndarray, model: ModelConfig) -> Cases:
    """Return the windows and naive forecasts of a one-item track at the given origins."""
    rows = np.zeros(len(origins), dtype=np.int64)
    windows = cut_windows(track, rows, origins, model.context_length)
    return Cases(windows, naive_forecasts(track, rows, origins), origins)


def item_track(series: Series, timing: Timing) -> Track:
    """Return the track of one item."""
    return build_track(series.values[None], timing, clock_of(series, timing.ahead))


def boundaries(length: int, config: TrainConfig) -> tuple[int, int]:
    """Return the first calibration sample and the first test sample of a series of ``length``."""
    test = round(length * (1 - config.test_share))
    return round(length * (1 - config.test_share - config.calibration_share)), test


def prepare(history: History, config: TrainConfig) -> Parts:
    """Return the training and calibration parts of each item.

    Raises:
        HistoryError: the step is not the model's, or no item has enough windows in each part.
    """
    model = config.model
    if history.step != model.step:
        raise HistoryError(
            f"the history has a step of {history.step}, but the model's is {model.step}; "
            f"resample the history or train with --step {int(history.step.total_seconds())}s"
        )
    lifetimes = [lifetime(series) for series in history]
    faults = {life.item_id: _fault(life, config) for life in lifetimes}
    unfit = {item: fault for item, fault in faults.items() if fault is not None}
    fit = [life for life in lifetimes if life.item_id not in unfit]
    if not fit:
        more = f" (and {len(unfit) - 1} more items)" if len(unfit) > 1 else ""
        raise HistoryError(f"no item can be trained on: {next(iter(unfit.values()))}{more}")
    pooled_until = _pooled_until(fit, config)
    share = min(max(config.max_windows // len(fit), MIN_WINDOWS), config.max_windows // 4 + 1)
    items = tuple(_item_cases(life, config, share, pooled_until) for life in fit)
    return Parts(items, unfit, pooled_until)


def lifetime(series: Series) -> Series:
    """Return the samples from the first known one to the last; none where nothing is known."""
    known = np.flatnonzero(np.isfinite(series.values))
    first, last = (int(known[0]), int(known[-1]) + 1) if len(known) else (0, 0)
    start = series.start + first * series.step
    return replace(series, start=start, values=series.values[first:last])


def _test_start(life: Series, config: TrainConfig) -> datetime:
    return life.start + boundaries(len(life), config)[1] * life.step


def _pooled_until(fit: Sequence[Series], config: TrainConfig) -> datetime:
    """Return the moment at which half of the items that still live begin their test part.

    With the earliest one instead, a single old item would keep all others from the training.
    """
    end = max(life.end for life in fit)
    starts = [(life.end, _test_start(life, config)) for life in fit]
    living = sorted(test for last, test in starts if end - last <= last - test)
    return living[(len(living) - 1) // 2]


def _item_cases(life: Series, config: TrainConfig, most: int, pooled_until: datetime) -> ItemCases:
    model = config.model
    test = boundaries(len(life), config)[1]
    common = -((life.start - pooled_until) // life.step)  # samples before it are for all items
    known = {
        part: found[_known_ahead(life, found, model.prediction_length)]
        for part, found in _origins(life, config, most, common).items()
    }
    # A track ends where what is unseen begins, so that not even the peaks of a day are determined
    # by later samples.
    own, shared = (
        item_track(life.between(life.start, life.start + end * life.step), model.timing)
        for end in (test, min(test, common) if len(known["train"]) else test)
    )
    rows = np.zeros_like(known["train"])
    return ItemCases(
        life.item_id,
        cut_windows(shared, rows, known["train"], model.context_length),
        cases_at(own, known["calibration"], model),
        test <= common,
        max(life.start + test * life.step, pooled_until),
        int((known["test"] >= common - 1).sum()) >= MIN_WINDOWS,
        life.timezone,
        life.holidays,
    )


def _origins(
    life: Series, config: TrainConfig, most: int, common: int | None = None
) -> dict[str, Indices]:
    """Return the origins of each part, in order of time.

    At most ``most`` are for training, and those lie before the sample ``common``.
    """
    timing = config.model.timing
    calibrate, test = boundaries(len(life), config)
    first, fitted = timing.warm_up, calibrate if common is None else min(calibrate, common)
    possible = len(origins_between(first, fitted, timing, 1))
    # A stride off the hour, but never so long that too few windows are left.
    dense = min(off_the_hour(math.ceil(possible / most), timing), max(possible // MIN_WINDOWS, 1))
    return {
        "train": origins_between(first, fitted, timing, dense),
        "calibration": judged_origins(max(calibrate, first), test, timing),
        "test": backtest_origins(life, max(test, first), timing),
    }


def _known_ahead(series: Series, origins: Indices, ahead: int) -> npt.NDArray[np.bool_]:
    """Return for each origin whether any of its targets is known."""
    count = np.concatenate([[0], np.cumsum(np.isfinite(series.values))])
    known: npt.NDArray[np.bool_] = count[origins + 1 + ahead] > count[origins + 1]
    return known


def _fault(life: Series, config: TrainConfig) -> str | None:
    """Return why an item has too few windows, and what would help; None where it has enough."""
    for part, found in _origins(life, config, config.max_windows).items():
        if len(found) < MIN_WINDOWS:
            return _too_short(life, config, part, len(found))
        known = int(_known_ahead(life, found, config.model.prediction_length).sum())
        if known < MIN_WINDOWS:
            return _too_unknown(life, part, found, known)
    return None


def _too_short(life: Series, config: TrainConfig, part: str, found: int) -> str:
    return (
        f"{life.item_id}: {len(life)} samples ({len(life) * life.step}) leave {found} "
        f"windows for the {part} part, but {MIN_WINDOWS} are needed; give it "
        f"{_days_needed(life, config)} days, or a shorter --prediction-length"
    )


def _days_needed(life: Series, config: TrainConfig) -> int:
    """Return the days of history needed, if no samples are missing."""
    for days in itertools.count(1):
        enough = replace(life, values=np.zeros(days * config.model.timing.day))
        parts = _origins(enough, config, config.max_windows)
        if min(len(found) for found in parts.values()) >= MIN_WINDOWS:
            return days
    raise AssertionError("some number of days is enough")


def _too_unknown(life: Series, part: str, origins: Indices, known: int) -> str:
    first, last = (life.start + int(at + 1) * life.step for at in (origins[0], origins[-1]))
    return (
        f"{life.item_id}: only {known} windows of the {part} part, {first} to {last}, have a "
        f"known sample, but {MIN_WINDOWS} are needed; fetch what is missing"
    )
