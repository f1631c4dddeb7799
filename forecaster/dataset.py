"""From a history to the windows that fit, calibrate and judge: split by time before anything else.

For each item, the first part trains, the next calibrates (and stops early), the last judges. A
window belongs to the part in which its whole horizon lies.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from forecaster.anchors import Indices, Timing, Track, follow
from forecaster.baselines import Naive, naive_forecasts
from forecaster.config import ModelConfig, TrainConfig
from forecaster.errors import HistoryError
from forecaster.series import Block, History, Series
from forecaster.windows import Windows, cut, origins_between

CALIBRATION_MINUTES = 5  # between calibration origins
TEST_MINUTES = 15  # between origins of a backtest
# Fewer windows than these calibrate or judge nothing: a level of 0.99 needs more than a handful.
LEAST_WINDOWS = 20


@dataclass(frozen=True, eq=False)
class Cases:
    """Windows of one item with what the naive forecasters say at the same origins."""

    windows: Windows
    naive: dict[str, Naive]
    origins: np.ndarray  # sample index of each window's origin in the item's series

    def __len__(self) -> int:
        return len(self.windows)


@dataclass(frozen=True, eq=False)
class ItemCases:
    """What fits and what calibrates one item; its test part is left to the backtest."""

    item_id: str
    train: Windows
    calibration: Cases


def cut_cases(track: Track, origins: np.ndarray, model: ModelConfig) -> Cases:
    """Return the windows and naive forecasts of a one-item track at its origins."""
    rows = np.zeros(len(origins), dtype=np.int64)
    windows = cut(track, rows, origins, model.context_length)
    return Cases(windows, naive_forecasts(track, rows, origins), origins)


def track_of(series: Series, timing: Timing) -> Track:
    """Return the track of one item."""
    return follow(series.values[None], timing)


def boundaries(length: int, config: TrainConfig) -> tuple[int, int]:
    """Return the first calibration sample and the first test sample of a series of ``length``."""
    test = round(length * (1 - config.test_share))
    return round(length * (1 - config.test_share - config.calibration_share)), test


def off_beat(stride: int, timing: Timing) -> int:
    """Return the first number from ``stride`` on without a common factor with an hour's samples.

    Scheduled jobs start on the hour; origins at such a stride see every minute of it alike.

    >>> from datetime import timedelta
    >>> off_beat(5, Timing(timedelta(minutes=1), 30))
    7
    """
    stride = max(stride, 1)
    while math.gcd(stride, max(timing.samples(60), 1)) > 1:
        stride += 1
    return stride


def backtest_origins(series: Series, first: int, timing: Timing) -> Indices:
    """Return the origins from sample ``first`` on that fall on a quarter of an hour's clock."""
    stride = max(timing.samples(TEST_MINUTES), 1)
    start = int(series.start.timestamp()) // int(timing.step.total_seconds())
    return origins_between(first, len(series), timing, stride, phase=-start % stride)


def prepare(history: History, config: TrainConfig) -> Iterator[ItemCases]:
    """Yield the three parts of each item.

    Raises:
        HistoryError: an item is too short for windows in each part.
    """
    model = config.model
    if history.step != model.step:
        raise HistoryError(
            f"the history has a step of {history.step}, but the model's is {model.step}; "
            f"resample the history or train with --step {int(history.step.total_seconds())}s"
        )
    share = min(max(config.max_windows // len(history), LEAST_WINDOWS), config.max_windows // 4 + 1)
    for series in history:
        yield _parts(series, config, share)


def _parts(series: Series, config: TrainConfig, most: int) -> ItemCases:
    timing, length = config.model.timing, len(series)
    calibrate, test = boundaries(length, config)
    first = timing.warm_up
    dense = off_beat((calibrate - first) // most, timing)
    sparse = off_beat(timing.samples(CALIBRATION_MINUTES), timing)
    origins = {
        "train": origins_between(first, calibrate, timing, dense),
        "calibration": origins_between(max(calibrate, first), test, timing, sparse),
        "test": backtest_origins(series, max(test, first), timing),
    }
    track = track_of(series, timing)
    for part, found in origins.items():
        if len(found) < LEAST_WINDOWS:
            raise HistoryError(_too_short(series, config, part, len(found)))
    if not np.isfinite(series.values[first:calibrate]).any():
        raise HistoryError(
            f"{series.item_id}: no known sample in the training part, {series.start} + "
            f"{first * series.step} to + {calibrate * series.step}; fetch more history"
        )
    train = cut(
        track, np.zeros_like(origins["train"]), origins["train"], config.model.context_length
    )
    return ItemCases(
        series.item_id,
        train,
        cut_cases(track, origins["calibration"], config.model),
    )


def _too_short(series: Series, config: TrainConfig, part: str, found: int) -> str:
    timing = config.model.timing
    share = min(config.calibration_share, config.test_share)
    stride = max(timing.samples(TEST_MINUTES), 1)
    part_needs = (LEAST_WINDOWS * stride + timing.prediction_length) / share
    rest = 1 - config.calibration_share - config.test_share
    needed = max(part_needs, (timing.warm_up + LEAST_WINDOWS + timing.prediction_length) / rest)
    return (
        f"{series.item_id}: {len(series)} samples ({len(series) * series.step}) leave {found} "
        f"windows for the {part} part, but {LEAST_WINDOWS} are needed; give it about "
        f"{np.ceil(needed * series.step.total_seconds() / 86_400):.0f} days, a shorter "
        "--prediction-length, or leave the item out: a model trained on others can forecast it"
    )


def known_share(target: Block) -> float:
    """Return the share of targets that are known."""
    return float(np.isfinite(target).mean())
