"""From a history to a forecaster: fit every candidate, calibrate each, choose who serves what.

The choice is made on the calibration part, so that the test part judges what is served and has no
say in it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from forecaster.data.series import Block, FloatArray, History
from forecaster.errors import HistoryError
from forecaster.evaluation.metrics import pinball_loss
from forecaster.evaluation.splits import LEAST_WINDOWS, Cases, ItemCases, boundaries, prepare
from forecaster.features.windows import Windows
from forecaster.models.candidate import (
    Candidate,
    CandidateKind,
    Checkpoints,
    EpochReport,
    FitTask,
    FittingData,
)
from forecaster.models.candidates import KINDS, Candidates
from forecaster.models.config import ModelConfig, TrainConfig
from forecaster.models.conformal import calibrated, conformal_shifts
from forecaster.models.forecaster import Forecaster, ItemModel
from forecaster.models.lstm_ensemble import LSTM
from forecaster.models.naive import LAST_VALUE, Spread

# Rows that the learned baselines are fitted on: more cost time and bought nothing.
TABLE_ROWS = 150_000
# Standard errors by which a rival must lead to take an item from the LSTM.
CONFIDENCE = 2.0

# An hour without error counts as one whose error is e**10 times smaller, not infinitely so.
LARGEST_LOG = 10.0


@dataclass(frozen=True, eq=False)
class Fitted:
    """A forecaster, the config that was carried out, and the parts it was made of.

    ``seconds`` is what fitting each learned candidate took.
    """

    forecaster: Forecaster
    config: TrainConfig
    parts: tuple[ItemCases, ...]
    seconds: Mapping[str, float]


def train(
    history: History,
    config: TrainConfig,
    *,
    report: Callable[[EpochReport], None] = lambda _: None,
    checkpoints: Checkpoints | None = None,
    kinds: Sequence[CandidateKind] = KINDS,
) -> Fitted:
    """Return the forecaster that ``history`` and ``config`` make, with candidates of all kinds.

    Raises:
        HistoryError: the step differs from the model's, an item is too short, or none varies.
    """
    _refuse_constant(history)
    parts = tuple(prepare(history, config))
    data = FittingData([p.train for p in parts], [p.calibration.windows for p in parts])
    rng = np.random.default_rng(config.seed)
    joined = Windows.join(balanced(data.train, TABLE_ROWS // config.model.prediction_length, rng))
    _require_known(joined)
    task = FitTask(config, data, joined, report, checkpoints)
    learned: dict[str, Candidate] = {}
    seconds: dict[str, float] = {}
    carried_out = config
    for kind in reversed(kinds):  # the networks first: what they refuse is known at once
        begin = time.perf_counter()
        learned[kind.name], carried_out = kind.fit(replace(task, config=carried_out))
        seconds[kind.name] = time.perf_counter() - begin
    candidates = Candidates(config.model, {kind.name: learned[kind.name] for kind in kinds})
    forecaster = calibrate(candidates, parts, history, config)
    return Fitted(forecaster, carried_out, parts, seconds)


def _refuse_constant(history: History) -> None:
    known = [series.values[np.isfinite(series.values)] for series in history]
    if all(len(values) == 0 or values.min() == values.max() for values in known):
        found = sorted({f"{values[0]:g}" for values in known if len(values)})
        raise HistoryError(
            f"nothing to learn: every item is constant ({', '.join(found) or 'nothing known'} "
            "requests per second throughout); check the query, or fetch a span with traffic"
        )


def _require_known(joined: Windows) -> None:
    known = int(np.isfinite(joined.target).sum(axis=0).min())
    if known < LEAST_WINDOWS:
        raise HistoryError(
            f"only {known} of {len(joined)} training windows know what happened at each step, but "
            f"{LEAST_WINDOWS} are needed; fetch a span with fewer gaps"
        )


def balanced(train: Sequence[Windows], most: int, rng: np.random.Generator) -> list[Windows]:
    """Return about ``most`` windows, drawn from each item in proportion to its root of size."""
    root = np.sqrt([len(windows) for windows in train])
    share = np.maximum(most * root / root.sum(), 1).astype(np.int64)
    return [
        windows.take(np.sort(rng.choice(len(windows), min(len(windows), count), replace=False)))
        for windows, count in zip(train, share, strict=True)
    ]


def calibrate(
    candidates: Candidates, parts: Sequence[ItemCases], history: History, config: TrainConfig
) -> Forecaster:
    """Return the forecaster whose candidates are calibrated, and whose items have their winner."""
    levels = config.model.quantile_levels
    services: dict[str, ItemModel] = {}
    losses: dict[str, dict[str, FloatArray]] = {}
    names = candidates.names
    spreads: dict[str, list[Spread]] = {name: [] for name in names}
    for part in parts:
        windows, naive = part.calibration.windows, part.calibration.naive
        own = {name: candidates.spread(name, windows, naive) for name in names}
        shifts = {name: conformal_shifts(s, windows.target, levels) for name, s in own.items()}
        losses[part.item_id] = {
            name: hourly_losses(part.calibration, calibrated(own[name], shifts[name]), config.model)
            for name in names
        }
        source, reason = choose(losses[part.item_id])
        series = history[part.item_id]
        until = series.start + boundaries(len(series), config)[1] * series.step
        services[part.item_id] = ItemModel(source, reason, shifts, until)
        for name in names:
            spreads[name].append(own[name])
    target = np.concatenate([part.calibration.windows.target for part in parts])
    pooled = {
        name: conformal_shifts(_joined(found), target, levels) for name, found in spreads.items()
    }
    source, reason = choose(
        {name: np.concatenate([relative(loss)[name] for loss in losses.values()]) for name in names}
    )
    return Forecaster(candidates, services, ItemModel(source, reason, pooled))


def relative(losses: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Return each candidate's losses in units of last value's mean; NaN where that made none."""
    reference = _mean(losses[LAST_VALUE])
    unit = reference if reference > 0 else math.nan
    return {name: loss / unit for name, loss in losses.items()}


