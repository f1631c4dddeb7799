"""A service never seen: trains the model that ships, and judges such models one kind at a time.

Each kind of recorded traffic is forecast by a model that has seen none of it, from histories of
eight days to an hour. Nothing after the third quarter of a trace is trained on, and the last quarter
is judged, at moments that fall on all minutes of the hour alike.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np

from benchmarks.accuracy import CONFIG, UPPER
from benchmarks.tables import markdown
from benchmarks.traces import FIVE_MINUTES, ONE_MINUTE, load
from forecaster.data.augmentation import split
from forecaster.data.series import Block, FloatArray
from forecaster.data.synthetic import generate_history
from forecaster.evaluation.metrics import coverage, geometric_mean, pinball_loss
from forecaster.evaluation.origins import off_the_hour
from forecaster.evaluation.pretraining import PretrainConfig, Recorded, cut_at, pretrain
from forecaster.features.track import Indices
from forecaster.models.candidate import EpochReport
from forecaster.models.conformal import calibrated, conformal_shifts
from forecaster.models.forecaster import Forecaster
from forecaster.models.naive import LAST_VALUE, Naive, Spread

MODEL = CONFIG.model
CRANE = tuple(f"aux_crane_{number}" for number in ("00", "02", "08", "11", "12", "14"))
SERVEGEN = ("aux_servegen_m_large", "aux_servegen_m_mid")
# Kinds by how the names of their traces begin. Those of the unlicensed one are only judged.
KINDS = ("wc98", "nasa", "twitter", "ms", "nab", "aux_crane", "aux_servegen")
UNLICENSED = "twitter"
HISTORIES = {"8 d": 8 * 1440, "3 d": 3 * 1440, "1 d": 1440, "1 h": 60}
MOST_ORIGINS = 500  # of a trace
Row = tuple[str, str, float, float]  # trace, history, loss relative to last value, coverage


def recorded_kinds(traces: Path) -> dict[str, list[Recorded]]:
    """Return all traces by kind, at steps of a minute: longer ones are split by chance."""
    rng = np.random.default_rng(0)
    found: dict[str, list[Recorded]] = {kind: [] for kind in KINDS}
    for names in (ONE_MINUTE, FIVE_MINUTES, CRANE, SERVEGEN):
        for series in load(traces, names):
            seconds = series.step.total_seconds()
            values = series.values
            if seconds > 60:  # noqa: PLR2004
                values = split(values, seconds, int(seconds) // 60, rng)
            kind = next(kind for kind in KINDS if series.item_id.startswith(kind))
            found[kind].append(Recorded(series.item_id, kind, values))
    return found


def seen(kinds: Mapping[str, Sequence[Recorded]], left_out: str | None) -> list[Recorded]:
    """Return what may be trained on: three quarters of each licensed trace, and generated ones."""
    chosen = [
        replace(one, values=one.values[: round(len(one.values) * (1 - CONFIG.test_share))])
        for kind, services in kinds.items()
        if kind not in {left_out, UNLICENSED}
        for one in services
    ]
    generated = generate_history(16, 14, seed=3).history
    return chosen + [Recorded(one.item_id, "generated", one.values) for one in generated]


def judge(forecaster: Forecaster, one: Recorded) -> Iterable[Row]:
    """Yield how well a trace is forecast from each length of history."""
    origins = judged(one.values)
    levels = MODEL.quantile_levels
    for name, history in HISTORIES.items():
        at = origins[origins + 1 >= history]
        if len(at) < len(origins):
            continue
        windows, naive = cut_at(one.values, at, history, MODEL)
        stamps = [CONFIG_START] * len(at)
        said = forecaster.predict_windows([one.name] * len(at), stamps, windows, naive).values
        base = last_value(one.values, at)
        target = windows.target
        known = np.isfinite(target)
        mine, its = (pinball_loss(target, x, levels) for x in (said[:, :, : len(levels)], base))
        ratio = float(mine[known][:, UPPER].mean() / its[known][:, UPPER].mean())
        yield one.name, name, ratio, float(coverage(target, said)[levels.index(0.95)])


def judged(values: FloatArray) -> Indices:
    """Return the origins in the last quarter, at a stride that meets all minutes of the hour."""
    first, ahead = round(len(values) * (1 - CONFIG.test_share)), MODEL.prediction_length
    possible = len(values) - ahead - first
    stride = off_the_hour(max(possible // MOST_ORIGINS, 7), MODEL.timing)
    origins = np.arange(first - 1, len(values) - ahead - 1, stride)
    known = np.isfinite(values[origins]) & np.isfinite(values[origins + 1])
    return origins[known]


def last_value(values: FloatArray, at: Indices) -> Block:
    """Return last value's quantiles, calibrated on the tenth of the trace before those judged."""
    end = round(len(values) * (1 - CONFIG.test_share))
    begin = end - round(len(values) * CONFIG.calibration_share)
    before = np.arange(begin, end - MODEL.prediction_length, 7)
    before = before[np.isfinite(values[before])]
    history = min(1440, int(before[0]))
    calibrating, test = (_last(values, origins, history) for origins in (before, at))
    shifts = conformal_shifts(calibrating[0], calibrating[1], MODEL.quantile_levels)
    return calibrated(test[0], shifts)


def _last(values: FloatArray, origins: Indices, history: int) -> tuple[Spread, Block]:
    windows, naive = cut_at(values, origins, history, MODEL)
    last: Naive = naive[LAST_VALUE]
    path = np.repeat(last.path[:, :, None], len(MODEL.quantile_levels), axis=2)
    return Spread(path, last.scale), windows.target
