"""Splits of a history by time: windows for training, calibration and test.

For each item, the first part is for training, the next for calibration and early stopping, the last
for the test. A window belongs to the part that contains its whole horizon. The history is split
before anything is computed from it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forecaster.data.series import History, Series
from forecaster.errors import HistoryError
from forecaster.features.anchors import build_track
from forecaster.features.timing import Timing
from forecaster.features.track import Indices, Track
from forecaster.features.windows import Windows, cut_windows, origins_between
from forecaster.models.config import ModelConfig, TrainConfig
from forecaster.models.naive import Naive, naive_forecasts

CALIBRATION_MINUTES = 5  # between calibration origins
TEST_MINUTES = 15  # between origins of a backtest
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


@dataclass(frozen=True, eq=False)
class ItemCases:
    """The training and calibration parts of one item; the test part is used by the backtest."""

    item_id: str
    train: Windows
    calibration: Cases


def cases_at(track: Track, origins: np.ndarray, model: ModelConfig) -> Cases:
    """Return the windows and naive forecasts of a one-item track at the given origins."""
    rows = np.zeros(len(origins), dtype=np.int64)
    windows = cut_windows(track, rows, origins, model.context_length)
    return Cases(windows, naive_forecasts(track, rows, origins), origins)


def item_track(series: Series, timing: Timing) -> Track:
    """Return the track of one item."""
    return build_track(series.values[None], timing)


def boundaries(length: int, config: TrainConfig) -> tuple[int, int]:
    """Return the first calibration sample and the first test sample of a series of ``length``."""
    test = round(length * (1 - config.test_share))
    return round(length * (1 - config.test_share - config.calibration_share)), test


def off_the_hour(stride: int, timing: Timing) -> int:
    """Return the least number >= ``stride`` that is coprime to the number of samples in an hour.

    Scheduled jobs start on the hour; origins at such a stride fall on all minutes equally often.

    >>> from datetime import timedelta
    >>> off_the_hour(5, Timing(timedelta(minutes=1), 30))
    7
    """
    stride = max(stride, 1)
    while math.gcd(stride, max(timing.samples(60), 1)) > 1:
        stride += 1
    return stride


def backtest_origins(series: Series, first: int, timing: Timing) -> Indices:
    """Return the origins from sample ``first`` on that fall on a quarter of an hour."""
    stride = max(timing.samples(TEST_MINUTES), 1)
    start = int(series.start.timestamp()) // int(timing.step.total_seconds())
    return origins_between(first, len(series), timing, stride, phase=-start % stride)


def prepare(history: History, config: TrainConfig) -> Iterator[ItemCases]:
    """Yield the training and calibration parts of each item.

    Raises:
        HistoryError: an item is too short, or has too few known samples, for windows in each part.
    """
    model = config.model
    if history.step != model.step:
        raise HistoryError(
            f"the history has a step of {history.step}, but the model's is {model.step}; "
            f"resample the history or train with --step {int(history.step.total_seconds())}s"
        )
    share = min(max(config.max_windows // len(history), MIN_WINDOWS), config.max_windows // 4 + 1)
    for series in history:
        yield _parts(series, config, share)


def _parts(series: Series, config: TrainConfig, most: int) -> ItemCases:
    origins = _origins(series, config, most)
    for part, found in origins.items():
        if len(found) < MIN_WINDOWS:
            raise HistoryError(_too_short(series, config, part, len(found)))
        known = _known_ahead(series, found, config.model.prediction_length)
        if known.sum() < MIN_WINDOWS:
            raise HistoryError(_too_unknown(series, part, found, int(known.sum())))
        origins[part] = found[known]
    # The track ends where the test part begins, so that not even the peaks of a day are determined
    # by later samples.
    seen = series.between(
        series.start, series.start + boundaries(len(series), config)[1] * series.step
    )
    track = item_track(seen, config.model.timing)
    train = cut_windows(
        track, np.zeros_like(origins["train"]), origins["train"], config.model.context_length
    )
    return ItemCases(
        series.item_id,
        train,
        cases_at(track, origins["calibration"], config.model),
    )


def _origins(series: Series, config: TrainConfig, most: int) -> dict[str, Indices]:
    """Return the origins of each part, in order of time; at most ``most`` are for training."""
    timing, length = config.model.timing, len(series)
    calibrate, test = boundaries(length, config)
    # Unknown samples at the start do not count: a daily profile needs a day of known samples.
    first = int(np.isfinite(series.values).argmax()) + timing.warm_up
    possible = len(origins_between(first, calibrate, timing, 1))
    # A stride off the hour, but never so long that too few windows are left.
    dense = min(off_the_hour(math.ceil(possible / most), timing), max(possible // MIN_WINDOWS, 1))
    sparse = off_the_hour(timing.samples(CALIBRATION_MINUTES), timing)
    return {
        "train": origins_between(first, calibrate, timing, dense),
        "calibration": origins_between(max(calibrate, first), test, timing, sparse),
        "test": backtest_origins(series, max(test, first), timing),
    }


def _known_ahead(series: Series, origins: Indices, ahead: int) -> npt.NDArray[np.bool_]:
    """Return for each origin whether any of its targets is known."""
    count = np.concatenate([[0], np.cumsum(np.isfinite(series.values))])
    known: npt.NDArray[np.bool_] = count[origins + 1 + ahead] > count[origins + 1]
    return known


def _too_short(series: Series, config: TrainConfig, part: str, found: int) -> str:
    return (
        f"{series.item_id}: {len(series)} samples ({len(series) * series.step}) leave {found} "
        f"windows for the {part} part, but {MIN_WINDOWS} are needed; give it "
        f"{_days_needed(series, config)} days, a shorter --prediction-length, or leave the item "
        "out: a model trained on others can forecast it"
    )


def _days_needed(series: Series, config: TrainConfig) -> int:
    """Return the days of history needed, if no more samples than those at the start are missing."""
    late = int(np.isfinite(series.values).argmax())
    for days in itertools.count(late // config.model.timing.day + 1):
        values = np.zeros(days * config.model.timing.day)
        values[:late] = np.nan
        enough = Series(series.item_id, series.start, series.step, values)
        parts = _origins(enough, config, config.max_windows)
        if min(len(found) for found in parts.values()) >= MIN_WINDOWS:
            return days
    raise AssertionError("some number of days is enough")


def _too_unknown(series: Series, part: str, origins: Indices, known: int) -> str:
    first, last = (series.start + int(at + 1) * series.step for at in (origins[0], origins[-1]))
    return (
        f"{series.item_id}: only {known} windows of the {part} part, {first} to {last}, have a "
        f"known sample, but {MIN_WINDOWS} are needed; fetch what is missing, or leave the item "
        "out: a model trained on others can forecast it"
    )
