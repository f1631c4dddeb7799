"""From a history to a forecaster: fit every candidate, calibrate each, choose who serves what.

The choice is made on the calibration part, so that the test part judges what is served and has no
say in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from forecaster.baselines import LAST_VALUE, Spread
from forecaster.calibration import calibrated, conformal_shifts
from forecaster.config import TrainConfig
from forecaster.dataset import ItemCases, boundaries, prepare
from forecaster.ensemble import LSTM
from forecaster.metrics import geometric_mean, pinball_loss
from forecaster.series import Block, History
from forecaster.serving import CANDIDATES, Candidates, Forecaster, Service
from forecaster.tabular import BoostingBaseline, RidgeBaseline
from forecaster.training import Checkpoints, EpochReport, FittingData, fit_ensemble
from forecaster.windows import Windows


@dataclass(frozen=True, eq=False)
class Fitted:
    """A forecaster, the config that was carried out, and the parts it was made of."""

    forecaster: Forecaster
    config: TrainConfig
    parts: tuple[ItemCases, ...]


def fit_forecaster(
    history: History,
    config: TrainConfig,
    *,
    report: Callable[[EpochReport], None] = lambda _: None,
    checkpoints: Checkpoints | None = None,
) -> Fitted:
    """Return the forecaster that ``history`` and ``config`` make.

    Raises:
        HistoryError: the step differs from the model's, or an item is too short.
    """
    parts = tuple(prepare(history, config))
    data = FittingData([p.train for p in parts], [p.calibration.windows for p in parts])
    ensemble, carried_out = fit_ensemble(data, config, report=report, checkpoints=checkpoints)
    joined = Windows.join(data.train)
    rng = np.random.default_rng(config.seed)
    candidates = Candidates(
        config.model,
        ensemble,
        RidgeBaseline.fit(joined),
        BoostingBaseline.fit(joined, config.model.quantile_levels, rng),
    )
    return Fitted(calibrate(candidates, parts, history, config), carried_out, parts)


def calibrate(
    candidates: Candidates, parts: Sequence[ItemCases], history: History, config: TrainConfig
) -> Forecaster:
    """Return the forecaster whose candidates are calibrated, and whose items have their winner."""
    levels = config.model.quantile_levels
    services: dict[str, Service] = {}
    losses: dict[str, dict[str, float]] = {}
    spreads: dict[str, list[Spread]] = {name: [] for name in CANDIDATES}
    for part in parts:
        windows, naive = part.calibration.windows, part.calibration.naive
        own = {name: candidates.spread(name, windows, naive) for name in CANDIDATES}
        shifts = {name: conformal_shifts(s, windows.target, levels) for name, s in own.items()}
        losses[part.item_id] = {
            name: mean_loss(windows.target, calibrated(own[name], shifts[name]), levels)
            for name in CANDIDATES
        }
        source, reason = choose(losses[part.item_id])
        series = history[part.item_id]
        until = series.start + boundaries(len(series), config)[1] * series.step
        services[part.item_id] = Service(source, reason, shifts, until)
        for name in CANDIDATES:
            spreads[name].append(own[name])
    target = np.concatenate([part.calibration.windows.target for part in parts])
    pooled = {
        name: conformal_shifts(_joined(found), target, levels) for name, found in spreads.items()
    }
    typical = {
        name: geometric_mean(loss[name] / loss[LAST_VALUE] for loss in losses.values())
        for name in CANDIDATES
    }
    source, reason = choose(typical)
    return Forecaster(candidates, services, Service(source, reason, pooled))


def mean_loss(target: Block, predicted: Block, levels: Sequence[float]) -> float:
    """Return the mean pinball loss over the known targets; NaN of none."""
    loss = pinball_loss(target, predicted, levels)[np.isfinite(target)]
    return float(loss.mean(dtype=np.float64)) if loss.size else float("nan")


def choose(losses: Mapping[str, float]) -> tuple[str, str]:
    """Return the candidate with the smallest loss, and why; the LSTM where nothing is known.

    >>> choose({"last_value": 2.0, "lstm": 1.0})
    ('lstm', 'lstm has the smallest calibration loss, 50.0 % below last_value')
    """
    known = {name: loss for name, loss in losses.items() if np.isfinite(loss)}
    if not known:
        return LSTM, "nothing was requested in the calibration part"
    best = min(known, key=lambda name: known[name])
    second = min((n for n in known if n != best), key=lambda name: known[name], default=best)
    if known[second] == 0:
        return best, f"{best} and {second} are both without error"
    ahead = 100 * (1 - known[best] / known[second])
    return best, f"{best} has the smallest calibration loss, {ahead:.1f} % below {second}"


def _joined(spreads: Sequence[Spread]) -> Spread:
    return Spread(
        np.concatenate([spread.centre for spread in spreads]),
        np.concatenate([spread.unit for spread in spreads]),
    )