def _mean(losses: FloatArray) -> float:
    """Return the mean of the known ones; NaN of none."""
    known = losses[np.isfinite(losses)]
    return float(known.mean()) if len(known) else math.nan


def hourly_losses(cases: Cases, predicted: Block, model: ModelConfig) -> FloatArray:
    """Return the mean pinball loss of the origins in each hour, ``(hours,)``; NaN where unknown."""
    loss = pinball_loss(cases.windows.target, predicted, model.quantile_levels).mean(axis=2)
    known = np.isfinite(loss)
    hour = cases.origins // model.timing.hour
    hour -= hour[0]
    total = np.bincount(hour, np.where(known, loss, 0).sum(axis=1))
    count = np.bincount(hour, known.sum(axis=1))
    mean: FloatArray = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
    return mean


def choose(losses: Mapping[str, FloatArray]) -> tuple[str, str]:
    """Return who serves, and why: the LSTM, or a rival that beats it by more than chance.

    Args:
        losses: per candidate, its mean loss in each hour of the calibration part.

    A rival must lead by two standard errors of the hourly ratios: a day or two of calibration would
    otherwise crown whoever was lucky.

    >>> choose({"last_value": np.array([2.0, 3.0]), "lstm": np.array([1.0, 1.5])})
    ('lstm', '50.0 % below last_value, the best of the others')
    """
    rivals = [name for name in losses if name != LSTM]
    means = {name: _mean(losses[name]) for name in losses}
    best = min(rivals, key=lambda name: means[name])
    if not np.isfinite(means[LSTM]) or means[best] == 0 == means[LSTM]:
        return LSTM, "nothing tells the candidates apart"
    if means[LSTM] <= means[best]:
        return (
            LSTM,
            f"{100 * (1 - means[LSTM] / means[best]):.1f} % below {best}, the best of the others",
        )
    percent = f"{100 * (1 - means[best] / means[LSTM]):.1f} % below lstm"
    if _leads(losses[best], losses[LSTM]):
        return best, f"{percent}, by more than {CONFIDENCE:g} standard errors"
    return LSTM, f"{best} was {percent}, but within {CONFIDENCE:g} standard errors"


def _leads(rival: FloatArray, lstm: FloatArray) -> bool:
    """Return whether the rival's hours are better by more than chance.

    Ratios of hours are compared, on a log scale: one wild hour does not hide all the others.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.clip(np.log(lstm / rival), -LARGEST_LOG, LARGEST_LOG)
    ratios = ratios[~np.isnan(ratios)]
    if len(ratios) < 2:
        return False
    return bool(ratios.mean() > CONFIDENCE * ratios.std(ddof=1) / math.sqrt(len(ratios)))


def _joined(spreads: Sequence[Spread]) -> Spread:
    return Spread(
        np.concatenate([spread.centre for spread in spreads]),
        np.concatenate([spread.unit for spread in spreads]),
    )
